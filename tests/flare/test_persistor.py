import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from nvflare.apis.fl_context import FLContextManager
from nvflare.app_common.abstract.model import ModelLearnableKey

from fedward.errors import FedwardError, UsageError
from fedward.flare.persistor import NetworkPersistor
from fedward.networks.checkpoint import read_model, save_model
from fedward.networks.initial import initial_parameters

ARGUMENTS = {"in_channels": 3, "out_channels": 1, "features": 2, "depth": 1}


@pytest.fixture
def context(tmp_path):
    workspace = SimpleNamespace(get_run_dir=lambda job: str(tmp_path / job), get_site_config_dir=lambda: str(tmp_path))
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


def test_starting_weights_registered_at_the_server(context, tmp_path):
    initial = initial_parameters("unet", ARGUMENTS, 7)
    file = tmp_path / "w.safetensors"
    save_model(file, initial, "unet", ARGUMENTS)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    config = tmp_path / "fedward.yml"
    config.write_text(f"weights: {{brain-v1: {{file: '{file}', sha256: '{digest}'}}}}")
    learnable = NetworkPersistor("unet", ARGUMENTS, 1, "brain-v1").load_model(context)
    assert all(np.array_equal(learnable[ModelLearnableKey.WEIGHTS][key], value) for key, value in initial.items())
    with pytest.raises(FedwardError, match="the job trains unet"):
        NetworkPersistor("unet", {**ARGUMENTS, "features": 4}, 1, "brain-v1").load_model(context)
    with pytest.raises(FedwardError, match="not registered"):
        NetworkPersistor("unet", ARGUMENTS, 1, "brain-v2").load_model(context)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(FedwardError, match="another one, or damaged"):
        NetworkPersistor("unet", ARGUMENTS, 1, "brain-v1").load_model(context)


def test_an_encoder_starts_a_classifier_and_the_persistor_keeps_what_was_taken(context, tmp_path):
    own = {"in_channels": 3, "out_channels": 2, "growth_rate": 4}
    encoder = initial_parameters("densenet121", {**own, "out_channels": 0}, 7)
    file = tmp_path / "w.safetensors"
    save_model(file, encoder, "densenet121", {**own, "out_channels": 0}, method="byol")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "fedward.yml").write_text(f"weights: {{byol: {{file: '{file}', sha256: '{digest}'}}}}")
    persistor = NetworkPersistor("densenet121", own, 1, "byol")
    assert persistor.start is None
    weights = persistor.load_model(context)[ModelLearnableKey.WEIGHTS]
    random = initial_parameters("densenet121", own, 1)
    for key, value in random.items():
        assert np.array_equal(weights[key], encoder.get(key, value)), key
    told = persistor.start.to_dict()
    assert (told["name"], told["method"], told["sha256"]) == ("byol", "byol", digest)
    assert (told["loaded"], told["fresh"]) == (len(encoder), ["classifier.weight", "classifier.bias"])
    without = NetworkPersistor("densenet121", own, 1)
    without.load_model(context)
    assert without.start.to_dict() == {}


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
        ("unet", ARGUMENTS, 1, "../weights"),
        ("unet", ARGUMENTS, 1, "/weights.safetensors"),
        ("unet", ARGUMENTS, 1, None),
    ],
)
def test_a_network_that_is_not_registered_or_too_large(arguments):
    with pytest.raises(UsageError):
        NetworkPersistor(*arguments)
