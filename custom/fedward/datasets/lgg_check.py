"""Check of an LGG data folder."""

from pathlib import Path

from fedward.datasets.base import CheckResult
from fedward.datasets.lgg import find_cases


def check(root: Path, workers: int = 0, quiet: bool = False) -> CheckResult:
    """Every problem under `root`."""
    cases = find_cases(root)
    return CheckResult(len(cases), sum(len(c.slices) for c in cases))
