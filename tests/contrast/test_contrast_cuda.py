"""A hospital's round of contrastive pretraining on a GPU: bank, exchange, steps and what is measured."""

import numpy as np
import pytest
import torch

from fedward.contrast.settings import METHODS
from fedward.rounds.exchange import FeatureTable

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("method", METHODS)
def test_the_gpu_takes_the_round_that_the_cpu_takes(method, trainer, scans, start, of, tmp_path):
    rows = np.random.default_rng(1).standard_normal((30, 128)).astype(np.float32)
    others = FeatureTable(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.arange(30, dtype=np.uint8) % 4)
    found = {}
    for device in ("cpu", "cuda"):
        site = trainer(validation=scans([6, 7], seed=1), folder=tmp_path / device, device=device, **of(method))
        if method == "fcl":
            site.others = others
            offered = site.bank(start(method), 1)
        result = site.train(start(method), 1)
        found[device] = result.loss, site.evaluate(result.parameters)
        if method == "fcl":
            found[device] = (*found[device], offered.rows.astype(np.float32))
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], rel=0.02)
    assert found["cuda"][1].cost == pytest.approx(found["cpu"][1].cost, rel=0.05)
    if method == "fcl":
        assert np.abs(found["cuda"][2] - found["cpu"][2]).max() < 0.02
