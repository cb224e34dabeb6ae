"""The online network of a pretext: encoder, projector and, for BYOL and FRID, predictor. This is all that travels."""

from typing import Any

from torch import Tensor, nn

from fedward.errors import UsageError
from fedward.networks.registry import DENSENET, build_network
from fedward.pretext.settings import METHODS
from fedward.pretext.sr_layer import SMALLEST_LATE_VIEW, SRLayer

ROTATIONS = 4
CONTRASTIVE_SIZE = 128  # SimCLR's and MoCo-v2's embedding
BYOL_WIDENING, BYOL_SIZE = 4, 256  # hidden layer of 4 x 1024 = 4096


class Projector(nn.Module):
    """Head on the pooled features, (B, D) -> (B, E), with FRID's SR layer, if any, for the map before pooling."""

    def __init__(self, layers: nn.Module, sr_layer: SRLayer | None = None):
        super().__init__()
        self.layers = layers
        self.sr_layer = sr_layer

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)  # type: ignore[no-any-return]


class OnlineNetwork(nn.Module):
    """View (B, in_channels, S, S) float -> embedding (B, E); its parameters are those that an optimiser moves."""

    def __init__(self, encoder: nn.Module, projector: Projector, predictor: nn.Module | None = None):
        super().__init__()
        self.encoder: Any = encoder  # a DenseNet121 with out_channels 0
        self.projector = projector
        self.predictor = predictor

    def features(self, view: Tensor) -> Tensor:
        """Pooled features (B, D) of the encoder; the SR layer has no part in them."""
        return self.encoder(view)  # type: ignore[no-any-return]

    def forward(self, view: Tensor) -> Tensor:
        sr_layer = self.projector.sr_layer
        if sr_layer is None:
            return self.projector(self.features(view))  # type: ignore[no-any-return]
        if min(view.shape[-2:]) >= SMALLEST_LATE_VIEW:
            feature_map = sr_layer(self.encoder.feature_map(view))
        else:  # the last map would be too small to weight: take the one before
            feature_map = self.encoder.late(sr_layer(self.encoder.early(view)))
        return self.projector(feature_map.mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def predict(self, view: Tensor) -> Tensor:
        """The predictor's answer (B, E) to the view's embedding."""
        assert self.predictor is not None
        return self.predictor(self(view))  # type: ignore[no-any-return]


def build_online(method: str, in_channels: int = 3, growth_rate: int = 32, sr_layer: int = 0) -> OnlineNetwork:
    """The method's network on a DenseNet-121 encoder. `sr_layer` 1 puts FRID's layer in; other methods have none.

    Heads as published: rotation one linear layer (Gidaris 2018, arXiv 1803.07728), simclr and moco_v2 D-D-128 without
    batch normalisation (arXiv 2002.05709, 2003.04297), byol and frid D-4D-256 and 256-4D-256 with it (arXiv
    2006.07733); D = 1024 at the default growth rate.
    """
    if method not in METHODS:
        raise UsageError(f"pretext method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    if sr_layer and method != "frid":
        raise UsageError(f"{method} has no SR layer: leave sr_layer out or take method frid")
    encoder: Any = build_network(DENSENET, {"in_channels": in_channels, "out_channels": 0, "growth_rate": growth_rate})
    features = encoder.num_features
    if method == "rotation":
        return OnlineNetwork(encoder, Projector(nn.Linear(features, ROTATIONS)))
    if method in ("simclr", "moco_v2"):
        layers = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, CONTRASTIVE_SIZE))
        return OnlineNetwork(encoder, Projector(layers))
    hidden = BYOL_WIDENING * features
    projector = Projector(byol_head(features, hidden, BYOL_SIZE), SRLayer() if sr_layer else None)
    return OnlineNetwork(encoder, projector, byol_head(BYOL_SIZE, hidden, BYOL_SIZE))


def byol_head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, batch normalisation, ReLU, linear: (B, inputs) -> (B, outputs)."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )
