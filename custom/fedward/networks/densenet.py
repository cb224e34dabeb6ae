"""DenseNet-121 of Huang et al. (2017, arXiv 1608.06993), with bottleneck layers and compression (DenseNet-BC).

Keys are named as in torchvision's, so that a file of ImageNet weights fits. It is written in plain torch because
importing MONAI doubles the start-up time of a site (docs/decisions.md).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

BLOCKS = (6, 12, 24, 16)  # dense layers of each block
EARLY = "denseblock3"  # the stage whose map `early` gives
BOTTLENECK = 4  # a layer's 1x1 convolution gives so many times growth_rate channels


class DenseLayer(nn.Module):
    """BN-ReLU-Conv1x1-BN-ReLU-Conv3x3: (B, C, H, W) -> (B, C + growth_rate, H, W), its input in front."""

    def __init__(self, in_channels: int, growth_rate: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, BOTTLENECK * growth_rate, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(BOTTLENECK * growth_rate, growth_rate, kernel_size=3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        bottleneck = self.conv1(self.relu1(self.norm1(image)))
        return torch.cat([image, self.conv2(self.relu2(self.norm2(bottleneck)))], dim=1)


class DenseBlock(nn.Sequential):
    """`layers` dense layers: (B, C, H, W) -> (B, C + layers * growth_rate, H, W)."""

    def __init__(self, layers: int, in_channels: int, growth_rate: int):
        super().__init__(
            OrderedDict(
                (f"denselayer{n + 1}", DenseLayer(in_channels + n * growth_rate, growth_rate)) for n in range(layers)
            )
        )


class Transition(nn.Sequential):
    """Half the channels, half the height and width (rounded down)."""

    def __init__(self, in_channels: int):
        super().__init__(
            OrderedDict(
                norm=nn.BatchNorm2d(in_channels),
                relu=nn.ReLU(inplace=True),
                conv=nn.Conv2d(in_channels, in_channels // 2, kernel_size=1, bias=False),
                pool=nn.AvgPool2d(kernel_size=2, stride=2),
            )
        )


class DenseNet121(nn.Module):
    """(B, in_channels, H, W) float, H and W >= 32 -> logits (B, out_channels).

    With out_channels 0 it is the encoder alone and gives pooled features (B, num_features), 1024 of them by default.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 14, growth_rate: int = 32):
        super().__init__()
        channels = 2 * growth_rate
        features: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(in_channels, channels, kernel_size=7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        for number, layers in enumerate(BLOCKS, start=1):
            features[f"denseblock{number}"] = DenseBlock(layers, channels, growth_rate)
            channels += layers * growth_rate
            if f"denseblock{number}" == EARLY:
                self._early, self.early_features = len(features), channels
            if number < len(BLOCKS):
                features[f"transition{number}"] = Transition(channels)
                channels //= 2
        features["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(features)
        self.num_features = channels
        for module in self.features.modules():  # as in the authors' code; batch normalisation begins at 1 and 0
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        # last, so that from one seed the encoder is the same with any classifier and with none
        self.classifier = nn.Linear(channels, out_channels) if out_channels else None
        if self.classifier is not None:
            nn.init.zeros_(self.classifier.bias)

    def early(self, image: Tensor) -> Tensor:
        """Feature map of the third dense block, the last but one: (B, early_features, H/16, W/16)."""
        return self.features[: self._early](image)  # type: ignore[no-any-return]

    def late(self, early: Tensor) -> Tensor:
        """From `early` to the last feature map, after its batch normalisation and ReLU: (B, num_features, h, w)."""
        return torch.relu_(self.features[self._early :](early))

    def feature_map(self, image: Tensor) -> Tensor:
        """The last feature map before pooling, not negative: (B, num_features, H/32, W/32)."""
        return self.late(self.early(image))

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.feature_map(image).mean(dim=(2, 3))
        return pooled if self.classifier is None else self.classifier(pooled)
