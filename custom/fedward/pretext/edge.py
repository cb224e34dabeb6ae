"""The edge view of FRID: an image with its own edges made brighter (docs/methods.md, "FRID"; our reading)."""

import torch
from torch import Tensor
from torch.nn.functional import pad

SMALLEST_GRADIENT = 1e-6  # an even image has no edges: noise of rounding is not raised to full strength


def edge_view(images: Tensor, strength: Tensor) -> Tensor:
    """I' = clip(I + lambda |grad I| / max(|grad I|, 1e-6), 0, 1) for each image of the batch.

    images (B, 1, H, W) float in [0, 1], before normalisation; strength (B,) is lambda, 0 gives the image itself. The
    maximum is taken over each image. Returns (B, 1, H, W).
    """
    gradient = sobel(images)
    highest = gradient.amax(dim=(1, 2, 3), keepdim=True).clamp_min(SMALLEST_GRADIENT)
    return (images + strength.to(images)[:, None, None, None] * gradient / highest).clamp(0, 1)


def sobel(images: Tensor) -> Tensor:
    """Length of the Sobel gradient of (B, 1, H, W), the border replicated; not divided by 8. Same shape.

    Written as sums of shifted images: kornia's `sobel` is a 3-D convolution, on a CPU some ten times slower.
    """
    padded = pad(images, (1, 1, 1, 1), mode="replicate")
    left, middle, right = padded[..., :-2], padded[..., 1:-1], padded[..., 2:]
    across, smooth = right - left, left + 2 * middle + right
    dx = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    dy = smooth[..., 2:, :] - smooth[..., :-2, :]
    return torch.hypot(dx, dy)
