"""Phantoms of the heart: short-axis volumes with their structures at both ends of the cycle, in the layout of ACDC.

A chest with dark lungs; in it the left ventricle, the ring of its myocardium and the crescent of the right ventricle,
which shrink towards the apex and from diastole to systole. Diseases differ in size, wall and contraction. Institutions
differ in contrast, noise, spacing and in how their files' axes point. They support no scientific claim.
"""

from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.acdc import INFO
from fedward.datasets.partition import apportion, shuffled
from fedward.datasets.phantoms import institution_codes, waves
from fedward.errors import UsageError
from fedward.progress import map_in_processes
from fedward.seeds import derive_seed

RIGHT, WALL, LEFT = 1, 2, 3  # labels of ACDC
GREY_LEVELS = {"air": 8, "chest": 95, "fat": 190, "lung": 25, "wall": 70, "blood": 210}
FIELD = 120.0  # mm, the field of view in which a heart has its own size; in a smaller one it is made smaller
SWAPPED = 10  # in every tenth patient ED has the higher frame number, as in patient090 of the original


@dataclass(frozen=True)
class Heart:
    """Sizes at the end of diastole, mm, and what is left of them at the end of systole, as shares of 1.

    left    radius of the left ventricle at the base
    wall    thickness of its myocardium
    right   reach of the right ventricle beyond the myocardium
    systole, right_systole  radius and reach at the end of systole, as a share of those of diastole
    """

    left: float
    wall: float
    right: float
    systole: float
    right_systole: float


HEARTS = {  # ACDC's groups, in the order of their blocks
    "DCM": Heart(left=30, wall=7, right=20, systole=0.88, right_systole=0.85),  # dilated, hardly contracts
    "HCM": Heart(left=20, wall=14, right=18, systole=0.5, right_systole=0.6),  # thick wall
    "MINF": Heart(left=27, wall=8, right=18, systole=0.82, right_systole=0.65),  # after an infarction
    "NOR": Heart(left=23, wall=9, right=20, systole=0.65, right_systole=0.6),
    "RV": Heart(left=21, wall=8, right=32, systole=0.65, right_systole=0.85),  # wide right ventricle
}


@dataclass(frozen=True)
class HeartScanner:
    """How one institution's volumes differ.

    contrast  factor on the distance of each tissue from the chest's grey
    noise     standard deviation, grey levels
    shading   standard deviation of the natural logarithm of the coil's shading
    pixel     mm in plane
    slice     mm between slices
    axes      how the axes of its files point
    """

    contrast: float = 1.0
    noise: float = 8.0
    shading: float = 0.1
    pixel: float = 1.5
    slice: float = 8.0
    axes: str = "LPS"


def heart_scanner(institution: str, seed: int) -> HeartScanner:
    """The scanner of an institution: drawn once for a seed."""
    rng = np.random.default_rng(derive_seed(seed, "heart scanner", institution))
    return HeartScanner(
        contrast=rng.uniform(0.75, 1.15),
        noise=rng.uniform(4, 14),
        shading=rng.uniform(0.05, 0.2),
        pixel=round(rng.uniform(1.2, 1.8), 4),
        slice=float(rng.integers(5, 11)),
        axes=str(rng.choice(["LPS", "RAS", "LPI"])),
    )


def phantom_heart(
    rng: np.random.Generator, heart: Heart, size: int = 64, slices: int = 8, scanner: HeartScanner | None = None
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """One patient: image (2, Z, H, W) int16 and labels (2, Z, H, W) uint8, first ED, then ES; the apex is slice 0.

    H is `size`, W a little more. Both frames show the same chest, each with noise of its own.
    """
    scanner = scanner or HeartScanner()
    height, width = size, size + size // 8
    scale = min(1.0, size * scanner.pixel / FIELD)
    axes = [(np.arange(n) - (n - 1) / 2) * scanner.pixel / scale for n in (height, width)]
    towards_base = (np.arange(slices) + 0.5) / slices
    z, y, x = np.meshgrid(towards_base, *axes, indexing="ij")
    reach_y, reach_x = abs(axes[0][0]), abs(axes[1][0])

    around = np.sqrt((x / (0.97 * reach_x)) ** 2 + (y / (0.97 * reach_y)) ** 2)
    unit = (x / FIELD, y / FIELD, z / 4)
    chest = np.full(z.shape, float(GREY_LEVELS["air"]))
    chest[around < 1] = GREY_LEVELS["fat"]
    chest[around < 0.9] = GREY_LEVELS["chest"]
    lungs = (around < 0.86) & (waves(rng, unit, count=8, frequency=12.0) > 0.4)
    chest[lungs] = GREY_LEVELS["lung"]
    chest += 8 * waves(rng, unit, count=8, frequency=40.0) * (around < 1)
    shading = np.exp(scanner.shading * waves(rng, unit, count=4, frequency=5.0))

    centre_y, centre_x = rng.uniform(-4, 4), rng.uniform(4, 12)
    y, x = y - centre_y - 6 * (z - 0.5), x - centre_x + 8 * (z - 0.5)  # the long axis leans
    angle = np.arctan2(y, x)
    wobble = 1 + 0.05 * np.cos(2 * angle + rng.uniform(0, 6)) + 0.03 * np.cos(3 * angle + rng.uniform(0, 6))
    labels = np.stack([_structures(part, z, y, x, wobble) for part in (heart, _systole(heart))])

    image = np.repeat(chest[None], 2, axis=0)
    image[labels == WALL] = GREY_LEVELS["wall"]
    image[(labels == LEFT) | (labels == RIGHT)] = GREY_LEVELS["blood"]
    middle = GREY_LEVELS["chest"]
    image = np.maximum(middle + scanner.contrast * (image - middle), 0) * shading
    real, imaginary = rng.normal(0, scanner.noise, (2, *image.shape))
    magnitude = np.hypot(image + real, imaginary)  # the noise of a magnitude image is Rician
    return np.rint(magnitude).astype(np.int16), labels


def _systole(heart: Heart) -> Heart:
    """The wall thickens as the ventricle contracts: its area in a slice stays nearly the same."""
    left = heart.left * heart.systole
    outer = np.sqrt(left**2 + 0.95 * ((heart.left + heart.wall) ** 2 - heart.left**2))
    return replace(heart, left=left, wall=float(outer - left), right=heart.right * heart.right_systole)


def _structures(
    heart: Heart,
    z: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    wobble: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Labels (Z, H, W) of a heart whose long axis is at y = x = 0; z runs from 0 at the apex to 1 at the base."""
    taper = np.sqrt(1 - (0.92 * (1 - z)) ** 2)
    distance = np.hypot(y, x) / wobble
    outer = (heart.left + heart.wall) * taper
    inner = np.maximum(outer - heart.wall, 0)
    # A disc that reaches beyond the wall to the patient's right, of which the wall leaves a crescent.
    reach = heart.right * np.clip(1.5 * z - 0.15, 0, 1)
    radius = 0.5 * (outer + reach) + 2
    crescent = np.hypot(y / 1.15, x + outer + reach - radius) < radius
    labels = np.zeros(z.shape, np.uint8)
    labels[crescent & (reach > 0)] = RIGHT
    labels[distance < outer] = WALL
    labels[distance < inner] = LEFT
    return labels


def write_acdc(
    folder: Path,
    patients: int = 40,
    slices: int = 8,
    size: int = 64,
    institutions: int = 5,
    seed: int = 0,
    workers: int = 0,
    quiet: bool = False,
) -> dict[str, int]:
    """Write patients as `folder/patientNNN/`, sorted by disease in blocks; returns patients by disease.

    Institutions are unequal, in the ratio institutions : ... : 2 : 1, each with at least one patient, and have patients
    of any disease. Raises UsageError where a number is out of range.
    """
    for name, value, low, high in (
        ("patients", patients, 1, 999),
        ("slices", slices, 1, 99),
        ("size", size, 16, 1024),
        ("institutions", institutions, 1, min(26, patients)),
    ):
        if not low <= value <= high:
            raise UsageError(f"{name} is {value}: give a number from {low} to {high}")
    counts = {group: n for group, n in zip(HEARTS, apportion(patients, [1] * len(HEARTS)), strict=True) if n}
    groups = [group for group, n in counts.items() for _ in range(n)]
    names = [f"patient{number:03d}" for number in range(1, patients + 1)]
    sizes = [1 + n for n in apportion(patients - institutions, range(institutions, 0, -1))]
    codes = [code for code, n in zip(institution_codes(institutions), sizes, strict=True) for _ in range(n)]
    code_of = dict(zip(shuffled(names, seed, "institutions"), codes, strict=True))
    people = [(name, group, code_of[name]) for name, group in zip(names, groups, strict=True)]
    write = partial(_write_patient, folder=folder, size=size, slices=slices, seed=seed)
    for _ in map_in_processes(write, people, "Drawing phantoms", workers, quiet):
        pass
    return counts


def _write_patient(person: tuple[str, str, str], folder: Path, size: int, slices: int, seed: int) -> None:
    name, group, institution = person
    scanner = heart_scanner(institution, seed)
    rng = np.random.default_rng(derive_seed(seed, "heart", name))
    usual = HEARTS[group]
    scale = rng.uniform(0.88, 1.12)
    own = replace(usual, left=usual.left * scale, wall=usual.wall * rng.uniform(0.9, 1.1), right=usual.right * scale)
    images, labels = phantom_heart(rng, own, size, slices, scanner)
    diastole, systole = 1, int(rng.integers(8, 14))
    if int(name.removeprefix("patient")) % SWAPPED == 0:
        diastole, systole = systole, 4
    place = folder / name
    place.mkdir(parents=True)
    for number, image, classes in zip((diastole, systole), images, labels, strict=True):
        write_scan(place / f"{name}_frame{number:02d}.nii.gz", image, scanner)
        write_scan(place / f"{name}_frame{number:02d}_gt.nii.gz", classes, scanner)
    height, weight = rng.normal(171, 9), rng.normal(76, 13)
    lines = (f"ED: {diastole}", f"ES: {systole}", f"Group: {group}", f"Height: {height:.1f}", "NbFrame: 30")
    (place / INFO).write_text("\n".join([*lines, f"Weight: {weight:.1f}"]) + "\n", encoding="utf-8")


def write_scan(path: Path, voxels: NDArray[Any], scanner: HeartScanner) -> None:
    """Write voxels (Z, H, W), whose axes are those of LPS, with the scanner's spacing and axes."""
    sitk: Any = import_module("SimpleITK")
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((scanner.pixel, scanner.pixel, scanner.slice))
    sitk.WriteImage(sitk.DICOMOrient(image, scanner.axes), str(path), useCompression=True)
