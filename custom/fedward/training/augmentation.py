"""Random flips, rotations and scalings of image and mask together, batched on the device."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

MAX_ROTATION = math.radians(15)  # as Buda et al. (2019), with scale and flip
MAX_SCALE = 0.05


def augment(image: Tensor, mask: Tensor, generator: torch.Generator, mirror: bool = True) -> tuple[Tensor, Tensor]:
    """Move each image of the batch with its mask: (B, C, H, W) and (B, 1, H, W) float, same shapes out.

    Left-right flip with probability .5 (where `mirror`), rotation within 15 degrees, scale within 5 %. The random
    numbers come from `generator` (on the CPU), so the result does not depend on the device. Bilinear for the image,
    nearest for the mask.
    """
    angle, scale, flip = torch.rand((3, image.shape[0]), generator=generator)
    angle = (2 * angle - 1) * MAX_ROTATION
    scale = 1 + (2 * scale - 1) * MAX_SCALE
    sign = torch.where((flip < 0.5) & mirror, -1.0, 1.0)
    matrix = torch.zeros(image.shape[0], 2, 3)
    matrix[:, 0, 0] = sign * angle.cos() / scale
    matrix[:, 0, 1] = -angle.sin() / scale
    matrix[:, 1, 0] = sign * angle.sin() / scale
    matrix[:, 1, 1] = angle.cos() / scale
    grid = affine_grid(matrix.to(image.device, non_blocking=True), list(image.shape), align_corners=False)
    moved = grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved, grid_sample(mask, grid, mode="nearest", padding_mode="zeros", align_corners=False)
