"""Check of a CheXpert folder: every problem, found before training.

Errors besides those of `image_check`: no table, a missing column, wrong paths, labels and views, rows without image, an
image in two rows, a patient in two tables, a wrong split.json.
Warnings: images without row (they are left out).
"""

import os
from pathlib import Path

from fedward.datasets import chexpert
from fedward.datasets.base import CheckResult, FileProblem, Problem
from fedward.datasets.csv_table import read_csv
from fedward.datasets.image_check import as_error, check_images, check_labels, check_split, result_of
from fedward.datasets.image_folder import IMAGE_FILE
from fedward.datasets.image_table import ImageTable
from fedward.datasets.selection import SelectionSettings


def check(root: Path, workers: int = 0, quiet: bool = False) -> CheckResult:
    """Every problem under `root`, lateral views included; `workers` processes read the images (0: one a core)."""
    root = Path(root)
    problems, parts = [], []
    try:
        for path in chexpert.table_paths(root):
            try:
                table, _, wrong = chexpert.parse(read_csv(path), root)
            except FileProblem as problem:
                wrong = [problem]
            else:
                parts.append(table)
            problems += [as_error(problem) for problem in wrong]
    except FileProblem as problem:
        problems.append(as_error(problem))
    whole = chexpert.joined(parts)
    missing = chexpert.missing_images(whole.paths)
    refused = [*chexpert.patients_twice(root, parts), *chexpert.repeated(whole, root), *missing]
    problems += [as_error(problem) for problem in refused]
    absent = {problem.path for problem in missing}
    present = whole.select([row for row, path in enumerate(whole.paths) if path not in absent])
    problems += _without_row(root, whole)
    problems += check_images(unique(present), workers, quiet)
    problems += check_split(root, whole.patients)
    labelled = ImageTable(
        present.paths,
        present.patients,
        chexpert.apply_policy(present.labels, SelectionSettings()),
        chexpert.FINDINGS,
    )
    return result_of(labelled, [*problems, *check_labels(root, labelled)])


def unique(table: ImageTable) -> ImageTable:
    """The first row of each image: one that is named twice is reported as such, and read once."""
    first = {path: row for row, path in reversed(list(enumerate(table.paths)))}
    return table.select(sorted(first.values()))


def _without_row(root: Path, table: ImageTable) -> list[Problem]:
    known = set(map(str, table.paths))
    found = []
    for part in chexpert.PARTS:
        for folder, inner, names in os.walk(root / part):
            inner.sort()
            paths = (os.path.join(folder, name) for name in sorted(names) if IMAGE_FILE.fullmatch(name))
            found += [path for path in paths if path not in known]
    reason, advice = "image without row: it is left out", "add its row, or move it away"
    return [Problem("warning", path, reason, advice) for path in found]
