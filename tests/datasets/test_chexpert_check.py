import pytest
from xray_sets import CHEXPERT_HEADER, CHEXPERT_ROWS, chexpert_line, save_image, write_chexpert

from fedward.datasets.chexpert_check import check


@pytest.fixture
def root(tmp_path):
    return write_chexpert(tmp_path / "chexpert")


def reasons(root, severity):
    found = [p.reason for p in check(root, workers=1, quiet=True).problems if p.severity == severity]
    return [reason for reason in found if not reason.startswith("one class only")]


def test_a_sound_set(root):
    result = check(root, workers=1, quiet=True)
    assert (result.patients, result.images, result.errors) == (3, 4, 0)
    assert result.findings["Edema"] == 2
    assert reasons(root, "warning") == []


def test_every_kind_of_problem_is_listed_once(root):
    path = "CheXpert-v1.0-small/train/patient00009/study1/"
    with (root / "train.csv").open("a") as file:
        for line in (
            chexpert_line(path + "view1_frontal.jpg", {"Edema": "7"}),
            chexpert_line("CheXpert-v1.0-small/train/study1/x.jpg", {}),
            chexpert_line(path + "view2_frontal.jpg", {}, "Sideways"),
            chexpert_line(path + "view3_frontal.jpg", {}),
            chexpert_line(CHEXPERT_ROWS[0][0], {}),
            chexpert_line(path.replace("00009", "64541") + "view1_frontal.jpg", {}),
        ):
            file.write(line + "\n")
    save_image(root / "train/patient64541/study1/view1_frontal.jpg", 31)
    save_image(root / "train/patient00777/study1/view1_frontal.jpg", 32)
    (root / "train/patient00002/study1/view1_frontal.jpg").write_bytes(b"")
    kinds = sorted(reason.split(":")[0] for reason in reasons(root, "error"))
    assert kinds == [
        "empty file",
        "image missing",
        "image twice",
        "patient in two tables",
        "unknown view",
        "wrong label",
        "wrong path",
    ]
    assert [reason.split(":")[0] for reason in reasons(root, "warning")] == ["image without row"]


def test_a_table_without_a_column_does_not_hide_the_other_table(root):
    (root / "train.csv").write_text(CHEXPERT_HEADER.replace("Path", "File") + "\na\n")
    result = check(root, workers=1, quiet=True)
    assert [p.reason.split(";")[0] for p in result.problems if p.severity == "error"] == ["missing column: Path"]
    assert result.images == 1


def test_a_folder_in_the_place_of_an_image(root):
    path = root / "train/patient00002/study1/view1_frontal.jpg"
    path.unlink()
    path.mkdir()
    (problem,) = (p for p in check(root, workers=1, quiet=True).problems if p.severity == "error")
    assert (problem.path, problem.reason) == (str(path), "wrong file: it is a folder, not an image")


def test_no_table_at_all(tmp_path):
    result = check(tmp_path, workers=1, quiet=True)
    assert (result.images, [p.reason.split(":")[0] for p in result.problems]) == (0, ["no table"])
