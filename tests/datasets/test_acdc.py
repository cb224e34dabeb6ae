"""The reader of ACDC: layouts, frames of the cycle, and folders that are none."""

import os
from pathlib import Path

import numpy as np
import pytest
from scan_files import SPACING, classes, voxels, write_nifti, write_patient, write_set

from fedward.datasets import acdc
from fedward.datasets.base import FileProblem
from fedward.datasets.registry import scan_data_set


@pytest.mark.parametrize("inner", ["", "training"])
def test_frames_are_found_in_the_heart_s_order(tmp_path, inner):
    write_set(tmp_path / inner, patients=2)
    scans = acdc.find_scans(tmp_path)
    assert [(s.patient, s.frame, s.group) for s in scans] == [
        (patient, frame, "NOR") for patient in ("patient001", "patient002") for frame in ("ED", "ES")
    ]
    assert [s.image.name for s in scans[:2]] == ["patient001_frame01.nii.gz", "patient001_frame09.nii.gz"]
    assert [s.labels.name for s in scans[:2]] == ["patient001_frame01_gt.nii.gz", "patient001_frame09_gt.nii.gz"]
    assert scan_data_set("acdc").find_patients(tmp_path) == ["patient001", "patient002"]


def test_voxels_and_labels(tmp_path):
    write_patient(tmp_path, 1)
    volume = acdc.read_scan(acdc.find_scans(tmp_path)[0])
    assert np.array_equal(volume.image, voxels(101))
    assert np.array_equal(volume.labels, classes(101))
    assert volume.spacing == pytest.approx(SPACING)


def test_the_end_of_diastole_may_have_the_higher_number(tmp_path):
    """As in patient090 of the original."""
    write_patient(tmp_path, 90, frames=(4, 11), info="ED: 11\nES: 4\nGroup: MINF\n")
    scans = acdc.find_scans(tmp_path)
    assert [(s.frame, s.image.name) for s in scans] == [
        ("ED", "patient090_frame11.nii.gz"),
        ("ES", "patient090_frame04.nii.gz"),
    ]


def test_without_info_the_lower_of_two_frames_is_the_end_of_diastole(tmp_path):
    write_patient(tmp_path, 90, frames=(11, 4), info=None)
    scans = acdc.find_scans(tmp_path)
    assert [(s.frame, s.image.name[11:18], s.group) for s in scans] == [("ED", "frame04", ""), ("ES", "frame11", "")]


@pytest.mark.parametrize("frames", [(3,), (2, 5, 10)])
def test_without_info_other_numbers_of_frames_are_not_named(tmp_path, frames):
    write_patient(tmp_path, 1, frames=frames, info=None)
    assert [s.frame for s in acdc.find_scans(tmp_path)] == [str(frame) for frame in frames]


def test_other_frames_follow_by_number(tmp_path):
    write_patient(tmp_path, 1, frames=(1, 2, 9, 10))
    assert [s.frame for s in acdc.find_scans(tmp_path)] == ["ED", "ES", "2", "10"]


def test_the_cine_and_what_else_the_original_holds_are_no_frames(tmp_path):
    folder = write_patient(tmp_path / "training", 1)
    (folder / "patient001_4d.nii.gz").write_bytes(b"never opened")
    (folder / "MANDATORY_CITATION.md").touch()
    (tmp_path / "MANDATORY_CITATION.md").touch()
    assert acdc.read_patient_folder(folder).other == []
    assert len(acdc.find_scans(tmp_path)) == 2


def test_unpacked_files_and_a_frame_without_labels(tmp_path):
    folder = tmp_path / "patient001"
    write_nifti(folder / "patient001_frame01.nii", voxels())
    scans = acdc.find_scans(tmp_path)
    assert [(s.frame, s.labels) for s in scans] == [("1", None)]
    assert acdc.read_scan(scans[0]).labels is None


def refused(root):
    with pytest.raises(FileProblem) as raised:
        acdc.find_scans(root)
    return raised.value


def test_a_frame_with_two_files_is_refused(tmp_path):
    folder = write_patient(tmp_path, 1)
    write_nifti(folder / "patient001_frame01.nii", voxels())
    assert refused(tmp_path).reason.startswith("same frame twice: also patient001_frame01.nii")


def test_a_patient_without_frames_is_refused(tmp_path):
    write_patient(tmp_path, 1)
    (tmp_path / "patient002").mkdir()
    assert refused(tmp_path).reason == "no scan: no file named patient002_frameMM.nii.gz"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Group: NOR\n", "no line 'ED: <number of its frame>'"),
        ("ED: 1\n", "no line 'ES: <number of its frame>'"),
        ("ED: one\nES: 9\n", "ED is 'one', not a frame's number"),
        ("ED: 1\nES: -9\n", "ES is '-9', not a frame's number"),
        ("ED: 9\nES: 09\n", "ED and ES are both frame 9"),
    ],
)
def test_a_wrong_info_is_refused(tmp_path, text, reason):
    write_patient(tmp_path, 1, info=text)
    assert refused(tmp_path).reason == f"wrong Info.cfg: {reason}"


def test_an_info_that_is_no_text_is_refused(tmp_path):
    folder = write_patient(tmp_path, 1)
    (folder / "Info.cfg").write_bytes(b"\xff\xfe\x00")
    assert refused(tmp_path).reason.startswith("wrong Info.cfg: ")


def test_an_info_with_windows_line_ends_is_read(tmp_path):
    write_patient(tmp_path, 1, info="\ufeffED: 9\r\nES: 1\r\nGroup: RV\r\n")
    assert [(s.frame, s.group) for s in acdc.find_scans(tmp_path)] == [("ED", "RV"), ("ES", "RV")]


def test_folders_that_hold_no_patient(tmp_path):
    assert refused(tmp_path / "nowhere").reason.startswith("no folder")
    assert refused(tmp_path).reason.startswith("empty folder")
    (tmp_path / "a").mkdir()
    assert refused(tmp_path).reason == "wrong folder: nothing in it is named patientNNN"
    (tmp_path / "hospital-01").mkdir()
    assert refused(tmp_path).reason == "wrong folder: it holds site folders"
    folder = write_patient(tmp_path / "set", 1)
    assert refused(folder).reason == "wrong folder: it holds a patient's frames"


@pytest.mark.real_data
def test_real_scans():
    root = Path(os.environ.get("FEDWARD_DATA", "nowhere")) / "acdc"
    if not root.is_dir():
        pytest.skip("FEDWARD_DATA names no folder with acdc")
    scans = acdc.find_scans(root)
    assert len(scans) == 122
    assert {s.frame for s in scans} == {"ED", "ES"}
    for scan in scans[::12]:
        volume = acdc.read_scan(scan)
        assert volume.image.shape[1:] == (160, 160)
        assert set(np.unique(volume.labels).tolist()) == {0, 1, 2, 3}
        assert not volume.spacing_known
