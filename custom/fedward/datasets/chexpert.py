"""CheXpert (Irvin et al. 2019, arXiv 1901.07031) in its original layout, `CheXpert-v1.0` or `CheXpert-v1.0-small`.

ROOT/train.csv, valid.csv, test.csv   Path, Sex, Age, Frontal/Lateral, AP/PA, 14 findings; at least one of the three
ROOT/train/patient00001/study1/view1_frontal.jpg, ROOT/valid/..., ROOT/test/...

Paths in the tables start with the archive's name, which is stripped. Only Path and the findings are needed: the test
table lacks other columns, and the view is in the file's name too. Labels: 1 present, 0 absent; a blank (the report
does not mention the finding) is read as absent, as in the paper, whose three policies differ in -1 (uncertain) only.
"""

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import FileProblem, no_image_file
from fedward.datasets.csv_table import CsvTable, first_of, read_csv
from fedward.datasets.image_table import ImageTable
from fedward.datasets.selection import SelectionSettings

FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
TRAIN_TABLE, HELD_BACK = "train.csv", ("valid.csv", "test.csv")
PATH, VIEW = "Path", "Frontal/Lateral"
PARTS = ("train", "valid", "test")
PATIENT = re.compile(r"patient\d+")
UNCERTAIN, WRONG = -1, 9
LABELS = {"": 0, "0": 0, "0.0": 0, "1": 1, "1.0": 1, "-1": UNCERTAIN, "-1.0": UNCERTAIN}


def read_table(root: Path, selection: SelectionSettings | None = None) -> ImageTable:
    """The images of the chosen views under `root`, in the order of the tables: train, valid, test.

    Raises DataError where a table or an image is missing or a row is wrong.
    """
    table = read_labels(root, selection)
    if problems := missing_images(table.paths):
        raise first_of(problems, f"fedward check-data chexpert {root}")
    return table


def read_labels(root: Path, selection: SelectionSettings | None = None) -> ImageTable:
    """As `read_table` from the tables alone, without looking for images."""
    selection = selection or SelectionSettings()
    parts, problems = [], []
    for path in table_paths(root):
        table, frontal, wrong = parse(read_csv(path), Path(root))
        problems += wrong
        parts.append(table if selection.views == "all" else table.select(frontal))
    whole = joined(parts)
    problems += patients_twice(root, parts) + repeated(whole, root)
    if problems:
        raise first_of(problems, f"fedward check-data chexpert {root}")
    if not len(whole):
        advice = "use --views all, or another folder"
        raise FileProblem(Path(root), "no frontal image: the tables name lateral ones only", advice)
    labels = apply_policy(whole.labels, selection)
    return ImageTable(whole.paths, whole.patients, labels, FINDINGS)


def apply_policy(labels: NDArray[np.float32], selection: SelectionSettings) -> NDArray[np.float32]:
    """Labels with -1 replaced: ignore -> NaN (U-Ignore), zeros -> 0 (U-Zeros), ones -> 1 (U-Ones)."""
    value = {"ignore": np.nan, "zeros": 0, "ones": 1}[selection.uncertain]
    return np.where(labels == UNCERTAIN, value, labels).astype(np.float32)


def official_test(root: Path) -> tuple[str, ...] | None:
    """The patients of valid.csv and test.csv, whom the publishers hold back, sorted; None where there is no such table.

    Nobody else's images are left where train.csv is missing, so that is None too. Raises DataError as `read_labels`.
    """
    held_back = [path for path in table_paths(root) if path.name in HELD_BACK]
    if not held_back or not (Path(root) / TRAIN_TABLE).is_file():
        return None
    read_labels(root, SelectionSettings(views="all"))  # checks that nobody is in two tables
    return tuple(sorted({name for path in held_back for name in parse(read_csv(path), Path(root))[0].patients}))


def table_paths(root: Path) -> list[Path]:
    """The label tables under `root`: train, valid, test; DataError where there is none."""
    root = Path(root)
    if not root.is_dir():
        raise FileProblem(root, "no folder: it does not exist or is a file", "give the folder that holds train.csv")
    found = [root / name for name in (TRAIN_TABLE, *HELD_BACK) if (root / name).is_file()]
    if found:
        return found
    if any(re.fullmatch(r"hospital-\d+", path.name) for path in root.iterdir()):
        advice = "give one of them, or the folder that was split"
        raise FileProblem(root, "wrong folder: it holds site folders", advice)
    raise FileProblem(root, "no table: neither train.csv, valid.csv nor test.csv", "give the folder that holds them")


def parse(table: CsvTable, root: Path) -> tuple[ImageTable, NDArray[np.bool_], list[FileProblem]]:
    """The rows of one table with labels as they stand (1, 0, -1; blank 0), which are frontal, and the wrong rows.

    A wrong row is left out. Raises DataError where a column is missing.
    """
    path_column, *finding_columns = table.require((PATH, *FINDINGS))
    view_column = table.find(VIEW)
    paths = table.column(path_column)
    views = table.column(view_column) if view_column is not None else [""] * len(paths)
    cells = [table.column(place) for place in finding_columns]
    labels = np.array([[LABELS.get(cell, WRONG) for cell in column] for column in cells], np.float32).T
    folder = str(root)
    readable = (labels != WRONG).all(axis=1)
    advice = "correct the row or restore the original table"
    rows, files, patients, frontal, problems = [], [], [], [], []
    for row, (text, view, line) in enumerate(zip(paths, views, table.lines, strict=True)):
        parts = below_root(text)
        patient = next((part for part in parts if PATIENT.fullmatch(part)), None)
        if patient is None:
            problem = f"wrong path: line {line} has {text!r}, not .../patient<n>/study<n>/view<n>_<view>.jpg"
        elif not readable[row]:
            place = int(np.argmax(labels[row] == WRONG))
            problem = f"wrong label: line {line} has {cells[place][row]!r} for {FINDINGS[place]}, not 1, 0, -1 or blank"
        elif (is_frontal := frontal_view(view, parts[-1])) is None:
            problem = f"unknown view: line {line} says neither Frontal nor Lateral ({text})"
        else:
            rows.append(row)
            files.append(Path("/".join((folder, *parts))))  # of one string: four times faster
            patients.append(patient)
            frontal.append(is_frontal)
            continue
        problems.append(FileProblem(table.path, problem, advice))
    chosen = np.ascontiguousarray(labels[np.array(rows, np.int64)])
    return ImageTable(tuple(files), tuple(patients), chosen, FINDINGS), np.array(frontal, np.bool_), problems


def below_root(text: str) -> list[str]:
    """The parts of a path below ROOT: what stands before train/, valid/ or test/ is the archive's name. Wrong: []."""
    parts = text.split("/")
    start = next((place for place, part in enumerate(parts) if part in PARTS), len(parts))
    return [] if ".." in parts else parts[start:]


def frontal_view(view: str, name: str) -> bool | None:
    """Whether an image is frontal, by the table's column or, where that is blank, the file's name; None: unknown."""
    word = view.lower() or ("frontal" if "frontal" in name.lower() else "lateral" if "lateral" in name.lower() else "")
    return {"frontal": True, "lateral": False}.get(word)


def joined(parts: list[ImageTable]) -> ImageTable:
    """The rows of several tables, one after the other."""
    return ImageTable(
        tuple(path for part in parts for path in part.paths),
        tuple(patient for part in parts for patient in part.patients),
        np.concatenate([np.empty((0, len(FINDINGS)), np.float32), *(part.labels for part in parts)]),
        FINDINGS,
    )


def patients_twice(root: Path, parts: list[ImageTable]) -> list[FileProblem]:
    """Patients who are in two of the tables, so that they would be in training and test alike."""
    seen: set[str] = set()
    twice: set[str] = set()
    for part in parts:
        twice |= seen & set(part.patients)
        seen |= set(part.patients)
    reason, advice = "patient in two tables", "keep the patient's rows in one of train.csv, valid.csv and test.csv"
    return [FileProblem(Path(root), f"{reason}: {patient}", advice) for patient in sorted(twice)]


def repeated(table: ImageTable, root: Path) -> list[FileProblem]:
    """Images that more than one row names."""
    seen: set[Path] = set()
    advice = "keep one of the rows"
    twice = [path for path in table.paths if path in seen or seen.add(path)]  # type: ignore[func-returns-value]
    return [FileProblem(path, "image twice: two rows name it", advice) for path in twice]


def missing_images(paths: tuple[Path, ...]) -> list[FileProblem]:
    """The files that are not there, or are folders."""
    advice = "add the image, or take its row out of the table"
    missing = [path for path in paths if not os.path.isfile(path)]
    return [
        no_image_file(path) if os.path.lexists(path) else FileProblem(path, "image missing: a row names it", advice)
        for path in missing
    ]
