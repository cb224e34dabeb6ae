"""A folder of NIfTI volumes: sub-folders or files as patients, labels where they lie beside."""

import numpy as np
import pytest
from scan_files import classes, voxels, write_nifti

from fedward.datasets import nifti_folder
from fedward.datasets.base import FileProblem


def test_patients_are_files_or_folders(tmp_path):
    for name in ("zoe.nii.gz", "anna/b.nii", "anna/a.nii.gz", "carl/t0/cine.nii.gz", ".hidden/x.nii.gz"):
        write_nifti(tmp_path / name, voxels())
    scans = nifti_folder.find_scans(tmp_path)
    assert [(s.patient, s.frame) for s in scans] == [("anna", "a"), ("anna", "b"), ("carl", "t0__cine"), ("zoe", "")]
    assert all(s.labels is None and s.group == "" for s in scans)


@pytest.mark.parametrize("ending", ["_gt", "_seg"])
def test_labels_belong_to_the_volume_of_that_name(tmp_path, ending):
    write_nifti(tmp_path / "a" / "x.nii.gz", voxels())
    gt = write_nifti(tmp_path / "a" / f"x{ending}.nii", classes(most=255))
    (scan,) = nifti_folder.find_scans(tmp_path)
    assert scan.labels == gt
    assert np.array_equal(nifti_folder.read_scan(scan).labels, classes(most=255))


def refused(root):
    with pytest.raises(FileProblem) as raised:
        nifti_folder.find_scans(root)
    return raised.value.reason


def test_two_files_of_one_name_are_refused(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", voxels())
    write_nifti(tmp_path / "a_gt.nii.gz", classes())
    write_nifti(tmp_path / "a_seg.nii.gz", classes())
    assert refused(tmp_path) == "same name twice: a_gt.nii.gz stands for the same"
    (tmp_path / "a_gt.nii.gz").unlink()
    write_nifti(tmp_path / "a.nii", voxels())
    assert refused(tmp_path) == "same name twice: a.nii stands for the same"


def test_folders_that_hold_no_volume(tmp_path):
    assert refused(tmp_path / "nowhere").startswith("no folder")
    write_nifti(tmp_path / "a_gt.nii.gz", classes())
    assert refused(tmp_path).startswith("no volume")
    (tmp_path / "hospital-03").mkdir()
    assert refused(tmp_path) == "wrong folder: it holds site folders"
