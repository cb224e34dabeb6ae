"""Small scans whose slices show where they lie: the body's width grows with the position."""

import numpy as np
import pytest
import torch

from fedward.contrast.settings import ContrastSettings
from fedward.contrast.trainer import ContrastTrainer
from fedward.networks.initial import initial_parameters
from fedward.settings import TrainingSettings
from fedward.training.scan_slices import ScanInfo, Slices

SIZE = 16
NETWORK = {"in_channels": 1, "features": 4, "depth": 2}


def make_scans(depths, seed=0, patients=None, frames=None):
    """Slices of one scan for each depth; two scans a patient unless `patients` names them."""
    generator = np.random.default_rng(seed)
    images, across = [], np.abs(np.arange(SIZE) - SIZE / 2 + 0.5)
    for depth in depths:
        for number in range(depth):
            stripes = np.sin(across * (0.3 + 2 * number / depth)) + 0.3 * generator.standard_normal((SIZE, SIZE))
            images.append(stripes.astype(np.float16))
    depth = torch.tensor(depths)
    names = patients or [f"p{seed}-{i // 2}" for i in range(len(depths))]
    return Slices(
        image=torch.from_numpy(np.stack(images))[:, None],
        labels=None,
        scan=torch.arange(len(depths)).repeat_interleave(depth),
        position=torch.cat([torch.arange(n) for n in depths]),
        depth=depth.repeat_interleave(depth),
        scans=tuple(ScanInfo(name, ("ED", "ES")[i % 2], (8.0, 1.5, 1.5), True) for i, name in enumerate(names)),
    )


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def scans():
    """scans(depths, seed=0, patients=None) -> Slices of 16 x 16 pixels"""
    return make_scans


@pytest.fixture
def trainer(scans):
    """trainer(train=, validation=, folder=, device=, training={}, **contrast) -> ContrastTrainer of a tiny network"""

    def make(train=None, validation=None, folder=None, site="a", device="cpu", training=None, **contrast):
        settings = ContrastSettings(**contrast)
        own = {
            "network": settings.network,
            "network_args": NETWORK,
            "loss": "contrast",
            "learning_rate": 0.01,
            "batch_size": 8,
            "precision": "float32",
            **(training or {}),
        }
        train = scans([6, 5, 8, 7]) if train is None else train
        return ContrastTrainer(site, train, validation, TrainingSettings(**own), 4, 1, device, folder, settings)

    return make


@pytest.fixture
def start():
    """start(method="fcl", seed=1) -> the parameters a run begins with"""
    return lambda method="fcl", seed=1: initial_parameters(ContrastSettings(**_of(method)).network, NETWORK, seed)


@pytest.fixture
def of():
    """of(method) -> settings of a method that exchanges nothing, but for fcl"""
    return _of


def _of(method):
    return {"method": method, "exchange": method == "fcl"}
