"""The 2-D U-Net of Ronneberger et al. (2015, arXiv 1505.04597), in the variant of Buda et al. (2019).

Batch normalisation after every convolution, padding that keeps the size, transposed convolutions to go up. It is
written in plain torch because importing MONAI doubles the start-up time of a site (docs/decisions.md).
"""

import torch
from torch import Tensor, nn

from fedward.networks.registry import UNET_DEPTH


class ConvolutionBlock(nn.Sequential):
    """Two 3x3 convolutions, each followed by batch normalisation and ReLU: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int):
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [
                nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """Encoder and decoder with skip connections: (B, in_channels, H, W) float -> logits (B, out_channels, H, W).

    H and W must be multiples of 2**depth. The k-th level has features * 2**k channels.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 1, features: int = 32, depth: int = UNET_DEPTH):
        super().__init__()
        widths = [features * 2**level for level in range(depth + 1)]
        inputs = [in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(ConvolutionBlock(i, o) for i, o in zip(inputs, widths, strict=True))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(widths[level + 1], widths[level], kernel_size=2, stride=2) for level in range(depth)
        )
        self.decoder = nn.ModuleList(ConvolutionBlock(2 * widths[level], widths[level]) for level in range(depth))
        self.head = nn.Conv2d(features, out_channels, kernel_size=1)
        self.depth = depth

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-1] % 2**self.depth or image.shape[-2] % 2**self.depth:
            raise ValueError(f"image size {tuple(image.shape[-2:])} is not a multiple of {2**self.depth}")
        skips = []
        x = image
        for block in self.encoder[:-1]:
            x = block(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.encoder[-1](x)
        for level in reversed(range(self.depth)):
            x = self.decoder[level](torch.cat([self.up[level](x), skips[level]], dim=1))
        return self.head(x)  # type: ignore[no-any-return]
