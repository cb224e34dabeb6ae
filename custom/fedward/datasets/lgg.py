"""LGG brain MRI with tumour masks, in the layout of Kaggle `mateuszbuda/lgg-mri-segmentation` (Buda et al. 2019).

ROOT/TCGA_<institution>_<patient>_<date>/TCGA_<institution>_<patient>_<date>_<n>.tif   RGB: pre-contrast, FLAIR, post
ROOT/TCGA_<institution>_<patient>_<date>/TCGA_<institution>_<patient>_<date>_<n>_mask.tif   0 or 255
ROOT/data.csv   clinical table (optional, not used for training)

ROOT is `kaggle_3m`, the folder that holds `kaggle_3m`, or a site folder laid out by `fedward partition`. Folders are
never searched recursively, because the archive holds the whole tree twice.
"""

import csv
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import Case, FileProblem, Volume
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
        raise no_patients(folder)
    for problem in same_patients(folders):
        raise problem
    return [find_case(path) for path in folders]


def find_case(folder: Path) -> Case:
    """The patient whose slices lie in `folder`; DataError where it holds no image or a slice number twice."""
    images, masks, _ = slice_files(folder)
    if not images:
        raise FileProblem(
            folder, f"no image: no file named {folder.name}_<n>.tif", "add the slices or remove the folder"
        )
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
            raise wrong_size(path, size, case.images[0], sizes[0])
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
        raise FileProblem(path, f"mask not binary: values {shown}", "save it with 0 and 255 only")
    return pixels > 0


def _read_tiff(path: Path, samples: int, bits: set[int]) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        # Pillow's own words on damage are left out: the error below says it with the file's name.
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["TIFF"]) as image:
            tags = image.tag_v2  # type: ignore[attr-defined]
            found = tags.get(SAMPLES_PER_PIXEL, 1)
            depths = tags.get(BITS_PER_SAMPLE, (1,))
            depths = set(depths) if isinstance(depths, tuple) else {depths}
            frames = getattr(image, "n_frames", 1)
            mode = image.mode
            if found == samples and depths <= bits and frames == 1 and mode in {1: ("L", "1"), 3: ("RGB",)}[samples]:
                return np.array(image, dtype=np.uint8)
    except FileNotFoundError:
        raise FileProblem(path, "missing: no such file", "restore it from the original") from None
    except Exception as error:  # Pillow lets errors of many kinds through for a damaged file
        reason = str(error).replace(str(path), path.name)
        raise FileProblem(path, f"unreadable: {reason}", "copy it again from the original") from error
    # Pillow would open 16-bit RGB as 8-bit without a word, so the tags decide.
    wanted = "8-bit RGB (3 channels)" if samples == 3 else "8-bit grey (1 channel)"
    depth = "/".join(str(d) for d in sorted(depths))
    raise FileProblem(
        path,
        f"wrong type: {found} channel(s) of {depth} bit, {frames} page(s), {mode}",
        f"save it as one page of {wanted}",
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
        raise FileProblem(
            root, "no folder: it does not exist or is a file", "give kaggle_3m or the folder that holds it"
        )
    inner = root / "kaggle_3m"
    return inner if inner.is_dir() and not patient_folders(root) else root


def no_patients(folder: Path) -> FileProblem:
    """Why a folder without patients may be the wrong one, and what to do."""
    names = list_names(folder)
    if not names:
        return FileProblem(
            folder, "empty folder: it holds no data", "put the patients' folders there or give another one"
        )
    if any(re.fullmatch(r"hospital-\d+", name) for name in names):
        return FileProblem(
            folder, "wrong folder: it holds site folders", "give one of them, or the folder that was split"
        )
    reason = "wrong folder: nothing in it is named TCGA_<institution>_<patient>_<date>"
    return FileProblem(folder, reason, "give kaggle_3m or the folder that holds it")


def same_patients(folders: list[Path]) -> list[FileProblem]:
    """Folders of a patient who has another folder, with another date, already."""
    seen: dict[str, str] = {}
    problems = []
    for path in folders:
        first = seen.setdefault(person_of(path.name), path.name)
        if first != path.name:
            advice = "keep one of the two, or the patient may be in training and test alike"
            problems.append(FileProblem(path, f"same patient twice: also in {first}", advice))
    return problems


def wrong_size(path: Path, size: str, first: Path, first_size: str) -> FileProblem:
    """A slice or mask that does not have the size of the patient's first slice."""
    return FileProblem(path, f"wrong size: {size}, but {first.name} is {first_size}", "give all of a patient one size")


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
            raise FileProblem(folder / name, f"same slice twice: also {files[number].name}", "remove one of the two")
        files[number] = folder / name
    return images, masks, other


def list_names(folder: Path) -> list[str]:
    """Sorted names in a folder without hidden files and files known to be no data; DataError where it is unreadable."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise FileProblem(folder, f"unreadable: {error.strerror}", "check the folder's permissions") from error
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
