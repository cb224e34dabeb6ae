"""One scan, from raw voxels to what the network sees, and a predicted label volume back on the scan's own grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.scan import Scan, ScanVolume
from fedward.errors import DataError, UsageError
from fedward.preprocessing.resample import Axis, centred, resample_images, resample_labels, way_back
from fedward.preprocessing.settings import PreprocessingSettings

# 1.25 mm as Wu et al. 2021 (arXiv 2204.10983); 240 mm in the middle of the picture hold the heart.
SCAN_DEFAULTS = PreprocessingSettings(bias_field="none", image_size=192, pixel_spacing=1.25)
SMALLEST_SIDE = 8  # pixels that a slice's side must be left with


@dataclass(frozen=True)
class PreparedScan:
    """One scan, ready for training.

    patient, frame  as in `Scan`
    image    (Z, size, size) float16, finite; mean 0 and standard deviation 1 over the volume before it was cropped
    labels   (Z, size, size) uint8, None where the scan has none
    spacing  (z, y, x) mm after resampling
    spacing_known  False where the file lost it, and 1 mm is assumed
    notes    what a reader should know, e.g. that the spacing is lost
    """

    patient: str
    frame: str
    image: NDArray[np.float16]
    labels: NDArray[np.uint8] | None
    spacing: tuple[float, float, float]
    spacing_known: bool
    notes: tuple[str, ...] = ()


def prepare_scan(volume: ScanVolume, scan: Scan, settings: PreprocessingSettings) -> PreparedScan:
    """Clip at percentiles of the volume, z-score over the volume, resample in plane, crop or pad about the centre.

    Slices keep their number and distance. Padding is 0, the volume's mean. A volume without contrast becomes zeros.
    Where the spacing is lost, 1 mm is assumed for resampling, with a note. The resampling of labels is that of
    `resample_labels`.

    Raises:
        DataError: arrays or spacing that cannot be used, or slices too small at this pixel_spacing; names the file.
        UsageError: bias_field other than none, or channels other than all.
    """
    check_scan_settings(settings)
    _check_volume(volume, scan)
    rows, columns = _axes(volume, scan, settings)
    image, contrast = z_score(volume.image, settings.percentiles)
    notes = []
    if not contrast:
        notes.append(f"no contrast between percentiles {_percentiles(settings)} of its intensities: made zeros")
    if settings.pixel_spacing is not None and not volume.spacing_known:
        notes.append("its spacing is lost: pixels of 1 mm are assumed, and sizes in mm cannot be trusted")
    z, y, x = volume.spacing
    new = settings.pixel_spacing
    return PreparedScan(
        patient=scan.patient,
        frame=scan.frame,
        image=resample_images(image, rows, columns).astype(np.float16),
        labels=None if volume.labels is None else resample_labels(volume.labels, rows, columns),
        spacing=(z, y, x) if new is None else (z, new, new),
        spacing_known=volume.spacing_known,
        notes=tuple(notes),
    )


def restore_labels(
    labels: NDArray[np.uint8], volume: ScanVolume, scan: Scan, settings: PreprocessingSettings
) -> NDArray[np.uint8]:
    """The way back: labels (Z, size, size) on the prepared grid -> (Z, H, W) uint8 on the grid of `volume`.

    What was cropped away is background (0).

    Raises DataError where `labels` do not have the shape that `prepare_scan` gives for this volume.
    """
    expected = (len(volume.image), settings.image_size, settings.image_size)
    if labels.shape != expected:
        raise DataError(f"{scan.image}: labels of shape {labels.shape} are not of this scan: expected {expected}")
    rows, columns = _axes(volume, scan, settings)
    _, height, width = volume.image.shape
    return resample_labels(labels, way_back(rows, height), way_back(columns, width))


def z_score(
    image: NDArray[np.float32], percentiles: tuple[float, float] = (1.0, 99.0)
) -> tuple[NDArray[np.float32], bool]:
    """Image clipped at its percentiles, then mean 0 and standard deviation 1; zeros and False without contrast."""
    wide = image.astype(np.float64)
    low, high = np.percentile(wide, percentiles)
    if not high > low:
        return np.zeros(image.shape, np.float32), False
    clipped = np.clip(wide, low, high) - low
    scored: NDArray[np.float32] = ((clipped - clipped.mean()) / clipped.std()).astype(np.float32)
    return scored, True


def check_scan_settings(settings: PreprocessingSettings) -> None:
    """UsageError where the settings ask for what is not done to scans."""
    if settings.bias_field != "none" or settings.channels != "all":
        raise UsageError(
            f"scans have one channel and no bias field correction, not channels {settings.channels} and bias_field "
            f"{settings.bias_field}: set channels all and bias_field none"
        )


def _axes(volume: ScanVolume, scan: Scan, settings: PreprocessingSettings) -> tuple[Axis, Axis]:
    """Where the prepared pixels lie on the scan's rows and columns."""
    sides, spacing, new = volume.image.shape[1:], volume.spacing[1:], settings.pixel_spacing
    steps = (1.0, 1.0) if new is None else (new / spacing[0], new / spacing[1])
    if min(side / step for side, step in zip(sides, steps, strict=True)) < SMALLEST_SIDE:
        size, grid = " x ".join(map(str, sides)), " x ".join(f"{side:g}" for side in spacing)
        at = "" if new is None else f", {new:g} mm when resampled,"
        raise DataError(
            f"{scan.image}: its slices of {size} pixels of {grid} mm{at} have fewer than {SMALLEST_SIDE} pixels a "
            "side: check its spacing, leave the scan out, or choose a smaller pixel_spacing"
        )
    rows, columns = (centred(side, step, settings.image_size) for side, step in zip(sides, steps, strict=True))
    return rows, columns


def _check_volume(volume: ScanVolume, scan: Scan) -> None:
    advice = "run `fedward check-data` on its folder"
    if volume.image.ndim != 3 or 0 in volume.image.shape:
        raise DataError(
            f"{scan.image}: expected an image of (slices, height, width), not {volume.image.shape}: {advice}"
        )
    if volume.labels is not None and volume.labels.shape != volume.image.shape:
        raise DataError(
            f"{scan.labels}: labels {volume.labels.shape} and image {volume.image.shape} differ in shape: {advice}"
        )
    if not np.isfinite(volume.image).all():
        raise DataError(f"{scan.image}: NaN or infinite voxels: {advice}")
    if not all(np.isfinite(side) and side > 0 for side in volume.spacing):
        raise DataError(f"{scan.image}: spacing {volume.spacing} is not three lengths in mm above 0: {advice}")


def _percentiles(settings: PreprocessingSettings) -> str:
    return " and ".join(f"{value:g}" for value in settings.percentiles)
