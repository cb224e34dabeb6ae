"""Bias field correction: the slow change of brightness across an MR image, a smooth factor, is divided out."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.errors import DataError, FedwardError, UsageError
from fedward.preprocessing.settings import BiasField

GRID = 24  # about as many samples along the longer side are enough for a smooth field
SMALLEST_HEAD = 40  # samples of the head on that grid
THIN = 5  # slices; fewer are corrected one by one
HEAD_LEVEL = 100.0  # mean of the head before the logarithm is taken
LEVELS = 3  # of B-spline meshes: 1, 2, 4 elements a side
ITERATIONS = 50  # at most, per level


def correct_bias_field(
    volume: NDArray[np.float32], mask: NDArray[np.bool_], method: BiasField = "n4"
) -> NDArray[np.float32]:
    """volume / estimated field, float32 (S, H, W); see `estimate_bias_field`."""
    corrected: NDArray[np.float32] = (volume / estimate_bias_field(volume, mask, method)).astype(np.float32)
    return corrected


def why_left_as_it_is(mask: NDArray[np.bool_]) -> str | None:
    """The reason why a volume with this head mask (S, H, W) is not corrected, or None where it is."""
    samples = _samples(mask)
    if samples >= SMALLEST_HEAD:
        return None
    return f"the head is too small ({samples} samples after shrinking, {SMALLEST_HEAD} are needed)"


def estimate_bias_field(
    volume: NDArray[np.float32], mask: NDArray[np.bool_], method: BiasField = "n4"
) -> NDArray[np.float32]:
    """The bias field of one channel: float32 (S, H, W), positive, mean 1 over the head.

    volume  (S, H, W), raw intensities >= 0 of any unit, before any clipping or scaling
    mask    (S, H, W) bool, the head
    method  n4: Tustison et al., IEEE TMI 29(6), 2010 (SimpleITK, one thread: parallelism is over patients);
            n3: Sled et al., IEEE TMI 17(1), 1998 (antspyx); none: ones

    The volume is corrected as a whole: seen slice by slice, half or more of the error was left on phantoms (the
    change from slice to slice cannot be told from anatomy). Below 5 slices the fit along z is not reliable (it made
    some phantoms worse), and each slice is corrected for itself. Three levels and not four, because a finer mesh
    follows the anatomy. Figures in docs/preprocessing.md. Outside the head the field is held within its range in the
    head, so that air does not become bright. A head too small to carry a field, or without contrast, gives ones.

    Raises:
        UsageError: unknown method.
        DataError: shapes differ, or a voxel is negative, NaN or infinite.
        FedwardError: antspyx is not installed (n3), or the method failed.
    """
    if method not in ("n4", "n3", "none"):
        raise UsageError(f"bias field method {method!r} is not known: use n4, n3 or none")
    if volume.ndim != 3 or volume.shape != mask.shape:
        raise DataError(f"bias field: volume {volume.shape} and mask {mask.shape} must be the same (slices, H, W)")
    if not (np.isfinite(volume).all() and (volume >= 0).all()):
        raise DataError("bias field: the volume holds negative, NaN or infinite values: check the images")
    if method == "none" or not _shows_a_field(volume, mask):
        return np.ones(volume.shape, np.float32)
    estimate = _n4 if method == "n4" else _n3
    # Both methods take logarithms, so values must be at least 1; scaling first makes the result free of the unit.
    positive = np.maximum(volume * (HEAD_LEVEL / volume[mask].mean()), 1.0).astype(np.float32)
    if len(volume) >= THIN:
        field = estimate(positive, mask)
    else:
        field = np.ones(volume.shape, np.float32)
        for number, (plane, head) in enumerate(zip(positive, mask, strict=True)):
            if _shows_a_field(plane, head):
                found = estimate(plane, head)
                field[number] = found / found[head].mean()
    inside = field[mask]
    if not (np.isfinite(inside).all() and inside.min() > 0):
        raise FedwardError(f"bias field: {method} found no positive field: choose another method, or none")
    normalised: NDArray[np.float32] = (np.clip(field, inside.min(), inside.max()) / inside.mean()).astype(np.float32)
    return normalised


def _shrink_factor(mask: NDArray[np.bool_]) -> int:
    short, long = sorted(map(int, mask.shape[-2:]))
    return max(1, min(round(long / GRID), short // 4))  # a narrow side keeps 4 samples


def _samples(mask: NDArray[np.bool_]) -> int:
    """Head voxels (S, H, W) or pixels (H, W) that are left after shrinking in plane."""
    factor = _shrink_factor(mask)
    return int(mask[..., factor // 2 :: factor, factor // 2 :: factor].sum())


def _shows_a_field(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> bool:
    if _samples(mask) < SMALLEST_HEAD:
        return False
    inside = image[mask]
    return float(inside.max()) > float(inside.min())  # N4 invents a field in a constant image


def _n4(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The field of a volume (S, H, W) or a slice (H, W), by SimpleITK."""
    sitk: Any = import_module("SimpleITK")
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # the filter's own setting does not reach its inner filters
    try:
        full, head = sitk.GetImageFromArray(image), sitk.GetImageFromArray(mask.astype(np.uint8))
        factors = [_shrink_factor(mask)] * 2 + [1] * (image.ndim - 2)
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetMaximumNumberOfIterations([ITERATIONS] * LEVELS)
        n4.Execute(sitk.Shrink(full, factors), sitk.Shrink(head, factors))
        log_field: NDArray[np.float32] = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(full))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise FedwardError(f"bias field: N4 failed ({reason}): choose another method, or none") from error
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    return np.exp(log_field)


def _n3(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The field of a volume (S, H, W) or a slice (H, W), by antspyx."""
    try:
        ants: Any = import_module("ants")
    except ImportError:
        raise FedwardError(
            "bias field method n3 needs the package antspyx, which is not installed: "
            "pip install 'fedward[n3]', or choose n4"
        ) from None
    factor = _shrink_factor(mask)
    if image.ndim == 3:
        factor = min(factor, max(1, len(image) // 8))  # one factor for all axes: at least 8 slices must be left
    full, head = ants.from_numpy(image), ants.from_numpy(mask.astype(np.float32))
    corrected = ants.n3_bias_field_correction2(full, mask=head, shrink_factor=factor).numpy()
    field: NDArray[np.float32] = np.divide(image, corrected, out=np.ones_like(image), where=corrected > 0)
    return field
