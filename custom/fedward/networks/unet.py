"""The 2-D U-Net of Ronneberger et al. (2015, arXiv 1505.04597), in the variant of Buda et al. (2019).

Batch normalisation after every convolution, padding that keeps the size, transposed convolutions to go up. It is
written in plain torch because importing MONAI doubles the start-up time of a site (docs/decisions.md).
"""

import torch
from torch import Tensor, nn

from fedward.networks.registry import UNET_DEPTH


class ConvolutionBlock(nn.Sequential):
    """Two 3x3 convolutions, each followed by normalisation and ReLU: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, instance_norm: bool = False):
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [
                nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=False),
                nn.InstanceNorm2d(out_channels, affine=True) if instance_norm else nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNetEncoder(nn.ModuleList):
    """The contracting half: (B, in_channels, H, W) -> the maps of depth + 1 levels.

    The k-th map has features * 2**k channels. H and W must be multiples of 2**depth; the k-th map is H / 2**k high.
    """

    def __init__(self, in_channels: int, features: int, depth: int, instance_norm: bool = False):
        widths = [features * 2**level for level in range(depth + 1)]
        inputs = [in_channels, *widths[:-1]]
        super().__init__(ConvolutionBlock(i, o, instance_norm) for i, o in zip(inputs, widths, strict=True))
        self.widths = widths

    def forward(self, image: Tensor) -> list[Tensor]:
        step = 2 ** (len(self) - 1)
        if image.shape[-1] % step or image.shape[-2] % step:
            raise ValueError(f"image size {tuple(image.shape[-2:])} is not a multiple of {step}")
        maps = [self[0](image)]
        for block in list(self)[1:]:
            maps.append(block(nn.functional.max_pool2d(maps[-1], 2)))
        return maps


class UNet(nn.Module):
    """Encoder and decoder with skip connections: (B, in_channels, H, W) float -> logits (B, out_channels, H, W).

    H and W must be multiples of 2**depth. The k-th level has features * 2**k channels. `instance_norm` normalises each
    image by itself instead of by its batch: no statistics travel, and a batch of any size will do.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        features: int = 32,
        depth: int = UNET_DEPTH,
        instance_norm: bool = False,
    ):
        super().__init__()
        self.encoder = UNetEncoder(in_channels, features, depth, instance_norm)
        widths = self.encoder.widths
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(widths[level + 1], widths[level], kernel_size=2, stride=2) for level in range(depth)
        )
        self.decoder = nn.ModuleList(
            ConvolutionBlock(2 * widths[level], widths[level], instance_norm) for level in range(depth)
        )
        self.head = nn.Conv2d(features, out_channels, kernel_size=1)
        self.depth = depth

    def forward(self, image: Tensor) -> Tensor:
        *skips, x = self.encoder(image)
        for level in reversed(range(self.depth)):
            x = self.decoder[level](torch.cat([self.up[level](x), skips[level]], dim=1))
        return self.head(x)  # type: ignore[no-any-return]
