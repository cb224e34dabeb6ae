"""Check of a ChestX-ray14 folder: every problem, found before training.

Errors besides those of `image_check`: a missing table or column, unknown findings and other wrong rows, rows without
image, an image name twice, a patient in both official lists or in neither, a wrong split.json.
Warnings: images without row (they are left out), empty labels, ages that cannot be, images named after another
patient, IDs that differ only in leading zeros, names in the lists that the table does not know, a training list without
test list, and counts that are not the published ones.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fedward.datasets import chestxray14 as nih
from fedward.datasets.base import CheckResult, FileProblem, Problem
from fedward.datasets.csv_table import CsvTable, read_csv
from fedward.datasets.image_check import as_error, as_warning, check_images, check_labels, check_split, result_of
from fedward.datasets.image_table import ImageTable, finding_counts

AGE = re.compile(r"0*(\d+)([YMWD]?)")
OLDEST = 120  # years
# Wang et al. 2017, the released table: 112,120 images of 30,805 patients
PUBLISHED_IMAGES = 112_120
PUBLISHED = {
    "Atelectasis": 11_559,
    "Cardiomegaly": 2_776,
    "Effusion": 13_317,
    "Infiltration": 19_894,
    "Mass": 5_782,
    "Nodule": 6_331,
    "Pneumonia": 1_431,
    "Pneumothorax": 5_302,
    "Consolidation": 4_667,
    "Edema": 2_303,
    "Emphysema": 2_516,
    "Fibrosis": 1_686,
    "Pleural_Thickening": 3_385,
    "Hernia": 227,
    "No Finding": 60_361,
}


def check(root: Path, workers: int = 0, quiet: bool = False) -> CheckResult:
    """Every problem under `root`; `workers` processes read the images (0: one a core), `quiet` hides the bar."""
    root = Path(root)
    empty = ImageTable((), (), np.empty((0, len(nih.FINDINGS)), np.float32), nih.FINDINGS)
    try:
        csv_table = read_csv(nih.table_path(root))
        entries = nih.parse(csv_table)
        files, twice = nih.find_images(root)
    except FileProblem as problem:
        return result_of(empty, [as_error(problem)])
    refused = [*entries.problems, *twice, *nih.missing_images(entries, files, root)]
    rows = [row for row, name in enumerate(entries.names) if name in files]
    whole = ImageTable(tuple(root / name for name in entries.names), entries.patients, entries.labels, nih.FINDINGS)
    present = ImageTable(
        tuple(files[entries.names[row]] for row in rows),
        tuple(entries.patients[row] for row in rows),
        entries.labels[np.array(rows, np.int64)],
        nih.FINDINGS,
    )
    problems = [as_error(problem) for problem in refused]
    named = set(csv_table.column(csv_table.require([nih.IMAGE])[0]))  # a wrong row names its image all the same
    problems += [
        Problem("warning", str(path), "image without row: it is left out", "add its row, or move it away")
        for name, path in sorted(files.items())
        if name not in named
    ]
    problems += check_rows(csv_table) + _check_spellings(csv_table.path, entries.patients)
    problems += _check_lists(root, entries) + _check_counts(csv_table.path, whole)
    problems += check_images(present, workers, quiet)
    problems += check_split(root, entries.patients) + check_labels(root, present)
    return result_of(present, problems)


def check_rows(table: CsvTable) -> list[Problem]:
    """Empty labels, ages that cannot be, and images named after another patient than their row says."""
    names, labels, patients = (table.column(place) for place in table.require((nih.IMAGE, nih.LABELS, nih.PATIENT)))
    age_column = table.find("Patient Age")
    ages = table.column(age_column) if age_column is not None else [""] * len(names)
    problems = []

    def warn(reason: str, advice: str) -> None:
        problems.append(Problem("warning", str(table.path), reason, advice))

    for name, label, patient, age, line in zip(names, labels, patients, ages, table.lines, strict=True):
        if not label:
            warn(f"empty label: {name}, line {line}", "write No Finding where that is meant: an empty label is unknown")
        years = age_in_years(age) if age else 0.0
        if years is None or years > OLDEST:
            warn(f"impossible age: {age!r}, line {line} ({name})", "nothing: training does not use it")
        prefix = re.match(r"(\d{8})_\d+\.", name)
        if prefix and patient.isdigit() and int(prefix[1]) != int(patient):
            advice = "see whether the table's columns have slipped"
            warn(f"other patient in the name: {name} belongs to {patient}, line {line}", advice)
    return problems


def _check_spellings(path: Path, patients: Iterable[str]) -> list[Problem]:
    """Patients whose IDs differ only in leading zeros: perhaps one, and then in training and test alike."""
    spellings: dict[str, set[str]] = {}
    for patient in patients:
        spellings.setdefault(patient.lstrip("0"), set()).add(patient)
    advice = "write one of them throughout, if it is one patient: else training and test may share a patient"
    return [
        Problem("warning", str(path), f"patient in two spellings: {' and '.join(sorted(found))}", advice)
        for found in spellings.values()
        if len(found) > 1
    ]


def age_in_years(text: str) -> float | None:
    """Years from `58`, `058Y`, `006M` (months), `010W` (weeks) or `015D` (days); None where it is none of these."""
    match = AGE.fullmatch(text)
    return int(match[1]) / {"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2]] if match else None


def _check_lists(root: Path, entries: nih.Entries) -> list[Problem]:
    try:
        test, train = (nih.read_list(root / name) for name in (nih.TEST_LIST, nih.TRAIN_LIST))
    except FileProblem as problem:
        return [as_error(problem)]
    problems = [as_warning(nih.lost_test_list(root))] if test is None and train is not None else []
    for name, images in ((nih.TEST_LIST, test), (nih.TRAIN_LIST, train)):
        if images is not None and (unknown := set(images) - set(entries.names)):
            reason = f"unknown names: {len(unknown):,} of {len(set(images)):,}, such as {min(unknown)}"
            advice = "nothing, if the folder holds a part of the set"
            problems.append(Problem("warning", str(root / name), reason, advice))
    if test is not None:
        problems += [as_error(problem) for problem in nih.split_patients(root, entries, test, train)[1]]
    return problems


def _check_counts(path: Path, table: ImageTable) -> list[Problem]:
    """A table of as many images as the published one must hold its counts."""
    if len(table) != PUBLISHED_IMAGES:
        return []
    found = finding_counts(table)
    return [
        Problem("warning", str(path), f"other count: {name} {found[name]:,}, published {count:,}", "see who changed it")
        for name, count in PUBLISHED.items()
        if found[name] != count
    ]
