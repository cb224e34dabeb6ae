"""One patient's volume, from raw pixels to what the network sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import Volume
from fedward.errors import DataError
from fedward.preprocessing.bias_field import correct_bias_field, why_left_as_it_is
from fedward.preprocessing.head import head_mask
from fedward.preprocessing.intensity import scale_intensity
from fedward.preprocessing.resize import resize_images, resize_masks
from fedward.preprocessing.settings import PreprocessingSettings

FLAIR = 1  # channels of the LGG images: pre-contrast, FLAIR, post-contrast


@dataclass(frozen=True)
class PreparedCase:
    """One patient, ready for training.

    patient  name
    image    (S, C, size, size) float16 in [0, 1]
    mask     (S, size, size) bool
    notes    what a reader should know, e.g. why the bias field was left as it is
    """

    patient: str
    image: NDArray[np.float16]
    mask: NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def prepare_volume(volume: Volume, settings: PreprocessingSettings) -> PreparedCase:
    """Correct the bias field, then scale the intensities, then resize.

    In this order, because the field multiplies the raw intensities, and is best seen at full resolution.

    Raises:
        DataError: the arrays do not fit together, or there is no FLAIR channel to choose.
        FedwardError: the bias field method is not installed.
    """
    image = select_channels(volume, settings)
    head = head_mask(image)
    notes: tuple[str, ...] = ()
    if settings.bias_field != "none":
        reason = why_left_as_it_is(head)
        if reason:
            notes = (f"bias field left as it is: {reason}",)
        else:
            for channel in range(image.shape[1]):
                image[:, channel] = correct_bias_field(image[:, channel], head, settings.bias_field)
    image = scale_intensity(image, head, settings.percentiles)
    return PreparedCase(
        patient=volume.patient,
        image=resize_images(image, settings.image_size).astype(np.float16),
        mask=resize_masks(volume.mask, settings.image_size),
        notes=notes,
    )


def select_channels(volume: Volume, settings: PreprocessingSettings) -> NDArray[np.float32]:
    """Image (S, H, W, C) -> a float32 copy (S, C, H, W) with the channels that were asked for."""
    image, mask = volume.image, volume.mask
    if image.ndim != 4 or 0 in image.shape or image.shape[:3] != mask.shape:
        raise DataError(
            f"{volume.patient}: image {image.shape} and mask {mask.shape} do not fit together, "
            "expected (slices, height, width, channels) and (slices, height, width): run `fedward check-data`"
        )
    if settings.channels == "flair":
        if image.shape[-1] <= FLAIR:
            raise DataError(
                f"{volume.patient}: channels 'flair' needs the channel after the first, "
                f"but the images have {image.shape[-1]}: set channels to 'all'"
            )
        image = image[..., FLAIR : FLAIR + 1]
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2), np.float32)
