"""A picture of a segmented scan: its slices side by side, with the outlines of the structures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedward.errors import FedwardError
from fedward.reports.overlays import BRIGHTEST, enlarge, outline

# Okabe and Ito's colours, which stay apart in every common form of colour blindness, the brightest first.
COLOURS = ((86, 180, 233), (240, 228, 66), (204, 121, 167), (0, 178, 130), (230, 110, 20), (0, 114, 178))
COLUMNS = 8  # slices shown at most
TILE = 176  # height of a slice in pixels, about
MARGIN, SMALLEST = 0.25, 48  # around what is outlined: part of its size; pixels of the scan at least
GAP, LINE = 4, 20  # pixels between slices, and of a line of text
GREY = (200, 200, 200)


def structure_sheet(
    image: NDArray[np.floating], truth: NDArray[np.uint8] | None, prediction: NDArray[np.uint8], names: Sequence[str]
) -> NDArray[np.uint8]:
    """A row of bare slices, one with the true outlines where they are known, one with the predicted ones, and a key.

    image, truth, prediction (Z, H, W); labels 1, 2, ... are called `names`. Slices that hold a structure are shown,
    evenly chosen where they are many, and of these the part around the structures. Returns uint8 (H', W', 3).

    Raises FedwardError where the shapes differ.
    """
    volumes = {"prediction": prediction} if truth is None else {"truth": truth, "prediction": prediction}
    for name, labels in volumes.items():
        if labels.shape != image.shape:
            raise FedwardError(f"the {name} has shape {labels.shape} but the image {image.shape}: they must be equal")
    marked = np.any([labels > 0 for labels in volumes.values()], axis=0)
    shown = _slices(marked)
    rows, columns = _window(marked)
    scale = max(1, round(TILE / (rows.stop - rows.start)))
    grey = _grey(np.asarray(image, dtype=np.float32))
    sheet = []
    for row, labels in (("image", None), *volumes.items()):
        tiles = [
            _tile(grey[z, rows, columns], None if labels is None else labels[z, rows, columns], len(names), scale)
            for z in shown
        ]
        sheet += [_text([(row, GREY)]), _side_by_side(tiles)]
    sheet.append(_text([(name.replace("_", " "), COLOURS[n % len(COLOURS)]) for n, name in enumerate(names)]))
    width = max(part.shape[1] for part in sheet)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0))) for part in sheet])


def _slices(marked: NDArray[np.bool_]) -> list[int]:
    found = np.flatnonzero(marked.any(axis=(1, 2)))
    found = found if len(found) else np.arange(len(marked))
    chosen = np.linspace(0, len(found) - 1, min(COLUMNS, len(found))).round().astype(int)
    return [int(z) for z in found[chosen]]


def _window(marked: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The square part of a slice around all that is marked, as far as the slice reaches; all of it where nothing is."""
    flat = marked.any(axis=0)
    if not flat.any():
        return slice(0, flat.shape[0]), slice(0, flat.shape[1])
    lows_highs = [(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(flat)]
    side = max(SMALLEST, *(round((high - low) * (1 + 2 * MARGIN)) for low, high in lows_highs))
    window = []
    for (low, high), size in zip(lows_highs, flat.shape, strict=True):
        start = min(max((low + high - side) // 2, 0), max(size - side, 0))
        window.append(slice(start, min(start + side, size)))
    return window[0], window[1]


def _grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """0 to BRIGHTEST between the 1st and 99.5th percentile of the volume."""
    low, high = np.percentile(image, (1, 99.5))
    scaled = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    return np.rint(scaled * BRIGHTEST).astype(np.uint8)


def _tile(grey: NDArray[np.uint8], labels: NDArray[np.uint8] | None, count: int, scale: int) -> NDArray[np.uint8]:
    picture = np.repeat(enlarge(grey, scale)[..., None], 3, axis=2)
    for label in range(1, count + 1) if labels is not None else ():
        picture[outline(enlarge(labels == label, scale), max(1, scale // 2))] = COLOURS[(label - 1) % len(COLOURS)]
    return picture


def _side_by_side(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    gap = np.zeros((tiles[0].shape[0], GAP, 3), np.uint8)
    parts = [part for tile in tiles for part in (gap, tile)]
    return np.concatenate(parts[1:], axis=1)


def _text(words: Sequence[tuple[str, tuple[int, int, int]]]) -> NDArray[np.uint8]:
    """One line of coloured words on black."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=13)
    lefts = np.cumsum([GAP, *(round(font.getlength(word)) + 4 * GAP for word, _ in words)]).tolist()
    line = Image.new("RGB", (lefts[-1], LINE))
    for left, (word, colour) in zip(lefts, words, strict=False):
        ImageDraw.Draw(line).text((left, 2), word, fill=colour, font=font)
    return np.asarray(line)
