"""Phantoms: synthetic brain slices with lesions and a known smooth bias field, in the layout of the LGG set.

They exist so that readers, checks, preprocessing and training run where no data are. Hospitals differ in contrast,
noise, bias field and lesion size. They support no scientific claim.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.partition import apportion
from fedward.errors import UsageError
from fedward.seeds import derive_seed

# Mean grey levels (pre-contrast, FLAIR, post-contrast) without bias field: a lesion is bright in FLAIR.
GREY_LEVELS = {
    "skin": (70, 55, 75),
    "white matter": (105, 75, 108),
    "grey matter": (80, 95, 84),
    "fluid": (35, 22, 36),
    "lesion": (66, 175, 82),
    "lesion rim": (72, 165, 160),
}
COLUMNS = (
    "Patient;RNASeqCluster;MethylationCluster;miRNACluster;CNCluster;RPPACluster;OncosignCluster;COCCluster;"
    "histological_type;neoplasm_histologic_grade;tumor_tissue_site;laterality;tumor_location;gender;"
    "age_at_initial_pathologic;race;ethnicity;death01"
)


@dataclass(frozen=True)
class Scanner:
    """How one institution's images differ.

    contrast        factor on the distance of each tissue from mid brain grey; 1 as in GREY_LEVELS
    gain            factor on all grey levels
    noise           standard deviation of the noise, grey levels
    field_strength  standard deviation of the natural logarithm of the bias field inside the head
    lesion_size     lesion radius, as a share of the head's
    """

    contrast: float = 1.0
    gain: float = 1.0
    noise: float = 3.0
    field_strength: float = 0.15
    lesion_size: float = 0.3


def phantom_volume(
    rng: np.random.Generator, size: int = 64, slices: int = 16, scanner: Scanner | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """One head: image (S, H, W, 3) float32 before rounding, lesion mask (S, H, W) bool, bias field (S, H, W) float32.

    The image is (tissue + noise) x field in all three channels, about 0 to 255 and 0 outside the head; the field's
    geometric mean in the head is 1. `to_uint8` rounds the image as it is written.
    """
    scanner = scanner or Scanner()
    z, y, x = np.meshgrid(np.linspace(-0.85, 0.85, slices), *[np.linspace(-1, 1, size)] * 2, indexing="ij")
    radius = np.sqrt((x / rng.uniform(0.68, 0.76)) ** 2 + (y / rng.uniform(0.84, 0.92)) ** 2 + z**2)
    head, brain = radius < 1, radius < 0.88
    folds = waves(rng, (x, y, z), count=12, frequency=20.0)
    ventricles = np.sqrt(((np.abs(x) - 0.13) / 0.09) ** 2 + (y / 0.32) ** 2 + (z / 0.35) ** 2) < 1

    lesion_radius = scanner.lesion_size * rng.uniform(0.8, 1.25)
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.45)
    centre = (distance * np.cos(angle), distance * np.sin(angle), rng.uniform(-0.35, 0.35))
    stretch = rng.uniform(0.8, 1.2, 3)
    away = np.sqrt(sum(((a - c) / s) ** 2 for a, c, s in zip((x, y, z), centre, stretch, strict=True)))
    away = away * (1 + 0.15 * waves(rng, (x, y, z), count=4, frequency=4.0))
    mask = brain & (away < lesion_radius)
    rim = mask & (away > 0.75 * lesion_radius)

    image = np.zeros((*head.shape, 3))
    for tissue, where in (
        ("skin", head),
        ("grey matter", brain),
        ("white matter", brain & (folds < 0.35) & (radius < 0.8)),
        ("fluid", ventricles & brain),
        ("lesion", mask),
        ("lesion rim", rim),
    ):
        image[where] = GREY_LEVELS[tissue]
    middle = np.array(GREY_LEVELS["grey matter"])
    image = scanner.gain * np.maximum(middle + scanner.contrast * (image - middle), 0)
    image += rng.normal(0, scanner.noise, image.shape)

    log_field = waves(rng, (x, y, z), count=6, frequency=2.0)
    log_field = log_field - log_field[head].mean()
    field = np.exp(log_field * scanner.field_strength / log_field[head].std())
    image = np.where(head[..., None], np.maximum(image, 1.0) * field[..., None], 0.0)
    return image.astype(np.float32), mask, field.astype(np.float32)


def to_uint8(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey levels rounded and clipped to 0 to 255, as a file holds them."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def waves(
    rng: np.random.Generator, axes: tuple[NDArray[np.float64], ...], count: int, frequency: float
) -> NDArray[np.float64]:
    """A smooth random function of x, y, z: plane waves of up to `frequency` radians a unit, mean square about 1."""
    total: NDArray[np.float64] = np.zeros_like(axes[0])
    for _ in range(count):
        direction = rng.normal(size=len(axes))
        direction *= rng.uniform(0.5, 1.0) * frequency / np.linalg.norm(direction)
        total += np.cos(sum(d * a for d, a in zip(direction, axes, strict=True)) + rng.uniform(0, 2 * np.pi))
    return total * float(np.sqrt(2 / count))


def institution_codes(institutions: int) -> list[str]:
    """PA, PB, ...: codes of phantom institutions."""
    return [f"P{chr(ord('A') + i)}" for i in range(institutions)]


def scanner_of(institution: str, seed: int) -> Scanner:
    """The scanner of an institution: drawn once for a seed."""
    rng = np.random.default_rng(derive_seed(seed, "scanner", institution))
    return Scanner(
        contrast=rng.uniform(0.8, 1.15),
        gain=rng.uniform(0.75, 1.15),
        noise=rng.uniform(2.0, 5.0),
        field_strength=rng.uniform(0.08, 0.22),
        lesion_size=rng.uniform(0.22, 0.38),
    )


def write_phantoms(
    folder: Path, patients: int = 40, slices: int = 16, size: int = 64, institutions: int = 5, seed: int = 0
) -> dict[str, int]:
    """Write patients as `folder/TCGA_P?_<n>_<date>/...tif` and `folder/data.csv`; returns patients by institution.

    Institutions are unequal, in the ratio institutions : ... : 2 : 1, each with at least one patient. Raises UsageError
    where a number is out of range.
    """
    for name, value, low, high in (
        ("patients", patients, 1, 9999),
        ("slices", slices, 1, 999),
        ("size", size, 16, 1024),
        ("institutions", institutions, 1, min(26, patients)),
    ):
        if not low <= value <= high:
            raise UsageError(f"{name} is {value}: give a number from {low} to {high}")
    extra = apportion(patients - institutions, range(institutions, 0, -1))
    counts = {code: 1 + n for code, n in zip(institution_codes(institutions), extra, strict=True)}
    rows = [COLUMNS]
    for code, count in counts.items():
        scanner = scanner_of(code, seed)
        for number in range(1, count + 1):
            person = f"TCGA_{code}_{number:04d}"
            rng = np.random.default_rng(derive_seed(seed, "phantom", person))
            date = f"{rng.integers(1995, 2010)}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}"
            image, mask, _ = phantom_volume(rng, size, slices, scanner)
            write_patient(folder / f"{person}_{date}", to_uint8(image), mask)
            rows.append(_table_row(person, rng))
    (folder / "data.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return counts


def write_patient(folder: Path, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """Slices 1, 2, ... of image (S, H, W, 3) and mask (S, H, W) as deflate-compressed TIFF files, masks 0 and 255."""
    from PIL import Image

    folder.mkdir(parents=True)
    for number, (pixels, lesion) in enumerate(zip(image, mask, strict=True), start=1):
        stem = f"{folder.name}_{number}"
        Image.fromarray(pixels).save(folder / f"{stem}.tif", compression="tiff_adobe_deflate")
        Image.fromarray(lesion.astype(np.uint8) * 255).save(
            folder / f"{stem}_mask.tif", compression="tiff_adobe_deflate"
        )


def _table_row(person: str, rng: np.random.Generator) -> str:
    """A line of data.csv: small whole numbers, some cells empty, as in the original."""
    columns = COLUMNS.split(";")[1:]
    cells = ["" if rng.random() < 0.1 else str(rng.integers(1, 7)) for _ in columns]
    cells[columns.index("age_at_initial_pathologic")] = str(rng.integers(20, 76))
    cells[columns.index("death01")] = str(rng.integers(0, 2))
    return ";".join([person, *cells])
