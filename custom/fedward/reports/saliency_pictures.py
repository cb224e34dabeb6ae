"""Pictures of X-rays with the places that speak for a finding."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedward.errors import FedwardError
from fedward.reports.overlays import PICTURE_HEIGHT, save_pictures

COLOURS = "inferno"  # perceptually uniform: equal steps of the map look equal, also in grey
OPACITY = 0.6  # where the map is 1; in proportion below, so that the image shows where nothing is found
DARKEST = 0.15  # inferno begins at black, which on a dark lung looks like no colour at all


def saliency_overlay(image: ArrayLike, heat: ArrayLike) -> NDArray[np.uint8]:
    """The grey image with the map laid over it: image, heat (H, W) in [0, 1] (clipped, not finite is 0).

    Returns uint8 (H, W, 3). The map is clear where it is 0. FedwardError where the shapes differ.
    """
    grey, strength = _unit(image), _unit(heat)
    if grey.ndim != 2 or grey.shape != strength.shape:
        raise FedwardError(f"an image {grey.shape} and its map {strength.shape} must be (H, W), both the same")
    opacity = OPACITY * strength[..., None]
    return np.rint(255 * ((1 - opacity) * grey[..., None] + opacity * colours(strength))).astype(np.uint8)


def colours(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGB in [0, 1], one more dimension than `values` in [0, 1]."""
    import matplotlib

    coloured: NDArray[np.float64] = np.asarray(matplotlib.colormaps[COLOURS](DARKEST + (1 - DARKEST) * values))[..., :3]
    return coloured


def legend() -> list[str]:
    """Colours of the map from 0 to 1 in eleven steps, as #rrggbb, for a key beside the pictures."""
    steps = np.rint(255 * colours(np.linspace(0, 1, 11))).astype(int)
    return ["#{:02x}{:02x}{:02x}".format(*step) for step in steps]


def map_size(crop: int) -> int:
    """Height and width of DenseNet-121's last feature map for a crop of so many pixels: the places a map can tell."""
    for _ in range(2):  # the first convolution and pooling round up, the three transitions down
        crop = (crop + 1) // 2
    return crop // 8


def save_saliency(folder: Path, rows: list[tuple[str, ArrayLike, ArrayLike]]) -> list[Path]:
    """Write one PNG per (title, image, heat): left the bare image, right with the map. Older pictures in it go.

    The title is kept inside the PNG (text "Description"), where the report reads it.
    """
    return save_pictures(folder, [(title, picture_pair(image, heat)) for title, image, heat in rows])


def picture_pair(image: ArrayLike, heat: ArrayLike) -> NDArray[np.uint8]:
    """The bare image and the one with the map side by side, enlarged to about 384 pixels of height: (H, W, 3)."""
    from PIL import Image

    pair = [saliency_overlay(image, np.zeros(np.shape(heat))), saliency_overlay(image, heat)]
    height, width = pair[0].shape[:2]
    scale = max(PICTURE_HEIGHT / height, 1.0)
    size = (round(width * scale), round(height * scale))
    enlarged = [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in pair]
    return np.concatenate(enlarged, axis=1)


def _unit(values: ArrayLike) -> NDArray[np.float64]:
    return np.clip(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
