"""Check of a plain folder: besides `image_check`, files that are no images and patients of two files (warnings)."""

from pathlib import Path

import numpy as np

from fedward.datasets import image_folder
from fedward.datasets.base import CheckResult, FileProblem, Problem
from fedward.datasets.image_check import as_error, check_images, check_labels, check_split, result_of
from fedward.datasets.image_table import ImageTable

KNOWN_FILES = {"split.json", "partition.json", "partition.png", "plan.csv", "thumbs.db", "desktop.ini", "readme.md"}


def check(root: Path, workers: int = 0, quiet: bool = False) -> CheckResult:
    """Every problem under `root`; `workers` processes read the images (0: one a core), `quiet` hides the bar."""
    root = Path(root)
    try:
        table = image_folder.read_table(root)
        _, others = image_folder.find_files(root)
    except FileProblem as problem:
        return result_of(ImageTable((), (), np.empty((0, 0), np.float32), ()), [as_error(problem)])
    problems = [
        Problem("warning", str(path), "left out: neither PNG nor JPEG by its name", "convert it, or move it away")
        for path in others
        if path.name.lower() not in KNOWN_FILES
    ]
    first: dict[str, Path] = {}
    for path, patient in zip(table.paths, table.patients, strict=True):
        if (twin := first.setdefault(patient, path)) != path:
            reason = f"same name twice: also {twin.relative_to(root)}"
            advice = "nothing, if both are of one patient; else rename one"
            problems.append(Problem("warning", str(path), reason, advice))
    problems += check_images(table, workers, quiet) + check_split(root, table.patients) + check_labels(root, table)
    return result_of(table, problems)
