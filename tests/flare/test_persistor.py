from types import SimpleNamespace

import numpy as np
import pytest
from nvflare.apis.fl_context import FLContextManager
from nvflare.app_common.abstract.model import ModelLearnableKey

from fedward.errors import UsageError
from fedward.flare.persistor import NetworkPersistor
from fedward.networks.checkpoint import read_model
from fedward.networks.initial import initial_parameters

ARGUMENTS = {"in_channels": 3, "out_channels": 1, "features": 2, "depth": 1}


@pytest.fixture
def context(tmp_path):
    workspace = SimpleNamespace(get_run_dir=lambda job: str(tmp_path / job))
    engine = SimpleNamespace(get_workspace=lambda: workspace)
    with FLContextManager(engine, "server", "the-job").new_context() as context:
        yield context


def test_initial_weights_depend_on_the_seed_alone(context):
    weights = [NetworkPersistor("unet", ARGUMENTS, seed).load_model(context) for seed in (1, 1, 2)]
    first, same, other = (learnable[ModelLearnableKey.WEIGHTS] for learnable in weights)
    expected = initial_parameters("unet", ARGUMENTS, 1)
    assert all(np.array_equal(first[key], expected[key]) and np.array_equal(same[key], expected[key]) for key in first)
    assert any(not np.array_equal(first[key], other[key]) for key in first)


def test_the_last_model_is_left_in_the_jobs_folder(context, tmp_path):
    persistor = NetworkPersistor("unet", ARGUMENTS, 1)
    learnable = persistor.load_model(context)
    persistor.save_model(learnable, context)
    parameters, about = read_model(tmp_path / "the-job" / "model" / "last.safetensors")
    assert about["network_args"] == ARGUMENTS
    assert all(np.array_equal(parameters[key], value) for key, value in learnable[ModelLearnableKey.WEIGHTS].items())


@pytest.mark.parametrize(
    "arguments",
    [
        ("torch.nn.Linear", ARGUMENTS, 1),
        ("unet", {**ARGUMENTS, "features": 0}, 1),
        ("unet", {**ARGUMENTS, "features": 10**9}, 1),
        ("unet", {**ARGUMENTS, "device": "cuda"}, 1),
        ("unet", None, 1),
        ({"path": "torch.nn.Linear"}, ARGUMENTS, 1),
        ("unet", ARGUMENTS, "one"),
    ],
)
def test_a_network_that_is_not_registered_or_too_large(arguments):
    with pytest.raises(UsageError):
        NetworkPersistor(*arguments)
