"""LGG brain MRI with tumour masks, in the layout of Kaggle `mateuszbuda/lgg-mri-segmentation` (Buda et al. 2019).

ROOT/TCGA_<institution>_<patient>_<date>/TCGA_<institution>_<patient>_<date>_<n>.tif   RGB: pre-contrast, FLAIR, post
ROOT/TCGA_<institution>_<patient>_<date>/TCGA_<institution>_<patient>_<date>_<n>_mask.tif   0 or 255
ROOT/data.csv   clinical table (optional, not used for training)

ROOT is `kaggle_3m`, the folder that holds `kaggle_3m`, or a site folder laid out by `fedward partition`. Folders are
never searched recursively, because the archive holds the whole tree twice.
"""

import csv
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import Case, Volume
from fedward.errors import DataError

PATIENT_FOLDER = re.compile(r"(TCGA_([A-Z0-9]+)_[A-Z0-9]+)_\d{8}")
SLICE_FILE = re.compile(r"(.+?)_(\d{1,6})(_mask)?\.tiff?", re.IGNORECASE)
NOT_DATA = {"data.csv", "split.json", "partition.json", "partition.png", "thumbs.db", "desktop.ini", "__macosx"}
BITS_PER_SAMPLE, SAMPLES_PER_PIXEL = 258, 277  # TIFF tags


def find_cases(root: Path) -> list[Case]:
    """The patients under `root`, sorted by name. Masks are named but not opened; slices are sorted as integers.

    Raises DataError where the folder holds no patient, a patient's folder holds no image, or a patient has two folders.
    """
    folder = data_folder(root)
    folders = patient_folders(folder)
    if not folders:
        raise DataError(f"{folder} {no_patients(folder)}")
    seen: dict[str, str] = {}
    cases = []
    for path in folders:
        person = person_of(path.name)
        if person in seen:
            raise DataError(
                f"{folder}: {seen[person]} and {path.name} are the same patient, who could end up in training and test "
                "alike: keep one of the two folders"
            )
        seen[person] = path.name
        cases.append(find_case(path))
    return cases


def find_case(folder: Path) -> Case:
    """The patient whose slices lie in `folder`; DataError where it holds no image or a slice number twice."""
    images, masks, _ = slice_files(folder)
    if not images:
        raise DataError(f"{folder} holds no image named {folder.name}_<n>.tif: put the slices there or remove it")
    slices = tuple(sorted(images))
    return Case(
        patient=folder.name,
        institution=institution_of(folder.name),
        slices=slices,
        images=tuple(images[n] for n in slices),
        masks=tuple(masks.get(n, images[n].with_name(f"{images[n].stem}_mask.tif")) for n in slices),
    )


def read_case(case: Case) -> Volume:
    """All slices of a patient: image (S, H, W, 3) uint8, mask (S, H, W) bool.

    Raises DataError, with the file's name, where a file is missing, damaged, or of another type or size.
    """
    images = [read_image(path) for path in case.images]
    masks = [read_mask(path) for path in case.masks]
    sizes = [size_text(pixels) for pixels in images] + [size_text(pixels) for pixels in masks]
    for path, size in zip(case.images + case.masks, sizes, strict=True):
        if size != sizes[0]:
            raise DataError(
                f"{path}: wrong size: {size}, but {case.images[0].name} is {sizes[0]}; "
                "all images and masks of a patient must have one size"
            )
    return Volume(case.patient, np.stack(images), np.stack(masks))


def read_image(path: Path) -> NDArray[np.uint8]:
    """One slice, (H, W, 3) uint8: pre-contrast, FLAIR, post-contrast. DataError where it is anything else."""
    pixels = _read_tiff(path, samples=3, bits={8})
    return pixels.astype(np.uint8, copy=False)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """One tumour mask, (H, W) bool, from values 0 and 255 (or 0 and 1). DataError where it is anything else."""
    pixels = _read_tiff(path, samples=1, bits={1, 8})
    values = np.unique(pixels)
    if not (set(values.tolist()) <= {0, 255} or set(values.tolist()) <= {0, 1}):
        shown = ", ".join(str(v) for v in values[:6]) + (", ..." if len(values) > 6 else "")
        raise DataError(f"{path}: mask not binary: it holds the values {shown}; save it with 0 and 255 only")
    return pixels > 0


def _read_tiff(path: Path, samples: int, bits: set[int]) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path, formats=["TIFF"]) as image:
            tags = image.tag_v2  # type: ignore[attr-defined]
            found = tags.get(SAMPLES_PER_PIXEL, 1)
            depths = tags.get(BITS_PER_SAMPLE, (1,))
            depths = set(depths) if isinstance(depths, tuple) else {depths}
            frames = getattr(image, "n_frames", 1)
            mode = image.mode
            if found == samples and depths <= bits and frames == 1 and mode in {1: ("L", "1"), 3: ("RGB",)}[samples]:
                return np.array(image, dtype=np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: restore it from the original") from None
    except Exception as error:  # Pillow lets errors of many kinds through for a damaged file
        reason = str(error).replace(str(path), path.name)
        raise DataError(f"{path}: unreadable: {reason}; copy it again from the original") from error
    # Pillow would open 16-bit RGB as 8-bit without a word, so the tags decide.
    wanted = "8-bit RGB (3 channels)" if samples == 3 else "8-bit grey (1 channel)"
    raise DataError(
        f"{path}: wrong type: it has {found} channel(s) of {'/'.join(str(d) for d in sorted(depths))} bit, "
        f"{frames} page(s), mode {mode}; save it as one page of {wanted}"
    )


def read_patient_table(path: Path) -> dict[str, dict[str, str | None]]:
    """`data.csv`: patient (e.g. TCGA_CS_4942) -> column -> text, or None where the cell is empty.

    Reads semicolons and commas. DataError where the column `Patient` is missing or a patient is listed twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text ({error}): save it as CSV in UTF-8") from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    delimiter = ";" if header.count(";") > header.count(",") else ","
    rows = csv.DictReader(lines, delimiter=delimiter)
    if "Patient" not in (rows.fieldnames or ()):
        raise DataError(f"{path} has no column 'Patient' in its first line: restore the original data.csv")
    table: dict[str, dict[str, str | None]] = {}
    for row in rows:
        name = (row["Patient"] or "").strip()
        if not name:
            continue
        if name in table:
            raise DataError(f"{path}, line {rows.line_num}: patient {name} is listed twice: keep one line")
        cells = {key: value for key, value in row.items() if isinstance(key, str) and key != "Patient"}
        table[name] = {key: (value or "").strip() or None for key, value in cells.items()}
    return table


def data_folder(root: Path) -> Path:
    """The folder that holds the patients: `root`, or `root/kaggle_3m`. DataError where `root` is no folder."""
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is no folder: give the folder kaggle_3m or the one that holds it")
    inner = root / "kaggle_3m"
    return inner if inner.is_dir() and not patient_folders(root) else root


def no_patients(folder: Path) -> str:
    """Why a folder without patients may be the wrong one, and what to do; to follow the folder's name."""
    names = list_names(folder)
    if not names:
        return "is empty: put the patients' folders there, or give another folder"
    if any(re.fullmatch(r"hospital-\d+", name) for name in names):
        return "holds site folders (hospital-01, ...): give one of them, or the folder that was split"
    return "holds no folder named TCGA_<institution>_<patient>_<date>: give kaggle_3m or the folder that holds it"


def patient_folders(folder: Path) -> list[Path]:
    """Folders named like a patient, sorted by name."""
    paths = (folder / name for name in list_names(folder) if PATIENT_FOLDER.fullmatch(name))
    return [path for path in paths if path.is_dir()]


def slice_files(folder: Path) -> tuple[dict[int, Path], dict[int, Path], list[Path]]:
    """Images and masks of a patient's folder by slice number, and the files that are neither.

    Raises DataError where two files claim the same slice.
    """
    images: dict[int, Path] = {}
    masks: dict[int, Path] = {}
    other: list[Path] = []
    for name in list_names(folder):
        match = SLICE_FILE.fullmatch(name)
        if not match or match[1] != folder.name:
            other.append(folder / name)
            continue
        files = masks if match[3] else images
        number = int(match[2])
        if number in files:
            raise DataError(f"{folder / name} and {files[number].name} claim the same slice: remove one of them")
        files[number] = folder / name
    return images, masks, other


def list_names(folder: Path) -> list[str]:
    """Sorted names in a folder without hidden files and files known to be no data; DataError where it is unreadable."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}): check its permissions") from error
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in NOT_DATA)


def person_of(patient: str) -> str:
    """The person behind a folder's name, without the date: TCGA_CS_4942_19970222 -> TCGA_CS_4942."""
    match = PATIENT_FOLDER.fullmatch(patient)
    return match[1] if match else patient


def institution_of(patient: str) -> str:
    """The TCGA tissue source site in a folder's name: TCGA_CS_4942_19970222 -> CS."""
    match = PATIENT_FOLDER.fullmatch(patient)
    return match[2] if match else ""


def size_text(pixels: NDArray[np.generic]) -> str:
    """Width x height of an image (H, W, ...), as people write it."""
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
