"""The checks of ACDC and of folders of NIfTI: every problem is listed, with file and advice."""

import re
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from scan_files import classes, voxels, write_nifti, write_patient, write_set

from fedward.datasets.registry import scan_data_set


def check(root, name="acdc"):
    return scan_data_set(name).check(root, 1, True)


def listed(root, name="acdc"):
    """(severity, file below root, reason) of each problem."""
    return [(p.severity, p.path.removeprefix(str(root)).lstrip("/"), p.reason) for p in check(root, name).problems]


@pytest.fixture
def root(tmp_path):
    return write_set(tmp_path / "set")


def test_a_good_set_has_no_problems(root):
    result = check(root)
    assert (result.patients, result.images, result.problems) == (3, 6, ())


def test_every_problem_is_listed_errors_first(root):
    one, two, three = (root / f"patient00{n}" for n in (1, 2, 3))
    (one / "patient001_frame01.nii.gz").write_bytes(b"")
    write_nifti(two / "patient002_frame09_gt.nii.gz", np.full((4, 6, 5), 7, np.uint8))
    (three / "patient003_frame09_gt.nii.gz").unlink()
    (root / "patient004").mkdir()
    write_patient(root, 5, info="ED: 1\nES: 1\n")
    assert [line for line in listed(root) if line[0] == "error"] == [
        ("error", "patient004", "no scan: no file named patient004_frameMM.nii.gz"),
        ("error", "patient001/patient001_frame01.nii.gz", "unreadable: the file is empty"),
        ("error", "patient005/Info.cfg", "wrong Info.cfg: ED and ES are both frame 1"),
        ("error", "patient002/patient002_frame09_gt.nii.gz", "wrong labels: 7"),
    ]
    assert [line for line in listed(root) if line[0] == "warning"] == [
        ("warning", "patient003/patient003_frame09.nii.gz", "no labels: others have them")
    ]
    assert all(problem.advice for problem in check(root).problems)


def test_info_that_is_missing_or_names_a_missing_frame(root):
    (root / "patient001" / "Info.cfg").unlink()
    (root / "patient002" / "Info.cfg").write_text("ED: 1\nES: 12\n")
    assert listed(root) == [
        ("warning", "patient002", "missing frame: Info.cfg names frame 12 as ES"),
        ("warning", "patient001", "no Info.cfg: the lower of two frames counts as ED, and the disease is unknown"),
    ]


def test_where_nobody_has_info_one_warning_says_so(root):
    for path in root.glob("*/Info.cfg"):
        path.unlink()
    ((severity, path, reason),) = listed(root)
    assert (severity, path) == ("warning", "")
    assert reason.startswith("no Info.cfg: none of 3 patients has one")


def test_a_patient_with_one_frame(root):
    for path in (root / "patient002").glob("*frame09*"):
        path.unlink()
    assert ("warning", "patient002", "one frame: only patient002_frame01.nii.gz") in listed(root)


def test_one_slice_is_a_warning(root):
    stem = root / "patient001" / "patient001_frame01"
    write_nifti(stem.with_name(f"{stem.name}.nii.gz"), voxels(9, (1, 6, 5)))
    write_nifti(stem.with_name(f"{stem.name}_gt.nii.gz"), classes(9, (1, 6, 5)))
    ((severity, path, reason),) = listed(root)
    assert (severity, path) == ("warning", "patient001/patient001_frame01.nii.gz")
    assert reason.startswith("one slice: ")


def test_labels_of_background_only_are_a_warning(root):
    write_nifti(root / "patient001" / "patient001_frame01_gt.nii.gz", np.zeros((4, 6, 5), np.uint8))
    assert listed(root) == [
        ("warning", "patient001/patient001_frame01_gt.nii.gz", "no structure: every voxel is labelled background")
    ]


def respaced(root, patient, spacing):
    for path in (root / patient).glob("*.nii.gz"):
        seed = int(patient[-3:]) * 100 + int(path.name[16:18])
        write_nifti(path, classes(seed) if "_gt" in path.name else voxels(seed), spacing=spacing)


def test_lost_spacing_of_one_patient_and_of_all(root):
    respaced(root, "patient002", (1, 1, 1))
    frames = [f"patient002/patient002_frame{frame}.nii.gz" for frame in ("01", "09")]
    assert listed(root) == [("warning", path, "spacing lost: it says 1 x 1 x 1 mm") for path in frames]
    for patient in ("patient001", "patient003"):
        respaced(root, patient, (1, 1, 1))
    ((severity, path, reason),) = listed(root)
    assert (severity, path) == ("warning", "")
    assert reason.startswith("spacing lost: all 6 scans say 1 x 1 x 1 mm")


def test_mixed_spacing(root):
    respaced(root, "patient002", (8, 3, 3))
    assert listed(root) == [("warning", "", "mixed spacing: pixels of 1.25 to 3 mm")]
    respaced(root, "patient003", (2, 2, 2))
    assert [reason for _, _, reason in listed(root)] == [
        "mixed spacing: pixels of 1.25 to 3 mm",
        "mixed spacing: slices of 2 to 8 mm",
    ]


def test_slices_along_another_axis_than_most(root):
    for path in (root / "patient003").glob("*.nii.gz"):
        seed = 300 + int(path.name[16:18])
        write_nifti(path, classes(seed) if "_gt" in path.name else voxels(seed), axes="SPL")
    assert [reason for _, _, reason in listed(root) if reason.startswith("other")] == [
        "other direction: slices run left to right, most run head to foot"
    ] * 2


def cut_across(root):
    """The warnings that a scan is cut across its slices, as (file, reason, advice)."""
    found = [p for p in check(root, "nifti_folder").problems if p.reason.startswith("cut across")]
    assert all(problem.severity == "warning" for problem in found)
    return [(problem.path.removeprefix(f"{root}/"), problem.reason, problem.advice) for problem in found]


@pytest.mark.parametrize(
    ("axes", "spacing", "words"),
    [
        ("SPL", "8 x 1.5 x 1.25", "along the first axis"),
        ("IAL", "8 x 1.5 x 1.25", "along the first axis"),
        ("ILP", "8 x 1.25 x 1.5", "along the first axis"),
        ("LSP", "1.25 x 8 x 1.5", "along the second axis"),
        ("PIR", "1.5 x 8 x 1.25", "along the second axis"),
    ],
)
def test_a_scan_that_is_cut_across_its_slices_is_a_warning_that_says_how_to_mend_it(tmp_path, axes, spacing, words):
    image = tmp_path / "in" / "anna" / "scan.nii.gz"
    write_nifti(image, voxels(), axes=axes)
    write_nifti(tmp_path / "in" / "bert" / "scan.nii.gz", voxels(1), axes="RAS")
    ((path, reason, advice),) = cut_across(tmp_path / "in")
    assert path == "anna/scan.nii.gz"
    assert spacing in reason
    assert words in reason
    order = [int(axis) for axis in re.search(r"PermuteAxes\(image, \[(.*?)\]\)", advice)[1].split(", ")]
    before = sitk.ReadImage(str(image))
    sitk.WriteImage(sitk.PermuteAxes(before, order), str(image))
    assert cut_across(tmp_path / "in") == []
    after = sitk.ReadImage(str(image))
    here = after.TransformPhysicalPointToIndex(before.TransformIndexToPhysicalPoint((1, 2, 3)))
    assert after[here] == before[1, 2, 3]


@pytest.mark.parametrize(
    "spacing",  # z, y, x
    [
        (10, 1.4, 1.4),  # ACDC
        (8, 1.4, 1.4),
        (1.2, 1.2, 1.2),
        (1, 1, 1),  # lost
        (1, 1.5, 1),
        (1.4, 2, 1.4),
        (0.5, 0.9, 0.9),  # CT in thin slices: no axis stands out
        (1.4, 8, 8),
    ],
)
def test_a_scan_whose_slices_lie_last_or_anywhere_is_not_told_to_be_cut_across(tmp_path, spacing):
    write_nifti(tmp_path / "scan.nii.gz", voxels(), spacing=spacing)
    assert cut_across(tmp_path) == []


def test_a_folder_in_which_all_are_cut_across_does_not_pass(root):
    for path in root.glob("*/*.nii.gz"):
        image = sitk.ReadImage(str(path))
        sitk.WriteImage(sitk.PermuteAxes(image, [2, 0, 1]), str(path))
    assert {(severity, reason.partition(":")[0]) for severity, _, reason in listed(root)} == {
        ("warning", "cut across its slices")
    }
    assert len(listed(root)) == 6
    assert len({problem.advice for problem in check(root).problems}) == 1  # so that they are shown as one kind


def test_the_same_scan_of_two_patients_is_an_error_and_of_one_a_warning(root):
    first = root / "patient001" / "patient001_frame01.nii.gz"
    shutil.copy(first, root / "patient001" / "patient001_frame09.nii.gz")
    shutil.copy(first, root / "patient003" / "patient003_frame09.nii.gz")
    assert listed(root) == [
        (
            "error",
            "patient003/patient003_frame09.nii.gz",
            "same voxels as another patient: patient001_frame01.nii.gz",
        ),
        ("warning", "patient001/patient001_frame09.nii.gz", "same voxels twice: as patient001_frame01.nii.gz"),
    ]


def test_what_is_left_out(root):
    (root / "notes.txt").touch()
    write_nifti(root / "patient001" / "patient001_frame05_gt.nii.gz", classes())
    write_nifti(root / "patient001" / "patient002_frame05.nii.gz", voxels())
    assert listed(root) == [
        ("warning", "notes.txt", "left out: not named patientNNN"),
        ("warning", "patient001/patient002_frame05.nii.gz", "left out: no frame of this patient"),
        ("warning", "patient001/patient001_frame05_gt.nii.gz", "left out: labels without image"),
    ]


def test_one_patient_and_a_wrong_split(tmp_path):
    root = write_set(tmp_path / "set", patients=1)
    (root / "split.json").write_text('{"train": ["patient009"], "validation": []}')
    found = listed(root)
    assert [(severity, reason.partition(":")[0]) for severity, _, reason in found] == [
        ("error", "wrong split"),
        ("warning", "one patient"),
    ]


@pytest.mark.parametrize("name", ["acdc", "nifti_folder"])
def test_a_folder_without_scans_is_one_error(tmp_path, name):
    result = check(tmp_path, name)
    assert (result.patients, result.images, result.errors) == (0, 0, 1)


def test_a_folder_of_nifti(tmp_path):
    write_nifti(tmp_path / "anna.nii.gz", voxels(1))
    write_nifti(tmp_path / "bert" / "late.nii.gz", voxels(2))
    write_nifti(tmp_path / "bert" / "late_seg.nii.gz", classes(2, most=200))
    assert [reason for _, _, reason in listed(tmp_path, "nifti_folder")] == ["no labels: others have them"]
    write_nifti(tmp_path / "anna_gt.nii.gz", classes(1))
    assert listed(tmp_path, "nifti_folder") == []
    write_nifti(tmp_path / "bert" / "early_gt.nii.gz", classes(3))
    (tmp_path / "bert" / "notes.txt").touch()
    (tmp_path / "anna.nii.gz").write_bytes(b"broken")
    assert [(severity, path) for severity, path, _ in listed(tmp_path, "nifti_folder")] == [
        ("error", "anna.nii.gz"),
        ("warning", "bert/notes.txt"),
        ("warning", "bert/early_gt.nii.gz"),
    ]
