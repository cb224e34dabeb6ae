"""The head mask: which voxels show the patient and not the air around."""

import numpy as np
from numpy.typing import NDArray

BRIGHT_PERCENTILE = 99.0
HEAD_FRACTION = 0.1


def head_mask(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Voxels of image (S, C, H, W) whose mean over channels exceeds a tenth of the bright level; (S, H, W) bool.

    Each channel is first divided by its own 99th percentile over the volume, so that a weak sequence counts as much
    as a strong one. A fixed fraction is used (Buda 2019 crops at 10 % of the maximum), because Otsu's threshold keeps
    little but scalp fat where the fat is much brighter than the brain. An all-black volume has an empty mask.
    """
    bright = np.percentile(image, BRIGHT_PERCENTILE, axis=(0, 2, 3)).astype(np.float32)
    # Where less than 1 % of the volume is lit, the percentile is 0 and the maximum has to serve.
    bright = np.where(bright > 0, bright, image.max(axis=(0, 2, 3)))
    scale = np.divide(1.0, bright, out=np.zeros_like(bright), where=bright > 0)
    level = np.einsum("schw,c->shw", image, scale / image.shape[1])
    mask: NDArray[np.bool_] = level > HEAD_FRACTION
    return mask
