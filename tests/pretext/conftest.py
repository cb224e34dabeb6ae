"""A small encoder in place of DenseNet-121, so that a step takes milliseconds."""

import pytest
import torch
from torch import nn

from fedward.pretext.methods import build_method
from fedward.pretext.online import CONTRASTIVE_SIZE, OnlineNetwork, Projector, byol_head
from fedward.pretext.settings import pretext_settings
from fedward.pretext.sr_layer import SRLayer

WIDTH = 12


class TinyEncoder(nn.Module):
    """The stages of DenseNet121 that the pretexts use: early map, late map, pooled features."""

    num_features = WIDTH

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, WIDTH, 2, stride=2), nn.BatchNorm2d(WIDTH), nn.ReLU())

    def early(self, image):
        return self.first(image)

    def late(self, early):
        return self.second(early)

    def feature_map(self, image):
        return self.late(self.early(image))

    def forward(self, image):
        return self.feature_map(image).mean(dim=(2, 3))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_online():
    """make_online(method, seed=1, sr_layer=0) -> OnlineNetwork with a tiny encoder and small heads"""

    def make(method, seed=1, sr_layer=0):
        torch.manual_seed(seed)
        encoder = TinyEncoder()
        if method == "rotation":
            return OnlineNetwork(encoder, Projector(nn.Linear(WIDTH, 4)))
        if method in ("simclr", "moco_v2"):
            head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CONTRASTIVE_SIZE))
            return OnlineNetwork(encoder, Projector(head))
        projector = Projector(byol_head(WIDTH, 16, 8))
        predictor = byol_head(8, 16, 8)
        projector.sr_layer = SRLayer() if sr_layer else None
        return OnlineNetwork(encoder, projector, predictor)

    return make


@pytest.fixture
def make_method(make_online, views):
    """make_method(name, seed=1, sr_layer=0, **settings) -> Method in training mode, its queue (16 keys) full"""

    def make(name, seed=1, sr_layer=0, **settings):
        settings = {"crop_size": 32, **({"queue_size": 16} if name == "moco_v2" else {}), **settings}
        method = build_method(make_online(name, seed, sr_layer), pretext_settings(name, **settings)).train()
        number = 100
        while method.missing_keys:
            method.fill(views(8, number)[0])
            number += 1
        return method

    return make


@pytest.fixture
def views():
    """views(count, seed=0, size=32) -> two tensors (count, 3, size, size)"""

    def make(count, seed=0, size=32):
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(2, count, 3, size, size, generator=generator).unbind()

    return make


@pytest.fixture
def freeze():
    """freeze(module): batch normalisation with running statistics, the rest as in training"""

    def freeze_normalisation(module):
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.eval()

    return freeze_normalisation
