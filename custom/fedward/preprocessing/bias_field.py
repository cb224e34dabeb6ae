"""Bias field correction: the slow change of brightness across an MR image, a smooth factor, is divided out."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.errors import FedwardError, UsageError
from fedward.preprocessing.settings import BiasField

SMALLEST_HEAD = 500  # voxels; fewer cannot carry a field
HEAD_LEVEL = 100.0  # mean of the head before the logarithm is taken
SHRINK = 4


def correct_bias_field(
    volume: NDArray[np.float32], mask: NDArray[np.bool_], method: BiasField = "n4"
) -> NDArray[np.float32]:
    """volume / estimated field, float32 (S, H, W); see `estimate_bias_field`."""
    corrected: NDArray[np.float32] = (volume / estimate_bias_field(volume, mask, method)).astype(np.float32)
    return corrected


def why_left_as_it_is(mask: NDArray[np.bool_]) -> str | None:
    """The reason why a volume with this head mask (S, H, W) is not corrected, or None where it is."""
    voxels = int(mask.sum())
    if voxels < SMALLEST_HEAD:
        return f"the head has {voxels} voxels, fewer than {SMALLEST_HEAD}"
    return None


def estimate_bias_field(
    volume: NDArray[np.float32], mask: NDArray[np.bool_], method: BiasField = "n4"
) -> NDArray[np.float32]:
    """The field of one channel (S, H, W) >= 0, seen inside the head mask (S, H, W); float32, positive, mean 1 there."""
    if method not in ("n4", "n3", "none"):
        raise UsageError(f"bias field method {method!r} is not known: use n4, n3 or none")
    if method == "none" or why_left_as_it_is(mask) or not volume[mask].any():
        return np.ones(volume.shape, np.float32)
    # Both methods take logarithms, so values must be at least 1; scaling first makes the result free of the unit.
    positive = np.maximum(volume * (HEAD_LEVEL / volume[mask].mean()), 1.0).astype(np.float32)
    field = _n4(positive, mask) if method == "n4" else _n3(positive, mask)
    normalised: NDArray[np.float32] = (field / field[mask].mean()).astype(np.float32)
    return normalised


def _n4(volume: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    sitk: Any = import_module("SimpleITK")
    image = sitk.GetImageFromArray(volume)
    head = sitk.GetImageFromArray(mask.astype(np.uint8))
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    factors = [SHRINK, SHRINK, 1]
    n4.Execute(sitk.Shrink(image, factors), sitk.Shrink(head, factors))
    log_field: NDArray[np.float32] = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))
    return np.exp(log_field)


def _n3(volume: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    try:
        ants: Any = import_module("ants")
    except ImportError:
        raise FedwardError(
            "bias field method n3 needs the package antspyx, which is not installed: "
            "pip install 'fedward[n3]', or choose n4"
        ) from None
    image, head = ants.from_numpy(volume), ants.from_numpy(mask.astype(np.float32))
    corrected = ants.n3_bias_field_correction2(image, mask=head, shrink_factor=SHRINK)
    return np.asarray(volume / np.maximum(corrected.numpy(), 1e-6), np.float32)
