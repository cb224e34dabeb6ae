"""ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315) in its original layout.

ROOT/Data_Entry_2017.csv or ROOT/Data_Entry_2017_v2020.csv   Image Index, Finding Labels (A|B), Patient ID, ...
ROOT/images/*.png, ROOT/images_001/images/*.png to images_012, ROOT/images_001/*.png, or ROOT/*.png
ROOT/train_val_list.txt, ROOT/test_list.txt   the official split, one image a line (optional)

Columns are found by name: `OriginalImage[Width,Height]` and `OriginalImagePixelSpacing[x,y]` are each split in two by
their comma, and some copies end every line with another one. Where both tables are there, v2020 is read.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import FileProblem
from fedward.datasets.csv_table import CsvTable, first_of, plain, read_csv
from fedward.datasets.image_table import ImageTable
from fedward.datasets.selection import SelectionSettings

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
NO_FINDING = "No Finding"
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
TRAIN_LIST, TEST_LIST = "train_val_list.txt", "test_list.txt"
IMAGE, LABELS, PATIENT = "Image Index", "Finding Labels", "Patient ID"
IMAGE_FOLDER = re.compile(r"images(_\d+)?")
IMAGE_FILE = re.compile(r"[^.].*\.(png|jpe?g)", re.IGNORECASE)


@dataclass(frozen=True)
class Entries:
    """The rows of the table that can be used, and what is wrong with the others.

    names     N file names
    patients  N patients
    labels    (N, 14) float32: 1 present, 0 absent, NaN where the cell is empty
    lines     N line numbers in the table
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    labels: NDArray[np.float32]
    lines: tuple[int, ...]
    problems: tuple[FileProblem, ...]


def read_table(root: Path, selection: SelectionSettings | None = None) -> ImageTable:
    """The images under `root` in the order of the table. All are frontal and no label is uncertain.

    Raises DataError where the table or an image is missing, a row is wrong, or two files have one name.
    """
    entries = read_entries(root)
    files, problems = find_images(root)
    problems += missing_images(entries, files, root)
    if problems:
        raise first_of(problems, f"fedward check-data chestxray14 {root}")
    return ImageTable(tuple(files[name] for name in entries.names), entries.patients, entries.labels, FINDINGS)


def read_labels(root: Path, selection: SelectionSettings | None = None) -> ImageTable:
    """As `read_table` from the table alone, without looking for images: their paths are ROOT/images/<name>."""
    entries = read_entries(root)
    paths = tuple(Path(root) / "images" / name for name in entries.names)
    return ImageTable(paths, entries.patients, entries.labels, FINDINGS)


def official_test(root: Path) -> tuple[str, ...] | None:
    """The patients of test_list.txt, sorted, or None where there is no such list.

    Images in neither list go with their patient. Names that the table does not know are passed over: a part of the
    set may come with the whole lists. Raises DataError where a patient is in both lists, or in the table and neither,
    or where only train_val_list.txt is there.
    """
    test, train = (read_list(Path(root) / name) for name in (TEST_LIST, TRAIN_LIST))
    if test is None and train is not None:  # without a word, test patients would be trained on
        raise lost_test_list(root)
    if test is None:
        return None
    patients, problems = split_patients(root, read_entries(root), test, train)
    if problems:
        raise first_of(problems, f"fedward check-data chestxray14 {root}")
    return patients


def read_entries(root: Path) -> Entries:
    """The table under `root`; DataError where it is missing, lacks a column or holds a wrong row."""
    entries = parse(read_csv(table_path(root)))
    if entries.problems:
        raise first_of(entries.problems, f"fedward check-data chestxray14 {root}")
    return entries


def table_path(root: Path) -> Path:
    """The label table under `root`; DataError where there is none."""
    root = Path(root)
    if not root.is_dir():
        raise FileProblem(root, "no folder: it does not exist or is a file", "give the folder of Data_Entry_2017.csv")
    for name in TABLES:
        if (root / name).is_file():
            return root / name
    if any(re.fullmatch(r"hospital-\d+", path.name) for path in root.iterdir()):
        advice = "give one of them, or the folder that was split"
        raise FileProblem(root, "wrong folder: it holds site folders", advice)
    raise FileProblem(root, f"no table: neither {TABLES[1]} nor {TABLES[0]}", "give the folder that holds one of them")


def parse(table: CsvTable) -> Entries:
    """Names, patients and labels of the rows; a wrong row is left out and is a problem. DataError: missing column."""
    names, texts, patients = (table.column(place) for place in table.require((IMAGE, LABELS, PATIENT)))
    known: dict[str, int | str] = {}  # of some 800 different texts: row of the matrix, or what is wrong
    matrix: list[NDArray[np.float32]] = []
    seen: dict[str, int] = {}
    rows, kept, problems = [], [], []
    for row, (name, text, patient, line) in enumerate(zip(names, texts, patients, table.lines, strict=True)):
        if text not in known:
            vector = label_vector(text)
            known[text] = vector if isinstance(vector, str) else len(matrix)
            matrix += [] if isinstance(vector, str) else [vector]
        place = known[text]
        advice = "correct the row or restore the original table"
        if not name or not patient:
            problem = f"incomplete row: line {line} lacks {IMAGE if not name else PATIENT}"
        elif isinstance(place, str):
            problem = f"{place}, line {line} ({name})"
            if problem.startswith("unknown finding"):
                advice = f"use {', '.join(FINDINGS)} or {NO_FINDING}"
        elif name in seen:
            problem = f"image twice: {name} in lines {seen[name]} and {line}"
        else:
            seen[name] = line
            rows.append(row)
            kept.append(place)
            continue
        problems.append(FileProblem(table.path, problem, advice))
    labels = np.array(matrix, np.float32).reshape(-1, len(FINDINGS))[np.array(kept, np.int64)]
    chosen = [tuple(values[row] for row in rows) for values in (names, patients)]
    return Entries(chosen[0], chosen[1], labels, tuple(table.lines[row] for row in rows), tuple(problems))


def label_vector(text: str) -> NDArray[np.float32] | str:
    """(14,) float32 of a cell such as `Mass|Hernia`, zeros for `No Finding`, NaN for an empty one; or what is wrong."""
    vector = np.zeros(len(FINDINGS), np.float32)
    if not text:
        return np.full_like(vector, np.nan)
    parts = [part.strip() for part in text.split("|")]
    if NO_FINDING in parts:
        return vector if parts == [NO_FINDING] else f"contradiction: {text!r}"
    for part in parts:
        if part.replace(" ", "_") not in FINDINGS:
            meant = next((name for name in (*FINDINGS, NO_FINDING) if plain(name) == plain(part)), None)
            return f"unknown finding: {part!r}" + (f", write {meant}" if meant else "")
        vector[FINDINGS.index(part.replace(" ", "_"))] = 1
    return vector


def find_images(root: Path) -> tuple[dict[str, Path], list[FileProblem]]:
    """The image files under `root` by name, and the names that stand in two folders."""
    root = Path(root)
    folders = [root]
    for outer in sorted(path for path in root.iterdir() if IMAGE_FOLDER.fullmatch(path.name) and path.is_dir()):
        folders += [outer, outer / "images"]
    files: dict[str, Path] = {}
    problems = []
    for folder in folders:
        for name in image_names(folder):
            if name in files:
                reason = f"same name twice: also in {files[name].parent}"
                problems.append(FileProblem(folder / name, reason, "keep one of the two"))
            files.setdefault(name, folder / name)
    return files, problems


def image_names(folder: Path) -> list[str]:
    """Sorted names of the image files in a folder; none where it does not exist."""
    if not folder.is_dir():
        return []
    try:
        return sorted(name for name in os.listdir(folder) if IMAGE_FILE.fullmatch(name))
    except OSError as error:
        raise FileProblem(folder, f"unreadable: {error.strerror}", "check the folder's permissions") from error


def missing_images(entries: Entries, files: dict[str, Path], root: Path) -> list[FileProblem]:
    """The rows of the table whose image is nowhere under `root`."""
    advice = "add the image, or take its row out of the table"
    return [
        FileProblem(Path(root) / name, f"image missing: named in line {line} of the table", advice)
        for name, line in zip(entries.names, entries.lines, strict=True)
        if name not in files
    ]


def read_list(path: Path) -> tuple[str, ...] | None:
    """The image names in a list, one a line; None where the file is missing, DataError where it is no text or empty."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise FileProblem(path, f"unreadable: {error}", "restore the original list") from error
    if not lines:
        raise FileProblem(path, "empty list: it names no image", "restore the original list, or remove it")
    return tuple(lines)


def lost_test_list(root: Path) -> FileProblem:
    """What is wrong where train_val_list.txt stands alone."""
    reason = f"no test list: {TEST_LIST} is not beside it"
    advice = f"bring {TEST_LIST} back, or give --fold to `fedward partition`"
    return FileProblem(Path(root) / TRAIN_LIST, reason, advice)


def split_patients(
    root: Path, entries: Entries, test: Iterable[str], train: Iterable[str] | None
) -> tuple[tuple[str, ...], list[FileProblem]]:
    """The patients of the images in `test`, sorted, and those who have images in `train` too or in neither list."""
    patient_of = dict(zip(entries.names, entries.patients, strict=True))
    tested = {patient_of[name] for name in test if name in patient_of}
    path = Path(root) / TEST_LIST
    problems = []
    if train is not None:
        trained = {patient_of[name] for name in train if name in patient_of}
        problems += [
            FileProblem(path, f"patient in both lists: {patient}", "keep the patient's images in one list")
            for patient in sorted(tested & trained)
        ]
        problems += [
            FileProblem(path, f"patient in no list: {patient}", "add the patient's images to one of the lists")
            for patient in sorted(set(entries.patients) - tested - trained)
        ]
    if not tested:
        reason = "no test patient: no image in the list is in the table"
        problems.append(FileProblem(path, reason, "restore the original list, or remove it"))
    return tuple(sorted(tested)), problems
