"""Random views of slices: a crop, a turn and a bend of the grey values, batched on the device.

There is no brightness or contrast: the encoder's instance normalisation takes a linear change away again. There is no
mirror either: left and right of a body differ. Random numbers are those of `fedward.pretext.augmentation`: a fixed
count an image, from a generator on the CPU.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from fedward.contrast.settings import ContrastSettings
from fedward.pretext.augmentation import crop, random_box

NUMBERS = 6  # random numbers a view


class Draw(NamedTuple):
    """What happens to each image of a batch of B.

    box    (B, 4) left, top, width, height, as parts of the image's width
    angle  (B,) radians by which the box is turned about its middle
    gamma  (B,) power of the grey values; 1 changes nothing
    """

    box: Tensor
    angle: Tensor
    gamma: Tensor


def draw(numbers: Tensor, settings: ContrastSettings) -> Draw:
    """What uniform numbers in [0, 1), (B, 6), make of each image."""
    area, ratio, x, y, angle, gamma = numbers.unbind(1)
    return Draw(
        box=random_box(area, ratio, x, y, settings.min_crop),
        angle=(2 * angle - 1) * math.radians(settings.rotation),
        gamma=((2 * gamma - 1) * math.log1p(settings.gamma)).exp(),
    )


@torch.no_grad()
def augmented(images: Tensor, drawn: Draw) -> Tensor:
    """The views that `drawn` describes: float (B, 1, S, S) on any device to float32 of the same shape there."""
    with torch.autocast(images.device.type, enabled=False):
        drawn = Draw(*(part.to(images.device, non_blocking=True) for part in drawn))
        still = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        view = crop(images.float(), drawn.box, drawn.angle, still, images.shape[-1])
        return bend(view, drawn.gamma)


def bend(images: Tensor, gamma: Tensor) -> Tensor:
    """Each image's grey values to the power `gamma` (B,), between its lowest and highest, which stay; (B, 1, H, W)."""
    low, high = images.aminmax(dim=-1, keepdim=True)
    low, high = low.amin(dim=-2, keepdim=True), high.amax(dim=-2, keepdim=True)
    width = (high - low).clamp_min(torch.finfo(images.dtype).tiny)  # a black slice stays as it is
    return ((images - low) / width).pow(gamma[:, None, None, None]) * width + low


def random_views(
    images: Tensor, settings: ContrastSettings, generator: torch.Generator, count: int
) -> tuple[Tensor, ...]:
    """`count` random views of each image (B, 1, S, S), float32 of the same shape each."""
    numbers = torch.rand((count, len(images), NUMBERS), generator=generator)
    return tuple(augmented(images, draw(part, settings)) for part in numbers)
