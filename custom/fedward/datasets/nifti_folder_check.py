"""Check of a folder of NIfTI volumes (`fedward.datasets.nifti_folder`): every problem, found before training."""

from pathlib import Path

from fedward.datasets import nifti_folder
from fedward.datasets.base import CheckResult, FileProblem
from fedward.datasets.scan_check import check_scans, error, left_out


def check(root: Path, workers: int = 0, quiet: bool = False) -> CheckResult:
    """Every problem under `root`: errors first, then by kind. `workers` processes read (0: one a core)."""
    root = Path(root)
    try:
        scans = nifti_folder.find_scans(root)
        others = nifti_folder.find_files(root).other
    except FileProblem as problem:
        return CheckResult(0, 0, (error(problem),))
    found = [left_out(path, "neither a volume nor the labels of one") for path in others]
    return check_scans(root, scans, nifti_folder.read_scan, workers, quiet, found)
