"""A step of each pretext on a GPU: what lies there, and in which precision."""

import pytest
import torch

from fedward.networks.registry import build_network
from fedward.pretext.knn import knn_probabilities
from fedward.pretext.methods import build_method
from fedward.pretext.settings import METHODS, pretext_settings
from fedward.training.trainer import autocast

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def losses(method, device, precision):
    online = build_network(method, {"growth_rate": 4}, 1).to(device, memory_format=torch.channels_last)
    settings = pretext_settings(
        method, crop_size=64, micro_batch=8, **({"queue_size": 16} if method == "moco_v2" else {})
    )
    task = build_method(online, settings, lambda: autocast(precision, torch.device(device))).train()
    optimizer = torch.optim.SGD(online.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(1)
    views = torch.rand(2, 16, 3, 64, 64, generator=generator).to(device).unbind()
    if task.missing_keys:
        task.fill(views[0])
    found = []
    for done in range(3):
        optimizer.zero_grad()
        found.append(task.backward(*views[: task.views]).item())
        optimizer.step()
        task.after_step(done / 3)
    assert {value.device.type for value in task.private_state().values()} <= {"cpu"}
    other = build_method(online, settings)
    other.load_private_state(task.private_state())
    assert {value.device.type for key, value in other.state_dict().items() if "_extra_state" not in key} == {device}
    return found


@pytest.mark.parametrize(("precision", "band"), [("float32", 0.02), ("auto", 0.1)])
@pytest.mark.parametrize("method", METHODS)
def test_the_gpu_takes_the_steps_that_the_cpu_takes(method, precision, band):
    assert losses(method, "cuda", precision) == pytest.approx(losses(method, "cpu", "float32"), rel=band)


def test_the_probe_takes_labels_that_lie_beside_the_gpu():
    generator = torch.Generator().manual_seed(1)
    features, bank = torch.rand(6, 8, generator=generator), torch.rand(30, 8, generator=generator)
    labels = torch.randint(0, 2, (30, 3), generator=generator).float()
    labels[0, 0] = torch.nan
    there = knn_probabilities(features.cuda(), bank.cuda(), labels)
    assert torch.allclose(there.cpu(), knn_probabilities(features, bank, labels), atol=1e-4)
