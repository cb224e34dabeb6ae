import pytest
from xray_sets import save_image

from fedward.datasets import image_folder
from fedward.datasets.base import FileProblem
from fedward.datasets.image_folder_check import check
from fedward.datasets.selection import SelectionSettings


@pytest.fixture
def root(tmp_path):
    for seed, name in enumerate(("b.png", "a.JPG", "deep/er/c.jpeg", ".hidden/d.png", "__MACOSX/e.png", ".f.png")):
        save_image(tmp_path / name, seed)
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_images_of_all_depths_are_found_and_each_is_its_own_patient(root):
    table = image_folder.read_table(root, SelectionSettings())
    assert [str(path.relative_to(root)) for path in table.paths] == ["a.JPG", "b.png", "deep/er/c.jpeg"]
    assert table.patients == ("a", "b", "deep__er__c")
    assert table.labels.shape == (3, 0)
    assert table.findings == ()
    assert image_folder.official_test(root) is None


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileProblem, match="no image"):
        image_folder.read_table(tmp_path)
    with pytest.raises(FileProblem, match="no folder"):
        image_folder.read_table(tmp_path / "nowhere")
    result = check(tmp_path, workers=1, quiet=True)
    assert (result.patients, result.images, result.errors) == (0, 0, 1)
    save_image(tmp_path / "hospital-01" / "a.png", 1)
    with pytest.raises(FileProblem, match="wrong folder: it holds site folders"):
        image_folder.read_table(tmp_path)


def test_one_name_in_many_folders_is_as_many_patients(tmp_path):
    for number in range(6):
        save_image(tmp_path / f"patient{number // 2}" / f"study{number % 2}" / "view1_frontal.jpg", number)
    table = image_folder.read_table(tmp_path)
    assert len(set(table.patients)) == 6
    assert table.patients[1] == "patient0__study1__view1_frontal"
    assert check(tmp_path, workers=1, quiet=True).problems == ()


def test_the_check_lists_other_files_and_names_that_stand_twice(root):
    save_image(root / "b.jpg", 7)
    save_image(root / "deep" / "b.jpg", 8)
    result = check(root, workers=1, quiet=True)
    assert (result.patients, result.images, result.errors) == (4, 5, 0)
    found = {(problem.path, problem.reason) for problem in result.problems}
    assert found == {
        (str(root / "notes.txt"), "left out: neither PNG nor JPEG by its name"),
        (str(root / "b.png"), "same name twice: also b.jpg"),
    }
    assert result.findings == {}
