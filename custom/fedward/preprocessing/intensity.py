"""Intensity normalisation: each channel of a volume is clipped at percentiles and scaled to [0, 1]."""

import numpy as np
from numpy.typing import NDArray


def scale_intensity(
    image: NDArray[np.float32], head: NDArray[np.bool_], percentiles: tuple[float, float] = (1.0, 99.0)
) -> NDArray[np.float32]:
    """Clip and scale image (S, C, H, W) to [0, 1], float32, one pair of percentiles per volume and channel.

    The percentiles are taken over the head (S, H, W), so that the share of air in the picture does not matter.
    A channel without contrast in the head, or a volume without a head, becomes zeros.
    """
    scaled = np.zeros(image.shape, np.float32)
    if not head.any():
        return scaled
    for channel in range(image.shape[1]):
        plane = image[:, channel]
        low, high = np.percentile(plane[head], percentiles)
        if high > low:
            scaled[:, channel] = np.clip((plane - low) / (high - low), 0.0, 1.0)
    return scaled
