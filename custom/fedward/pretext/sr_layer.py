"""The SR layer of FRID: residual spatial re-weighting of a feature map (our reading, docs/methods.md, "FRID").

Its spatial attention is that of CBAM (Woo 2018, arXiv 1807.06521).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

KERNEL, SMALL_KERNEL = 7, 3
SMALLEST_LATE_VIEW = 128  # pixels: below, the last feature map has under 4 x 4 positions and the layer sits earlier


class SRLayer(nn.Module):
    """F (B, C, H, W) -> F (1 + g A), same shape, with A = sigmoid(conv([mean_c F; max_c F])) in (0, 1).

    The gain g starts at 0, so that the layer starts as the identity, bit for bit. The kernel is 7x7. Maps under 7
    pixels use its central 3x3, so that one set of weights fits every image size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, 2, KERNEL, KERNEL))
        nn.init.kaiming_normal_(self.weight)
        self.gain = nn.Parameter(torch.zeros(()))

    def attention(self, feature_map: Tensor) -> Tensor:
        """A, (B, 1, H, W)."""
        pooled = torch.cat([feature_map.mean(dim=1, keepdim=True), feature_map.amax(dim=1, keepdim=True)], dim=1)
        weight: Tensor = self.weight
        if min(feature_map.shape[-2:]) < KERNEL:
            border = (KERNEL - SMALL_KERNEL) // 2
            weight = weight[..., border:-border, border:-border]
        return conv2d(pooled, weight, padding=weight.shape[-1] // 2).sigmoid()

    def forward(self, feature_map: Tensor) -> Tensor:
        return feature_map * (1 + self.gain * self.attention(feature_map))
