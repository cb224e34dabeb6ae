"""What only a GPU shows."""

import pytest
import torch

from fedward.errors import FedwardError
from fedward.networks.initial import initial_parameters
from fedward.training.segmentation import SegmentationTrainer
from fedward.training.trainer import autocast, choose_device

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def trained(make_images, settings, device):
    images = make_images(16, size=32)
    start = initial_parameters("unet", settings.network_args, 1)
    trainer = SegmentationTrainer("a", images, make_images(8, seed=1, size=32), settings, 1, 1, device)
    result = trainer.train(start, 1)
    return result, trainer.evaluate(result.parameters)


@pytest.mark.parametrize(("precision", "band"), [("float32", 0.02), ("auto", 0.1)])
def test_the_gpu_learns_what_the_cpu_learns(make_images, training, precision, band):
    settings = training(precision=precision, local_epochs=None, local_steps=40, learning_rate=0.01, augment=True)
    cpu, cpu_evaluation = trained(make_images, settings, "cpu")
    gpu, gpu_evaluation = trained(make_images, settings, "cuda")
    assert gpu.loss == pytest.approx(cpu.loss, rel=band)
    assert gpu_evaluation.cost == pytest.approx(cpu_evaluation.cost, rel=2 * band)
    assert gpu_evaluation.quality == pytest.approx(cpu_evaluation.quality, abs=2 * band)


def test_auto_is_bfloat16_where_the_gpu_has_it():
    context = autocast("auto", choose_device("auto"))
    assert context._enabled == torch.cuda.is_bf16_supported()


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(FedwardError, match=r"cuda:99.*sees"):
        choose_device("cuda:99")
