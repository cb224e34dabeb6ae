"""Pictures of an image with the outlines of the true and the predicted tumour."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedward.errors import FedwardError
from fedward.rounds.run_folder import write_bytes

# Green and magenta stay apart in every common form of colour blindness; white is where both outlines meet.
TRUTH = (0, 230, 118)
PREDICTION = (255, 64, 255)
BOTH = (255, 255, 255)
BRIGHTEST = 190  # of the image, so that an outline shows on a bright tumour too
PICTURE_HEIGHT = 384
FLAIR = 1


def overlay(image: ArrayLike, truth: ArrayLike | None, prediction: ArrayLike, scale: int = 1) -> NDArray[np.uint8]:
    """Grey image with outlines: truth green, prediction magenta, both white.

    image (H, W), (H, W, C) or (C, H, W), values in [0, 1] (clipped; not finite is black); of three channels the second,
    FLAIR, is shown, because the tumour is marked on it. truth, prediction (H, W), foreground where non-zero.
    Returns uint8 (scale·H, scale·W, 3).

    Raises FedwardError where the shapes do not belong together.
    """
    grey = _grey(np.asarray(image, dtype=np.float32))
    masks = {"prediction": np.asarray(prediction) != 0}
    if truth is not None:
        masks["truth"] = np.asarray(truth) != 0
    for name, mask in masks.items():
        if mask.shape != grey.shape:
            raise FedwardError(f"the {name} mask has shape {mask.shape} but the image {grey.shape}: they must be equal")
    picture = np.repeat(enlarge(np.rint(grey * BRIGHTEST).astype(np.uint8), scale)[..., None], 3, axis=2)
    edges = {name: outline(enlarge(mask, scale), max(1, scale // 2)) for name, mask in masks.items()}
    picture[edges["prediction"]] = PREDICTION
    if "truth" in edges:
        picture[edges["truth"]] = TRUTH
        picture[edges["truth"] & edges["prediction"]] = BOTH
    return picture


def outline(mask: NDArray[np.bool_], width: int = 1) -> NDArray[np.bool_]:
    """The foreground pixels within `width` pixels of the background or the border (4-neighbourhood)."""
    inside = mask
    for _ in range(width):
        padded = np.pad(inside, 1)
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def save_overlays(folder: Path, rows: list[tuple[str, ArrayLike, ArrayLike | None, ArrayLike]]) -> list[Path]:
    """Write one PNG per (label, image, truth, prediction): left the bare image, right with outlines.

    The label is kept inside the PNG (text "Description"), where the report reads it. Older pictures in `folder` go.
    """
    pictures = []
    for label, image, truth, prediction in rows:
        height = _grey(np.asarray(image, dtype=np.float32)).shape[0]
        scale = max(1, round(PICTURE_HEIGHT / height))
        nothing = np.zeros(np.shape(prediction), dtype=bool)
        pair = [overlay(image, None, nothing, scale), overlay(image, truth, prediction, scale)]
        pictures.append((label, np.concatenate(pair, axis=1)))
    return save_pictures(folder, pictures)


def save_pictures(folder: Path, pictures: list[tuple[str, NDArray[np.uint8]]]) -> list[Path]:
    """Write each (label, RGB picture) as NN-LABEL.png; the pictures that an earlier call left in `folder` go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9]-*.png"):
        old.unlink()
    paths = []
    for index, (label, picture) in enumerate(pictures, start=1):
        slug = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")[:60] or "case"
        paths.append(folder / f"{index:02d}-{slug}.png")
        write_png(paths[-1], picture, label)
    return paths


def write_png(path: Path, picture: NDArray[np.uint8], label: str = "") -> None:
    """Write an RGB picture, atomically, with its label inside."""
    from io import BytesIO

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    if label:
        text.add_itxt("Description", label)
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=text, optimize=True)
    write_bytes(path, buffer.getvalue())


def read_overlays(folder: Path) -> list[tuple[str, bytes]]:
    """(label, PNG bytes) of each picture in `folder`, in order of file name; a file that is no PNG is left out."""
    from PIL import Image, UnidentifiedImageError

    found = []
    for path in sorted(folder.glob("*.png")):
        try:
            with Image.open(path) as picture:
                label: Any = picture.info.get("Description")
        except (UnidentifiedImageError, OSError):
            continue
        found.append((str(label or path.stem), path.read_bytes()))
    return found


def _grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    if image.ndim == 3:
        channels_first = image.shape[0] in (1, 3) and image.shape[2] not in (1, 3)
        if not channels_first and image.shape[2] not in (1, 3):
            raise FedwardError(f"an image of shape {image.shape} has neither 1 nor 3 channels")
        image = image if channels_first else image.transpose(2, 0, 1)
        image = image[FLAIR if len(image) == 3 else 0]
    if image.ndim != 2:
        raise FedwardError(f"an image must be (H, W), (H, W, C) or (C, H, W), not {image.shape}")
    return np.clip(np.nan_to_num(image, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)


def enlarge(array: NDArray[Any], scale: int) -> NDArray[Any]:
    return array.repeat(scale, axis=0).repeat(scale, axis=1)
