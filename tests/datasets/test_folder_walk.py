"""Folders without a layout: links are followed, circles end, and names must be text."""

import os

import pytest

from fedward.datasets import image_folder, nifti_folder
from fedward.datasets.base import FileProblem
from fedward.datasets.folder_walk import walk


def make(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")


def files_of(root):
    return [(folder / name).relative_to(root).as_posix() for folder, _, names in walk(root) for name in names]


def test_folders_that_are_links_belong_to_the_set(tmp_path):
    """A cohort is often made of links into an archive."""
    root, archive = tmp_path / "cohort", tmp_path / "archive"
    make(root, "a/1.png", "c/1.nii.gz")
    make(archive, "2019/2.png", "2019/2.nii.gz")
    (root / "b").symlink_to(archive / "2019", target_is_directory=True)
    assert files_of(root) == ["a/1.png", "b/2.nii.gz", "b/2.png", "c/1.nii.gz"]
    assert image_folder.find_files(root)[0] == [root / "a/1.png", root / "b/2.png"]
    assert [scan.patient for scan in nifti_folder.find_scans(root)] == ["b", "c"]


def test_no_folder_is_visited_twice_and_circles_end(tmp_path):
    make(tmp_path, "a/1.png", "b/deep/2.png")
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "c").symlink_to(tmp_path / "a", target_is_directory=True)
    assert files_of(tmp_path) == ["a/1.png", "b/deep/2.png"]


def test_a_patient_has_the_name_of_the_real_folder(tmp_path):
    """Or a link to one of somebody's scans would make two patients of one person."""
    make(tmp_path, "patient1/ses-1/ct.nii.gz", "patient1/ses-2/ct.nii.gz")
    (tmp_path / "latest").symlink_to(tmp_path / "patient1" / "ses-2", target_is_directory=True)
    found = [(scan.patient, scan.frame) for scan in nifti_folder.find_scans(tmp_path)]
    assert found == [("patient1", "ses-1__ct"), ("patient1", "ses-2__ct")]


def test_a_link_that_leads_nowhere_is_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nothing", target_is_directory=True)
    assert files_of(tmp_path) == ["gone"]


def test_hidden_folders_and_those_of_an_archive_program_are_passed_over(tmp_path):
    make(tmp_path, ".git/1.png", "__MACOSX/._2.png", "a/3.png")
    assert files_of(tmp_path) == ["a/3.png"]


@pytest.mark.parametrize("place", ["M\udcfcller.png", "M\udcfcller/1.png"])
@pytest.mark.parametrize("find", [image_folder.find_files, nifti_folder.find_files])
def test_a_name_that_is_not_utf8_is_named(tmp_path, place, find):
    """As old archives leave them; patients are drawn by their names."""
    try:
        make(tmp_path, place)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with pytest.raises(FileProblem) as raised:
        find(tmp_path)
    assert r"M\udcfcller" in str(raised.value)
    assert "not UTF-8" in str(raised.value)
    str(raised.value).encode()
    assert os.listdir(tmp_path)
