"""A picture of one scan before and after its preprocessing, with the outlines of its structures."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.scan import Scan, ScanVolume
from fedward.errors import FedwardError
from fedward.preprocessing.scan import prepare_scan
from fedward.preprocessing.settings import PreprocessingSettings

COLOURS = ("#56b4e9", "#e69f00", "#cc79a7", "#f0e442", "#009e73")  # Okabe and Ito: apart for every reader
SHOWN = 3  # slices


def write_scan_picture(
    volume: ScanVolume, scan: Scan, structures: tuple[str, ...], settings: PreprocessingSettings, path: Path
) -> None:
    """Write a PNG: above slices as they were, below the same as the network sees them, both with axes in mm.

    Three slices are shown, spread over those that hold a structure, or over all. Raises FedwardError where the file
    cannot be written, and as `prepare_scan`.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    prepared = prepare_scan(volume, scan, settings)
    after = prepared.image.astype(np.float32)
    rows = (
        ("original", volume.image, volume.labels, volume.spacing),
        ("prepared", after, prepared.labels, prepared.spacing),
    )
    numbers = _spread(volume)
    present = () if volume.labels is None else tuple(int(label) for label in np.unique(volume.labels) if label)
    figure = Figure(figsize=(3.1 * len(numbers) + 0.6, 7.2), layout="constrained")
    figure.suptitle(f"{scan.patient} {scan.frame}, {len(volume.image)} slices; axes in mm".replace(" ,", ","))
    for line, (title, image, labels, spacing) in zip(
        figure.subplots(2, len(numbers), squeeze=False), rows, strict=True
    ):
        low, high = np.percentile(image, settings.percentiles)
        _, height, width = image.shape
        right, bottom = width * spacing[2] / 2, height * spacing[1] / 2
        for axis, number in zip(line, numbers, strict=True):
            extent = (-right, right, bottom, -bottom)
            axis.imshow(image[number], cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest")
            for label in present:
                assert labels is not None  # there is none of its labels else
                _outline(axis, labels[number] == label, extent, COLOURS[(label - 1) % len(COLOURS)])
            axis.set_title(f"{title}, slice {number + 1}", fontsize=9)
        pixels = " x ".join(f"{side:.3g}" for side in spacing[1:])
        line[0].set_ylabel(f"{height} x {width} pixels of {pixels} mm" + ("" if volume.spacing_known else " (assumed)"))
    if present:
        names = [structures[label - 1] if label <= len(structures) else str(label) for label in present]
        lines = [Line2D([], [], color=COLOURS[(label - 1) % len(COLOURS)]) for label in present]
        figure.legend(lines, [name.replace("_", " ") for name in names], loc="outside lower center", ncols=len(lines))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context({"font.size": 10}):
            figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise FedwardError(
            f"the picture {path} cannot be written ({error.strerror or error}): name another file"
        ) from error


def _spread(volume: ScanVolume) -> list[int]:
    """At most three slices from the first to the last that holds a structure, a sixth away from the ends."""
    held = np.arange(len(volume.image))
    if volume.labels is not None and volume.labels.any():
        held = np.flatnonzero(volume.labels.any(axis=(1, 2)))
    places = np.unique([int((part + 0.5) * len(held) / SHOWN) for part in range(SHOWN)])
    return [int(held[place]) for place in places]


def _outline(axis: Any, mask: NDArray[np.bool_], extent: tuple[float, float, float, float], colour: str) -> None:
    """The border between pixels of `mask` and others, half-way between their centres."""
    if not mask.any():
        return
    left, right, bottom, top = extent
    height, width = mask.shape
    x = left + (np.arange(-1, width + 1) + 0.5) * (right - left) / width
    y = top + (np.arange(-1, height + 1) + 0.5) * (bottom - top) / height
    axis.contour(x, y, np.pad(mask, 1).astype(np.float32), levels=[0.5], colors=[colour], linewidths=1.2)
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)
