"""The U-Net's encoder with a head on its pooled deepest map, for pretraining; and alone, as it is handed on."""

from torch import Tensor, nn

from fedward.networks.registry import UNET_ENCODER, UNET_ROTATION
from fedward.networks.unet import UNetEncoder
from fedward.pretext.online import CONTRASTIVE_SIZE, ROTATIONS, OnlineNetwork, Projector


class PooledUNetEncoder(UNetEncoder):
    """(B, in_channels, H, W) -> the largest value over space of the deepest map, (B, features * 2**depth).

    Not the mean: instance normalisation has given every channel of that map the same mean, so means hardly differ from
    slice to slice (docs/decisions.md).
    """

    def forward(self, image: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(image)[-1].amax(dim=(2, 3))


class EncoderAlone(nn.Module):
    """The encoder under the name that it has inside a U-Net, so that its keys are the same."""

    def __init__(self, encoder: UNetEncoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.encoder(image)  # type: ignore[no-any-return]


def build_unet_encoder(name: str, in_channels: int, features: int, depth: int) -> nn.Module:
    """unet_encoder alone, unet_contrast with SimCLR's projector D-D-128, unet_rotation with a linear layer of 4."""
    if name == UNET_ENCODER:
        return EncoderAlone(UNetEncoder(in_channels, features, depth, instance_norm=True))
    encoder = PooledUNetEncoder(in_channels, features, depth, instance_norm=True)
    width = encoder.widths[-1]
    if name == UNET_ROTATION:
        return OnlineNetwork(encoder, Projector(nn.Linear(width, ROTATIONS)))
    layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CONTRASTIVE_SIZE))
    return OnlineNetwork(encoder, Projector(layers))
