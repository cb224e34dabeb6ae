"""Random views of X-rays, batched on the device.

Every image has its own random numbers, a fixed count of them, from a generator on the CPU. So a view depends neither on
the device nor on the other images of the batch, batches drawn in parts equal the whole batch, and switching one
augmentation off leaves the others as they were.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from fedward.pretext.edge import edge_view
from fedward.pretext.settings import PretextSettings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for which public encoders are trained
LARGEST_RATIO = 4 / 3  # width to height of a random crop, and its inverse
BLUR_AT_224 = (0.1, 2.0)  # standard deviation in pixels of a view of 224 (SimCLR, arXiv 2002.05709)
NUMBERS = 12  # random numbers a view


class Draw(NamedTuple):
    """What happens to each image of a batch of B.

    box         (B, 4) left, top, width, height, as parts of the image's width
    angle       (B,) radians by which the box is turned about its middle
    mirror      (B,) bool, left to right
    brightness, contrast  (B,) factors; 1 changes nothing
    blur        (B,) standard deviation in pixels of the view; 0: none
    edge        (B,) lambda of the edge view; 0: none
    """

    box: Tensor
    angle: Tensor
    mirror: Tensor
    brightness: Tensor
    contrast: Tensor
    blur: Tensor
    edge: Tensor


def two_views(images: Tensor, settings: PretextSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two random views of each image; only the first may be an edge view.

    images uint8 (B, 1, S, S) on any device; two float32 (B, 3, c, c) there, c = settings.crop_size, normalised.
    """
    numbers = torch.rand((len(images), 2, NUMBERS), generator=generator)
    first, second = (draw(numbers[:, k], settings) for k in range(2))
    second = second._replace(edge=torch.zeros_like(second.edge))
    size = settings.crop_size
    return normalise(augmented(images, first, size)), normalise(augmented(images, second, size))


def one_view(images: Tensor, settings: PretextSettings, generator: torch.Generator) -> Tensor:
    """One random view of each image, never an edge view: uint8 (B, 1, S, S) to normalised float32 (B, 3, c, c)."""
    drawn = draw(torch.rand((len(images), NUMBERS), generator=generator), settings)
    return normalise(augmented(images, drawn._replace(edge=torch.zeros_like(drawn.edge)), settings.crop_size))


def draw(numbers: Tensor, settings: PretextSettings) -> Draw:
    """What uniform numbers in [0, 1), (B, 12), make of each image."""
    area, ratio, x, y, angle, mirror, brightness, contrast, blurred, blur, edged, edge = numbers.unbind(1)
    low, high = (sigma * settings.crop_size / 224 for sigma in BLUR_AT_224)
    return Draw(
        box=random_box(area, ratio, x, y, settings.min_crop),
        angle=(2 * angle - 1) * math.radians(settings.rotation),
        mirror=mirror < (0.5 if settings.flip else 0.0),
        brightness=1 + (2 * brightness - 1) * settings.jitter,
        contrast=1 + (2 * contrast - 1) * settings.jitter,
        blur=(low + (high - low) * blur) * (blurred < settings.blur),
        edge=edge * settings.edge_strength * (edged < (settings.edge_probability if settings.edge else 0.0)),
    )


def random_box(area: Tensor, ratio: Tensor, x: Tensor, y: Tensor, min_crop: float) -> Tensor:
    """Boxes (B, 4) inside the unit square: left, top, width, height. Arguments: uniform numbers (B,) in [0, 1).

    The area is uniform in [min_crop, 1]; the logarithm of width / height is uniform among the ratios from 3/4 to 4/3
    that fit, so that no draw is thrown away and min_crop = 1 gives the whole image.
    """
    area = min_crop + (1 - min_crop) * area
    widest = (-area.log()).clamp_max(math.log(LARGEST_RATIO))
    root = ((2 * ratio - 1) * widest / 2).exp()
    width, height = area.sqrt() * root, area.sqrt() / root
    return torch.stack([x * (1 - width), y * (1 - height), width, height], dim=1)


@torch.no_grad()
def augmented(images: Tensor, drawn: Draw, size: int) -> Tensor:
    """The views that `drawn` describes: uint8 (B, 1, S, S) to float32 (B, 1, size, size) in [0, 1].

    Crop, turn and mirror in one resampling; then brightness, contrast, blur and edges. Always float32, also where the
    caller computes in mixed precision.
    """
    with torch.autocast(images.device.type, enabled=False):
        drawn = Draw(*(part.to(images.device, non_blocking=True) for part in drawn))
        view = crop(images.float() / 255, drawn.box, drawn.angle, drawn.mirror, size)
        view = jitter(view, drawn.brightness, drawn.contrast)
        view = on_rows(view, drawn.blur, blur)
        return on_rows(view, drawn.edge, edge_view)


def on_rows(images: Tensor, amount: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`images` with `change(image, amount)` made to the rows whose amount is not 0."""
    rows = amount.nonzero()[:, 0]
    return images.index_copy(0, rows, change(images[rows], amount[rows])) if len(rows) else images


def crop(images: Tensor, box: Tensor, angle: Tensor, mirror: Tensor, size: int) -> Tensor:
    """Each image's box, turned and mirrored, resampled bilinearly: float (B, 1, S, S) to (B, 1, size, size).

    What a turned box takes from outside the image is the nearest pixel of its border, for a black corner would be an
    edge. No smoothing beforehand: a view is hardly smaller than what it shows (256 to 224).
    """
    left, top, width, height = box.unbind(1)
    sign = 1 - 2 * mirror.to(box.dtype)
    across = torch.stack([sign * angle.cos() * width, -angle.sin() * height, 2 * left + width - 1], dim=1)
    down = torch.stack([sign * angle.sin() * width, angle.cos() * height, 2 * top + height - 1], dim=1)
    grid = affine_grid(torch.stack([across, down], dim=1), [len(images), 1, size, size], align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def jitter(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Values times `brightness`, then their distance from the image's mean times `contrast`; each clipped to [0, 1]."""
    from kornia.enhance import adjust_brightness_accumulative, adjust_contrast_with_mean_subtraction

    return adjust_contrast_with_mean_subtraction(adjust_brightness_accumulative(images, brightness), contrast)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of (B, 1, c, c) with standard deviations (B,) > 0 in pixels, cut at 3 of the largest that c allows.

    The border is reflected.
    """
    from kornia.filters import gaussian_blur2d

    widest = 2 * math.ceil(3 * BLUR_AT_224[1] * images.shape[-1] / 224) + 1
    return gaussian_blur2d(images, (widest, widest), sigma[:, None].expand(-1, 2), border_type="reflect")


def normalise(images: Tensor) -> Tensor:
    """Grey (B, 1, H, W) in [0, 1] as three equal channels with ImageNet's mean and standard deviation taken out."""
    return (images - images.new_tensor(MEAN)[:, None, None]) / images.new_tensor(STD)[:, None, None]


def classification_view(images: Tensor, size: int, flip: bool, generator: torch.Generator) -> Tensor:
    """A random crop of each image in its own resolution, mirrored half of the time where `flip` is set.

    uint8 (B, 1, S, S) to normalised float32 (B, 3, size, size); ValueError where size > S.
    """
    numbers = torch.rand((len(images), 3), generator=generator)
    room = _room(images, size)
    left, top = (numbers[:, :2] * (room + 1)).long().clamp_max(room).unbind(1)  # the product may round up
    steps = torch.arange(size)
    columns = torch.where((numbers[:, 2:] < 0.5) & flip, steps.flip(0), steps) + left[:, None]
    rows = steps + top[:, None]
    images_of, rows, columns = torch.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]
    index = tuple(part.to(images.device, non_blocking=True) for part in (images_of, rows, columns))
    return normalise(images[:, 0][index][:, None].float() / 255)


def centre_crop(images: Tensor, size: int) -> Tensor:
    """The middle of each image, for evaluation: uint8 (B, 1, S, S) to normalised float32 (B, 3, size, size)."""
    start = _room(images, size) // 2
    return normalise(images[..., start : start + size, start : start + size].float() / 255)


def rotate_quarter(images: Tensor, quarters: Tensor) -> Tensor:
    """Each square image (B, C, H, H) turned counter-clockwise by `quarters` (B,) x 90 degrees, whole numbers 0 to 3."""
    turned = torch.empty_like(images)
    for k in range(4):
        rows = (quarters.to(images.device) == k).nonzero()[:, 0]
        turned[rows] = torch.rot90(images[rows], k, dims=(-2, -1))
    return turned


def _room(images: Tensor, size: int) -> int:
    height, width = images.shape[-2:]
    if height != width or not 1 <= size <= width:
        raise ValueError(f"a crop of {size} x {size} does not fit images of {height} x {width}")
    return int(width) - size
