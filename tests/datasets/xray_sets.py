"""Small X-ray sets written by hand, in the original layouts, for tests of readers and checks."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from fedward.datasets import chexpert

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_ROWS = (  # image, labels, patient
    ("00000001_000.png", "Cardiomegaly|Emphysema", "1"),
    ("00000001_001.png", "No Finding", "1"),
    ("00000002_000.png", "Hernia", "2"),
    ("00000003_000.png", "Pleural_Thickening|Mass|Nodule", "3"),
    ("00000004_000.png", "No Finding", "4"),
)


def save_image(path: Path, seed: int, size: tuple[int, int] = (20, 20)) -> None:
    """A smooth random picture, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 5), dtype=np.uint8)
    Image.fromarray(pixels).resize(size).save(path)


def save_deep_png(path: Path, pixels: np.ndarray) -> None:
    """A PNG of (H, W, C) uint16, which Pillow cannot write: C is 1 (grey) or 3 (colour), and 2 or 4 with transparency.

    Lines are stored as differences of neighbouring pixels (filter 1), so that a reader must know a pixel's bytes.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">2I5B", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    stored = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    stored[:, 2 * channels :] -= stored[:, : -2 * channels].copy()
    lines = b"".join(b"\1" + line.tobytes() for line in stored)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")
    parts = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def nih_line(name: str, labels: str, patient: str, age: str = "058Y") -> str:
    return f"{name},{labels},0,{patient},{age},M,PA,2682,2749,0.143,0.143,"


def write_nih(root: Path, rows=NIH_ROWS, table: str = "Data_Entry_2017.csv", header: str = NIH_HEADER) -> Path:
    """The table, and its images in root/images."""
    root.mkdir(parents=True, exist_ok=True)
    (root / table).write_text("\n".join([header, *(nih_line(*row) for row in rows)]) + "\n")
    for seed, (name, *_) in enumerate(rows):
        save_image(root / "images" / name, seed)
    return root


def chexpert_line(path: str, labels: dict[str, str], view: str = "Frontal") -> str:
    cells = [labels.get(name, "") for name in chexpert.FINDINGS]
    return ",".join([path, "Female", "68", view, "AP", *cells])


CHEXPERT_HEADER = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *chexpert.FINDINGS])
CHEXPERT_ROWS = (
    (
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg",
        {"Edema": "1.0", "Fracture": "-1.0"},
        "Frontal",
    ),
    ("CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg", {"Edema": "1.0"}, "Lateral"),
    (
        "CheXpert-v1.0-small/train/patient00002/study1/view1_frontal.jpg",
        {"No Finding": "1.0", "Edema": "0.0"},
        "Frontal",
    ),
)
CHEXPERT_VALID = (("CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg", {"Edema": "0.0"}, "Frontal"),)


def write_chexpert(root: Path, train=CHEXPERT_ROWS, valid=CHEXPERT_VALID) -> Path:
    """train.csv and valid.csv with their images; a table without rows is not written."""
    root.mkdir(parents=True, exist_ok=True)
    for seed, (name, rows) in enumerate((("train.csv", train), ("valid.csv", valid))):
        if rows:
            lines = [chexpert_line(path, labels, view) for path, labels, view in rows]
            (root / name).write_text("\n".join([CHEXPERT_HEADER, *lines]) + "\n")
        for number, (path, *_) in enumerate(rows):
            save_image(root / path.removeprefix("CheXpert-v1.0-small/"), 10 * seed + number, (24, 20))
    return root
