"""Check of a data set of scans: every problem, found before training instead of in round 37.

Error: training would stop there (the scan cannot be read, split.json is wrong), or it would be wrong: the same voxels
of two patients could be in training and test alike.
Warning: training goes on, and somebody should look: lost or mixed spacing, slices that run in other directions than
most, slices that are cut across, a single slice, a volume without labels beside others that have them, labels without a
structure, the same voxels twice in one patient, a single patient, files that are left out.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fedward.datasets.base import CheckResult, FileProblem, Problem
from fedward.datasets.layout import read_split
from fedward.datasets.nifti import Grid, read_grid
from fedward.datasets.scan import Scan, ScanVolume
from fedward.errors import DataError
from fedward.progress import map_in_processes

LEAVE = "nothing, if it is right"
MIXED = 2.0  # largest over smallest spacing among patients, above which resampling changes what a pixel shows
STANDS_OUT = 1.5  # spacing of one axis over either other, above which slices plainly lie along it


@dataclass
class ScanCheck:
    """What reading one scan showed; `voxels` is their SHA-256, "" where the scan cannot be read."""

    scan: Scan
    voxels: str = ""
    axes: str = ""
    spacing: tuple[float, float, float] | None = None  # None: unknown
    problems: list[Problem] = field(default_factory=list)


def warning(path: Path, reason: str, advice: str) -> Problem:
    return Problem("warning", str(path), reason, advice)


def error(problem: FileProblem) -> Problem:
    return Problem("error", str(problem.path), problem.reason, problem.advice)


def left_out(path: Path, reason: str) -> Problem:
    """A file or folder that no reader takes."""
    return warning(path, f"left out: {reason}", "remove it, or give it the right name")


def check_scans(
    folder: Path,
    scans: Sequence[Scan],
    read: Callable[[Scan], ScanVolume],
    workers: int,
    quiet: bool,
    found: Sequence[Problem] = (),
) -> CheckResult:
    """Every problem of `scans` under `folder`, read in parallel, and those `found` already: errors first, by kind."""
    checks = list(map_in_processes(partial(check_scan, read), scans, "Checking scans", workers, quiet))
    problems = [*found, *(problem for check in checks for problem in check.problems)]
    problems += [*_same_voxels(checks), *_spacings(folder, checks), *_directions(checks), *_labels(scans)]
    patients = {scan.patient for scan in scans}
    if len(patients) == 1:
        problems.append(warning(folder, "one patient: no patient is left to validate on", f"{LEAVE}: it trains only"))
    problems += _split(folder, patients)
    problems.sort(key=lambda p: (p.severity, p.reason.split(":")[0]))  # stable: scans stay in their order
    return CheckResult(len(patients), len(scans), tuple(problems))


def check_scan(read: Callable[[Scan], ScanVolume], scan: Scan) -> ScanCheck:
    """Every problem of one scan; reads its files."""
    check = ScanCheck(scan)
    try:
        volume = read(scan)
        grid = read_grid(scan.image)
    except FileProblem as problem:
        check.problems.append(error(problem))
        return check
    check.axes = grid.axes
    check.problems += _cut_across(scan.image, grid)
    check.voxels = hashlib.sha256(f"{volume.image.shape}".encode() + volume.image.tobytes()).hexdigest()
    if volume.spacing_known:
        check.spacing = volume.spacing
    if len(volume.image) == 1:
        reason = "one slice: it is in the first partition, and structures cannot be followed through it"
        check.problems.append(warning(scan.image, reason, LEAVE))
    if volume.labels is not None and not volume.labels.any():
        assert scan.labels is not None
        reason = "no structure: every voxel is labelled background"
        check.problems.append(warning(scan.labels, reason, "see whether the right labels were exported"))
    return check


def _cut_across(path: Path, grid: Grid) -> list[Problem]:
    """A scan with thick slices along another axis than the file's last, which alone is read as theirs.

    Where both other axes are thicker than the last, no axis stands out: thin slices of coarse pixels are right.
    """
    first, second, last = grid.file_spacing
    for name, side, other, order in (("first", first, second, "[1, 2, 0]"), ("second", second, first, "[0, 2, 1]")):
        if side > STANDS_OUT * max(other, last):
            size = " x ".join(f"{length:.3g}" for length in grid.file_spacing)
            reason = (
                f"cut across its slices: spacing {size} mm, so slices run along the {name} axis, not along the last "
                "one, which is read as theirs"
            )
            advice = f"put their axis last, in image and labels: SimpleITK.PermuteAxes(image, {order})"
            return [warning(path, reason, f"{advice}; or correct the spacing, if that is what is wrong")]
    return []


def _same_voxels(checks: Sequence[ScanCheck]) -> list[Problem]:
    seen: dict[str, Scan] = {}
    problems = []
    for check in checks:
        first = seen.setdefault(check.voxels, check.scan) if check.voxels else check.scan
        if first == check.scan:
            continue
        if first.patient == check.scan.patient:
            reason = f"same voxels twice: as {first.image.name}"
            problems.append(warning(check.scan.image, reason, "see whether a frame was saved twice"))
        else:
            reason = f"same voxels as another patient: {first.image.name}"
            advice = "find out whose scan it is and remove the other, or it may be in training and test alike"
            problems.append(Problem("error", str(check.scan.image), reason, advice))
    return problems


def _spacings(folder: Path, checks: Sequence[ScanCheck]) -> list[Problem]:
    known = [check.spacing for check in checks if check.spacing]
    lost = [check.scan.image for check in checks if check.voxels and not check.spacing]
    advice = "restore the headers if they exist; else pixels are taken as 1 mm, and distances in mm stay blank"
    if lost and not known:
        reason = f"spacing lost: all {len(lost)} scans say 1 x 1 x 1 mm, so where their axes point may be lost too"
        return [warning(folder, reason, advice)]
    problems = [warning(path, "spacing lost: it says 1 x 1 x 1 mm", advice) for path in lost]
    for axis, what in ((2, "pixels"), (0, "slices")):
        sizes = [spacing[axis] for spacing in known]
        if sizes and max(sizes) > MIXED * min(sizes):
            reason = f"mixed spacing: {what} of {min(sizes):.3g} to {max(sizes):.3g} mm"
            problems.append(warning(folder, reason, f"{LEAVE}: set pixel_spacing, so that pixels are resampled to one"))
    return problems


def _directions(checks: Sequence[ScanCheck]) -> list[Problem]:
    """Scans whose slices run along another axis of the body than most: their partitions would not correspond."""
    along = {"L": "left to right", "R": "left to right", "P": "front to back", "A": "front to back"}
    runs = {check.scan.image: along.get(check.axes[-1:], "head to foot") for check in checks if check.axes}
    counts = Counter(runs.values())
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    advice = "see whether the headers are right: slices are put in order along this axis"
    reason = "other direction: slices run {}, most run {}"
    return [warning(path, reason.format(run, usual), advice) for path, run in runs.items() if run != usual]


def _labels(scans: Sequence[Scan]) -> list[Problem]:
    missing = [scan.image for scan in scans if scan.labels is None]
    if len(missing) == len(scans):
        return []
    advice = f"{LEAVE}: it serves pretraining, and is neither trained on nor tested with labels"
    return [warning(path, "no labels: others have them", advice) for path in missing]


def _split(folder: Path, patients: set[str]) -> list[Problem]:
    if not (folder / "split.json").exists():
        return []
    try:
        read_split(folder, patients, seed=0)
    except DataError as problem:
        path = str(folder / "split.json")
        return [Problem("error", path, f"wrong split: {problem}", "correct it, or delete it")]
    return []
