"""Slices are padded to a square and resized in plane; a predicted map is brought back to the original size."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=np.generic)


def resize_images(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Image (S, C, H, W) -> (S, C, size, size), float32: zeros make it square, then bilinear with antialiasing."""
    square = pad_to_square(image)
    if square.shape[-1] == size:
        return square
    planes = square.reshape(-1, *square.shape[-2:])
    # Bilinear weights are positive and sum to one, so [0, 1] stays [0, 1] up to rounding.
    resized = np.clip([_resize_plane(plane, size, size) for plane in planes], square.min(), square.max())
    return resized.astype(np.float32).reshape(*square.shape[:2], size, size)


def resize_masks(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Mask (S, H, W) -> (S, size, size), bool: a pixel is set where more than half of its area was set."""
    square = pad_to_square(mask)
    if square.shape[-1] == size:
        return square
    area = np.stack([_resize_plane(plane.astype(np.float32), size, size, by_area=True) for plane in square])
    inside: NDArray[np.bool_] = area > 0.5
    return inside


def restore_size(maps: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The way back: maps (S, size, size), e.g. probabilities -> (S, height, width), float32, the padding cut off."""
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = maps if maps.shape[-1] == side else np.stack([_resize_plane(m, side, side) for m in maps])
    return np.ascontiguousarray(square[:, top : top + height, left : left + width], np.float32)


def pad_to_square(array: NDArray[Kind]) -> NDArray[Kind]:
    """Pad the last two axes with zeros to a square, the content in the middle."""
    height, width = array.shape[-2:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    in_plane = [(top, side - height - top), (left, side - width - left)]
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + in_plane)


def _resize_plane(plane: NDArray[np.float32], height: int, width: int, by_area: bool = False) -> NDArray[np.float32]:
    from PIL import Image

    method = Image.Resampling.BOX if by_area else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(plane).resize((width, height), method))
