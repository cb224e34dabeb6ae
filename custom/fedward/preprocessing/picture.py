"""A picture of one patient before and after bias field correction, with the estimated field."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import Volume
from fedward.errors import FedwardError
from fedward.preprocessing.bias_field import estimate_bias_field, why_left_as_it_is
from fedward.preprocessing.head import head_mask
from fedward.preprocessing.prepare import select_channels
from fedward.preprocessing.settings import PreprocessingSettings

CHANNEL_NAMES = ("pre-contrast", "FLAIR", "post-contrast")


def write_picture(volume: Volume, settings: PreprocessingSettings, path: Path) -> None:
    """Write a PNG: a row for each channel with original, estimated field and corrected slice.

    The slice is the one with most tumour, or the middle one. Original and corrected share one grey scale.
    Raises FedwardError where the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    image = select_channels(volume, settings)
    head = head_mask(image)
    names = CHANNEL_NAMES if settings.channels == "all" else CHANNEL_NAMES[1:2]
    tumour = volume.mask.sum(axis=(1, 2))
    number = int(tumour.argmax()) if tumour.any() else len(tumour) // 2
    reason = why_left_as_it_is(head) if settings.bias_field != "none" else "none asked for"

    rows = image.shape[1]
    figure = Figure(figsize=(9.6, 2.9 * rows + 0.6), layout="constrained")
    figure.suptitle(
        f"{volume.patient}, slice {number + 1} of {len(image)}, bias field {settings.bias_field}"
        + (f" (left as it is: {reason})" if reason else "")
    )
    axes = figure.subplots(rows, 3, squeeze=False)
    for channel, row in enumerate(axes):
        name = names[channel] if rows == len(names) else f"channel {channel + 1}"
        field = estimate_bias_field(image[:, channel], head, settings.bias_field)
        before, after = image[number, channel], (image[:, channel] / field)[number]
        top = float(np.percentile(image[:, channel][head], 99)) if head.any() else 1.0
        row[0].imshow(before, cmap="gray", vmin=0, vmax=max(top, 1.0))
        row[0].set_ylabel(name)
        shown = np.ma.masked_where(~head[number], field[number])
        low, high = _field_limits(field, head)
        drawn = row[1].imshow(shown, cmap="viridis", vmin=low, vmax=high)
        figure.colorbar(drawn, ax=row[1], shrink=0.85)
        row[2].imshow(after, cmap="gray", vmin=0, vmax=max(top, 1.0))
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, title in zip(axes[0], ("original", "estimated field", "corrected"), strict=True):
        axis.set_title(title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context({"font.size": 10}):
            figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise FedwardError(
            f"the picture {path} cannot be written ({error.strerror or error}): name another file"
        ) from error


def _field_limits(field: NDArray[np.float32], head: NDArray[np.bool_]) -> tuple[float, float]:
    """Grey limits that are the same distance from 1 on a logarithmic scale, at least a factor 1.1."""
    inside = field[head] if head.any() else np.ones(1, np.float32)
    reach = max(float(np.abs(np.log(inside)).max()), float(np.log(1.1)))
    return float(np.exp(-reach)), float(np.exp(reach))
