"""A plain folder of X-ray images without labels, for pretraining: PNG and JPEG files, in any depth of folders.

Each image is a patient, named by its path below the folder without ending, "/" written "__": deep/er/c.png is
deep__er__c. Two files that differ only in their ending, such as c.png and c.jpg, are one patient's.
"""

import re
from pathlib import Path

import numpy as np

from fedward.datasets.base import FileProblem
from fedward.datasets.folder_walk import walk
from fedward.datasets.image_table import ImageTable
from fedward.datasets.selection import SelectionSettings

IMAGE_FILE = re.compile(r"[^.].*\.(png|jpe?g)", re.IGNORECASE)
NOT_DATA = {"partition.png"}
SITE_FOLDER = re.compile(r"hospital-\d+")


def read_table(root: Path, selection: SelectionSettings | None = None) -> ImageTable:
    """The images under `root`, sorted by path, without labels; DataError where there is none."""
    paths, _ = find_files(root)
    if not paths:
        advice = "give the folder that holds the images"
        raise FileProblem(Path(root), "no image: no PNG or JPEG file in it or below it", advice)
    labels = np.empty((len(paths), 0), np.float32)
    return ImageTable(tuple(paths), tuple(patient_name(path, Path(root)) for path in paths), labels, ())


def patient_name(path: Path, root: Path) -> str:
    """The patient of an image below `root`: deep/er/c.png -> deep__er__c."""
    return "__".join(path.relative_to(root).with_suffix("").parts)


def official_test(root: Path) -> None:
    """A plain folder names no test patients."""


def find_files(root: Path) -> tuple[list[Path], list[Path]]:
    """The images under `root` and the other files, both sorted; hidden files and folders are passed over."""
    root = Path(root)
    if not root.is_dir():
        raise FileProblem(root, "no folder: it does not exist or is a file", "give the folder that holds the images")
    if any(SITE_FOLDER.fullmatch(path.name) for path in root.iterdir()):  # test images would be among them
        advice = "give one of them, or the folder that was split"
        raise FileProblem(root, "wrong folder: it holds site folders", advice)
    images, others = [], []
    for folder, _, names in walk(root):
        for name in names:
            if IMAGE_FILE.fullmatch(name) and name not in NOT_DATA:
                images.append(folder / name)
            elif not name.startswith("."):
                others.append(folder / name)
    return sorted(images), sorted(others)
