"""What all checks of image data sets share: every image read once, in parallel, and its faults as problems.

Error: the file is missing, empty, truncated, damaged, or no PNG or JPEG; training would stop there.
Warning: it is read and becomes 8-bit grey, and somebody should look: 16-bit, RGBA, palette or colour images, images of
one grey level, the same pixels in two files (an error would stop published sets; of two patients they may be in
training and test alike).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedward.datasets.base import CheckResult, FileProblem, Problem
from fedward.datasets.image_table import ImageTable, finding_counts
from fedward.datasets.layout import read_split
from fedward.datasets.xray_image import deep_values, depth_of, grey, opened
from fedward.errors import DataError
from fedward.progress import map_in_processes

CHUNK = 16  # images a process takes at a time
MODES = {"RGBA": "RGBA image", "LA": "RGBA image", "P": "palette image", "RGB": "colour image", "CMYK": "colour image"}


@dataclass(frozen=True)
class ImageCheck:
    """What reading one image showed; `pixels` is the SHA-256 of its grey levels, "" for one that shows nothing."""

    problems: tuple[Problem, ...]
    pixels: str = ""


def as_error(problem: FileProblem) -> Problem:
    return Problem("error", str(problem.path), problem.reason, problem.advice)


def as_warning(problem: FileProblem) -> Problem:
    return Problem("warning", str(problem.path), problem.reason, problem.advice)


def check_image(path: Path) -> ImageCheck:
    """Read one image and say what is wrong or unusual."""
    try:
        with opened(path) as image:
            mode = image.mode
            deep = deep_values(image, path)
            pixels = np.asarray(grey(image, deep))
    except FileProblem as problem:
        return ImageCheck((as_error(problem),))
    found = []
    if deep is not None:
        reason = f"16-bit image: {mode}, values {deep.min()} to {deep.max()}, read as {depth_of(deep)}-bit"
        found.append(Problem("warning", str(path), reason, "nothing, if it looks right: it is scaled to 8-bit grey"))
    elif mode in MODES:
        found.append(Problem("warning", str(path), f"{MODES[mode]}: {mode}", "nothing: it is turned into 8-bit grey"))
    if pixels.min() == pixels.max():
        reason = f"blank image: every pixel is {pixels.min()}"
        found.append(Problem("warning", str(path), reason, "export it again, or take it out"))
        return ImageCheck(tuple(found))
    return ImageCheck(tuple(found), hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest())


def check_images(table: ImageTable, workers: int, quiet: bool) -> list[Problem]:
    """Every problem of the images of a table, read in parallel under a progress bar."""
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    results = map_in_processes(check_image, table.paths, "Checking images", workers, quiet, chunk=CHUNK)
    for row, result in enumerate(results):
        problems += result.problems
        if not result.pixels or (twin := seen.setdefault(result.pixels, row)) == row:
            continue
        same = table.patients[twin] == table.patients[row]
        kind = "same pixels twice" if same else "same pixels as another patient"
        advice = "see whether an image was saved twice" if same else "find out whose image it is; remove the other"
        problems.append(Problem("warning", str(table.paths[row]), f"{kind}: as {table.paths[twin].name}", advice))
    return problems


def check_split(root: Path, patients: Iterable[str]) -> list[Problem]:
    """Whether the folder's split.json, if it has one, agrees with its patients."""
    path = Path(root) / "split.json"
    if not path.exists():
        return []
    try:
        read_split(root, patients, seed=0)
    except DataError as error:
        return [Problem("error", str(path), f"wrong split: {error}", "correct it, or delete it")]
    return []


def check_labels(root: Path, table: ImageTable) -> list[Problem]:
    """Findings that no image has, and a single patient: training goes on, but that may not be what was meant."""
    problems = []
    for name, count in finding_counts(table).items():
        if len(table) and count in (0, len(table)) and name in table.findings:
            whose = "no image" if count == 0 else "every image"
            reason = f"one class only: {whose} has {name}"
            advice = "nothing, if it is right: its AUC stays blank here"
            problems.append(Problem("warning", str(root), reason, advice))
    if len(set(table.patients)) == 1:
        reason, advice = "one patient: no patient is left to validate on", "nothing, if it is right: it trains only"
        problems.append(Problem("warning", str(root), reason, advice))
    return problems


def result_of(table: ImageTable, problems: Sequence[Problem]) -> CheckResult:
    """The result with its problems in order: errors first, then by kind; files stay in the order of the table."""
    ordered = sorted(problems, key=lambda p: (p.severity, p.reason.split(":")[0]))
    return CheckResult(len(set(table.patients)), len(table), tuple(ordered), finding_counts(table))
