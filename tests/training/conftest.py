"""Small images made in memory: a bright square in the middle channel is the tumour."""

import pytest
import torch

from fedward.settings import TrainingSettings
from fedward.training.images import Images

UNET = {"in_channels": 3, "out_channels": 1, "features": 4, "depth": 2}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_images():
    """make_images(n, seed, tumour=True, size=16, patients=2) -> Images"""

    def make(count, seed=0, tumour=True, size=16, patients=2):
        generator = torch.Generator().manual_seed(seed)
        image = 0.3 * torch.rand(count, 3, size, size, generator=generator)
        mask = torch.zeros(count, 1, size, size, dtype=torch.bool)
        if tumour:
            for i, (y, x) in enumerate(torch.randint(2, size - 7, (count, 2), generator=generator).tolist()):
                mask[i, 0, y : y + 5, x : x + 5] = True
        image[:, 1:2][mask] += 0.6
        patient = torch.arange(count) * patients // count
        return Images(image.half(), mask, patient, tuple(f"patient-{k}" for k in range(patients)))

    return make


@pytest.fixture
def training():
    """training(**changes) -> TrainingSettings of a small network."""

    def make(**changes):
        return TrainingSettings(**{"network_args": UNET, "batch_size": 4, "augment": False, **changes})

    return make
