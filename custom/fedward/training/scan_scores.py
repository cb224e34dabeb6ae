"""How well one scan was segmented: Dice of each structure, and its 95 % Hausdorff distance in mm."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fedward.evaluation import pooled_dice

SPACING_UNKNOWN = "spacing unknown"
NOT_PREDICTED, NOT_TRUE, NOWHERE = "absent from the prediction", "absent from the truth", "absent from both"
PERCENTILE = 95


@dataclass(frozen=True)
class StructureScore:
    """One structure in one scan.

    dice     of the volume; None where neither truth nor prediction has the structure
    hd95     mm; None where it cannot be measured
    missing  why there is no hd95, one of the sentences above; None where there is one
    """

    dice: float | None
    hd95: float | None
    missing: str | None


def score_scan(
    predicted: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    spacing: tuple[float, float, float] | None,
    structures: Sequence[str],
) -> dict[str, StructureScore]:
    """Scores of labels 1, 2, ... named `structures`, in volumes (Z, H, W); spacing (z, y, x) mm, None if not known."""
    return {name: _score(predicted == n, truth == n, spacing) for n, name in enumerate(structures, start=1)}


def _score(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: tuple[float, float, float] | None
) -> StructureScore:
    true_positive = int((predicted & truth).sum())
    sizes = int(predicted.sum()), int(truth.sum())
    dice = pooled_dice(true_positive, sizes[0] - true_positive, sizes[1] - true_positive)
    if not all(sizes):
        missing = NOWHERE if not any(sizes) else NOT_PREDICTED if sizes[1] else NOT_TRUE
        return StructureScore(dice, None, missing)
    if spacing is None:
        return StructureScore(dice, None, SPACING_UNKNOWN)
    return StructureScore(dice, hausdorff95(predicted, truth, spacing), None)


def hausdorff95(one: NDArray[np.bool_], other: NDArray[np.bool_], spacing: tuple[float, float, float]) -> float:
    """The larger of the two 95 % percentiles of the distances from one surface to the other, in mm, in 3-D.

    `one` and `other` (Z, H, W) must not be empty. A voxel is on the surface if one of its six neighbours is not in the
    structure; beyond the volume nothing is. MONAI's compute_hausdorff_distance(percentile=95) gives the same; it is
    written here because MONAI is no part of what a hospital installs.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt

    box = _box(one | other)
    surfaces = [mask & ~binary_erosion(mask) for mask in (one[box], other[box])]
    far = []
    for here, there in (surfaces, surfaces[::-1]):
        distance = distance_transform_edt(~there, sampling=spacing)
        far.append(float(np.percentile(distance[here], PERCENTILE)))
    return max(far)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box around the foreground."""
    places = np.nonzero(mask)
    return tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in places)


def average(scores: Sequence[StructureScore]) -> StructureScore:
    """The mean of what several models were given for one structure of one scan.

    A distance only where all have one: over those that found the structure, models gain by missing it.
    """
    dice, without = mean_known([s.dice for s in scores]), [s.missing for s in scores if s.hd95 is None]
    if without:
        return StructureScore(dice, None, without[0])
    return StructureScore(dice, mean_known([s.hd95 for s in scores]), None)


def mean_known(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not None; None where all are."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
