"""Reading of X-ray images: any PNG or JPEG file becomes 8-bit grey, or an error that names the file."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import FileProblem, no_image_file

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG")
DEEP = ("I;16", "I;16B", "I;16L", "I")  # modes in which Pillow keeps 16 bits of grey
DEPTHS = (12, 14, 16)  # bits that detectors write into 16-bit files
# Raw modes of which Pillow keeps the high bytes -> one that shows the low bytes, the second of two, and their channels.
LOW_BYTES = {"RGB;16B": ("RGB;16L", slice(3)), "RGBA;16B": ("RGBA;16L", slice(3)), "LA;16B": ("RGBA", slice(1, 2))}


def read_xray(path: Path) -> NDArray[np.uint8]:
    """One image, (H, W) uint8, 0 black to 255 white; DataError where the file is missing, empty, damaged or no image.

    Colour becomes grey by Pillow's weights (ITU-R 601-2), transparency is dropped, palettes are looked up. An image
    of 16 bits is divided by the largest value of the smallest depth of 12, 14 and 16 bits that holds all its values.
    """
    with opened(path) as image:
        return np.asarray(grey(image, deep_values(image, path)))


def read_resized(path: Path, size: int) -> NDArray[np.uint8]:
    """One image as `read_xray`, resized to (size, size) uint8, antialiased (Pillow's BILINEAR, whose support grows).

    The whole image is fitted into the square, as in the papers: one that is not square is stretched and nothing is
    cut off. A JPEG more than four times larger than `size` on both sides is decoded at 1/2, 1/4 or 1/8 of its size,
    never below twice `size` (the decoder's own averaging), which is several times faster.
    """
    from PIL.Image import Resampling

    with opened(path) as image:
        if image.format == "JPEG" and min(image.size) > 4 * size:
            image.draft("L" if image.mode in ("L", "RGB", "YCbCr") else image.mode, (2 * size, 2 * size))
        picture = grey(image, deep_values(image, path))
        if picture.size != (size, size):
            picture = picture.resize((size, size), Resampling.BILINEAR)
        return np.asarray(picture)


@contextmanager
def opened(path: Path) -> "Iterator[ImageFile]":
    """The image in a file, its checksums verified where the format has them (PNG); every fault is a DataError."""
    from PIL import Image, UnidentifiedImageError

    advice = "copy it again from the original"
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileProblem(path, "missing: no such file", "restore it from the original") from None
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP):
            raise no_image_file(Path(path)) from error
        raise FileProblem(path, f"unreadable: {error.strerror or error}", "check its permissions") from error
    if not data:
        raise FileProblem(path, "empty file: it has 0 bytes", advice)
    try:
        with warnings.catch_warnings(action="ignore"):  # the error says it, with the file's name
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                if image.format == "PNG":
                    image.verify()  # decoding alone lets a wrong checksum pass
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                yield image
    except FileProblem:
        raise
    except Exception as error:  # Pillow lets errors of many kinds through for a damaged file
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "neither PNG nor JPEG, or its first bytes are damaged" if unknown else str(error) or repr(error)
        raise FileProblem(path, f"unreadable: {reason}", advice) from error


def deep_values(image: "ImageFile", path: Path) -> NDArray[Any] | None:
    """The values of a 16-bit image just `opened`, (H, W) or (H, W, 3), without transparency; None for one of 8 bits.

    Pillow keeps 16 bits of grey alone: colour of 12 bits would be nearly black. So such a file is read twice, once for
    the high and once for the low bytes.
    """
    if image.mode in DEEP:
        return np.asarray(image)
    raw_mode = image.tile[0].args
    if raw_mode not in LOW_BYTES:
        return None
    with opened(path) as again:
        low_bytes, channels = LOW_BYTES[raw_mode]
        again.tile = [again.tile[0]._replace(args=low_bytes)]
        values: NDArray[np.uint16] = np.asarray(image)[..., :3] * np.uint16(256) + np.asarray(again)[..., channels]
        return values


def grey(image: "Image", values: NDArray[Any] | None) -> "Image":
    """The image in 8-bit grey (mode L), of its `deep_values`: Pillow's own conversion would turn 16-bit grey white."""
    from PIL import Image

    if values is None:
        return image.convert("L")
    scaled = values.astype(np.float32) * (255 / (2 ** depth_of(values) - 1))
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8)).convert("L")


def depth_of(values: NDArray[Any]) -> int:
    """Bits of a 16-bit image: the smallest of 12, 14 and 16 that holds its largest value."""
    return next((bits for bits in DEPTHS if values.max() < 2**bits), DEPTHS[-1])
