"""The reader of CheXpert, on hand-written tables."""

import numpy as np
import pytest
from xray_sets import CHEXPERT_HEADER, CHEXPERT_ROWS, chexpert_line, write_chexpert

from fedward.datasets import chexpert
from fedward.datasets.base import FileProblem
from fedward.datasets.image_table import finding_counts
from fedward.datasets.registry import image_data_set
from fedward.datasets.selection import SelectionSettings

TRAIN = "CheXpert-v1.0-small/train/"
NINTH = f"{TRAIN}patient00009/study1/view1_frontal.jpg"


@pytest.fixture
def root(tmp_path):
    return write_chexpert(tmp_path / "chexpert")


def test_frontal_images_of_all_tables_without_the_archives_name(root):
    table = chexpert.read_table(root, SelectionSettings())
    assert [str(path.relative_to(root)) for path in table.paths] == [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study1/view1_frontal.jpg",
        "valid/patient64541/study1/view1_frontal.jpg",
    ]
    assert table.patients == ("patient00001", "patient00002", "patient64541")
    assert len(chexpert.read_table(root, SelectionSettings(views="all"))) == 4
    assert image_data_set("chexpert").find_patients(root) == ["patient00001", "patient00002", "patient64541"]


@pytest.mark.parametrize(("policy", "value"), [("ignore", np.nan), ("zeros", 0.0), ("ones", 1.0)])
def test_uncertain_labels_by_policy_and_blanks_are_negative(root, policy, value):
    labels = chexpert.read_table(root, SelectionSettings(uncertain=policy)).labels
    fracture, edema = (chexpert.FINDINGS.index(name) for name in ("Fracture", "Edema"))
    np.testing.assert_equal(labels[0, fracture], np.float32(value))
    assert labels[0, edema] == 1
    assert labels[1:, edema].tolist() == [0, 0]
    assert np.isnan(labels).sum() == (policy == "ignore")
    assert labels.dtype == np.float32


def test_no_finding_is_one_of_the_14(root):
    assert finding_counts(chexpert.read_table(root, SelectionSettings()))["No Finding"] == 1
    assert len(chexpert.FINDINGS) == 14


def test_a_table_without_sex_age_and_view_takes_the_view_from_the_name(root):
    header = ",".join(["Path", *chexpert.FINDINGS])
    blanks = "," * len(chexpert.FINDINGS)
    (root / "train.csv").write_text("\n".join([header, *(path + blanks for path, *_ in CHEXPERT_ROWS)]))
    assert len(chexpert.read_table(root, SelectionSettings())) == 3
    assert len(chexpert.read_table(root, SelectionSettings(views="all"))) == 4


def test_patients_of_the_other_tables_are_held_back(root):
    assert chexpert.official_test(root) == ("patient64541",)
    (root / "valid.csv").unlink()
    assert chexpert.official_test(root) is None
    assert chexpert.read_table(root, SelectionSettings()).patients == ("patient00001", "patient00002")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            chexpert_line(NINTH, {"Mass": "1"}, "Oblique"),
            "unknown view: line 2",
        ),
        (
            chexpert_line(NINTH, {"Edema": "2.0"}),
            "wrong label: line 2 has '2.0'",
        ),
        (
            chexpert_line(NINTH, {"Edema": "nan"}),
            "wrong label: line 2 .* Edema",
        ),
        (chexpert_line(f"{TRAIN}study1/view1_frontal.jpg", {}), "wrong path: line 2"),
        (chexpert_line(f"{TRAIN}../../patient00009/x_frontal.jpg", {}), "wrong path: line 2"),
        (chexpert_line("elsewhere/patient00009/x_frontal.jpg", {}), "wrong path: line 2"),
        (chexpert_line("", {}), "wrong path: line 2"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(root, line, reason):
    (root / "train.csv").write_text(f"{CHEXPERT_HEADER}\n{line}\n")
    with pytest.raises(FileProblem, match=reason):
        chexpert.read_labels(root, SelectionSettings())


def test_a_patient_in_two_tables_an_image_in_two_rows_and_a_missing_image(tmp_path):
    both = tuple((path.replace("/train/", "/valid/"), labels, view) for path, labels, view in CHEXPERT_ROWS[:1])
    with pytest.raises(FileProblem, match="patient in two tables: patient00001"):
        chexpert.read_table(write_chexpert(tmp_path / "a", valid=both))
    with pytest.raises(FileProblem, match="image twice"):
        chexpert.read_table(write_chexpert(tmp_path / "b", train=(*CHEXPERT_ROWS, CHEXPERT_ROWS[0])))
    root = write_chexpert(tmp_path / "c")
    (root / "train/patient00002/study1/view1_frontal.jpg").unlink()
    with pytest.raises(FileProblem, match=r"patient00002/study1/view1_frontal\.jpg: image missing"):
        chexpert.read_table(root)
    assert len(chexpert.read_labels(root)) == 3


def test_lateral_images_only(tmp_path):
    root = write_chexpert(tmp_path / "chexpert", train=CHEXPERT_ROWS[1:2], valid=())
    with pytest.raises(FileProblem, match="no frontal image"):
        chexpert.read_table(root)
    assert len(chexpert.read_table(root, SelectionSettings(views="all"))) == 1


def test_a_wrong_folder_or_table_is_an_error(root, tmp_path):
    with pytest.raises(FileProblem, match="no table"):
        chexpert.read_table(tmp_path)
    with pytest.raises(FileProblem, match="no folder"):
        chexpert.read_table(tmp_path / "nowhere")
    (root / "train.csv").write_text(CHEXPERT_HEADER.replace(",Edema", "") + "\nx\n")
    with pytest.raises(FileProblem, match="missing column: Edema"):
        chexpert.read_table(root)
