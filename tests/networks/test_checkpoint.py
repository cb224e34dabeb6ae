"""Model files say what they are, and nothing else is loaded."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from fedward.errors import FedwardError
from fedward.networks.checkpoint import (
    METADATA_KEY,
    fingerprint,
    get_parameters,
    load_model,
    load_parameters,
    read_model,
    save_model,
)
from fedward.networks.registry import build_network

ARGUMENTS = {"in_channels": 1, "out_channels": 1, "features": 2, "depth": 1}


@pytest.fixture
def model():
    return build_network("unet", ARGUMENTS, seed=1)


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, get_parameters(model), "unet", ARGUMENTS, round=4, note="ü")
    return path


def rewrite(path, parameters=None, **changes):
    """The same file with other weights or metadata."""
    old, metadata = read_model(path)
    metadata = {key: value for key, value in {**metadata, **changes}.items() if value != "drop"}
    save_file(parameters or old, path, {METADATA_KEY: json.dumps(metadata)})


def test_round_trip(model, path):
    again, metadata = load_model(path)
    assert (metadata["network"], metadata["network_args"]) == ("unet", ARGUMENTS)
    assert (metadata["round"], metadata["note"]) == (4, "ü")
    assert not again.training
    for key, value in get_parameters(model).items():
        assert get_parameters(again)[key].tobytes() == value.tobytes()
    image = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(again(image), model.eval()(image))


def test_the_same_weights_give_the_same_file(model, path, tmp_path):
    save_model(tmp_path / "again", get_parameters(model), "unet", ARGUMENTS, note="ü", round=4)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_get_parameters_is_a_copy(model):
    parameters = get_parameters(model)
    before = parameters["head.weight"].copy()
    with torch.no_grad():
        model.head.weight += 1
    assert np.array_equal(parameters["head.weight"], before)


def test_a_batch_counter_stays_a_whole_number_without_dimension(path):
    parameters, _ = read_model(path)
    counter = parameters["encoder.0.1.num_batches_tracked"]
    assert counter.shape == ()
    assert counter.dtype == np.int64


def test_the_fingerprint_depends_on_network_arguments_and_layout(model):
    parameters = get_parameters(model)
    own = fingerprint("unet", ARGUMENTS, parameters)
    assert own == fingerprint("unet", dict(reversed(ARGUMENTS.items())), dict(reversed(parameters.items())))
    assert own == fingerprint("unet", ARGUMENTS, {key: value * 0 for key, value in parameters.items()})
    others = [
        fingerprint("other", ARGUMENTS, parameters),
        fingerprint("unet", ARGUMENTS | {"depth": 2}, parameters),
        fingerprint("unet", ARGUMENTS, parameters | {"extra": np.zeros(1)}),
        fingerprint("unet", ARGUMENTS, parameters | {"head.bias": np.zeros(2, np.float32)}),
        fingerprint("unet", ARGUMENTS, parameters | {"head.bias": np.zeros(1, np.float64)}),
    ]
    assert len({own, *others}) == 6


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}", b"\xff" * 64])
def test_files_that_are_no_model(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(FedwardError, match="not a readable model file"):
        read_model(path)


def test_a_model_cut_short(path):
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FedwardError, match="not a readable model file"):
        read_model(path)


def test_a_missing_model(tmp_path):
    with pytest.raises(FedwardError, match="has the run finished its first round"):
        read_model(tmp_path / "best.safetensors")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {METADATA_KEY: "null"}])
def test_a_model_of_somebody_else(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    save_file({"w": np.zeros(2)}, path, metadata)
    with pytest.raises(FedwardError, match="was not written by fedward"):
        read_model(path)


@pytest.mark.parametrize(
    "text", ["[1]", '"unet"', "3", "{}", '{"network": "unet"}', '{"network": "unet", "network_args": 3}']
)
def test_metadata_of_another_form(tmp_path, text):
    path = tmp_path / "model.safetensors"
    save_file({"w": np.zeros(2)}, path, {METADATA_KEY: text})
    with pytest.raises(FedwardError, match="was not written by fedward"):
        read_model(path)


def test_weights_of_another_network(path):
    rewrite(path, network_args=ARGUMENTS | {"features": 4})
    with pytest.raises(FedwardError, match="fingerprint differs"):
        load_model(path)


def test_a_file_without_fingerprint(path):
    rewrite(path, fingerprint="drop")
    with pytest.raises(FedwardError, match="fingerprint differs"):
        load_model(path)


def test_a_network_that_is_not_registered_is_never_built(path):
    parameters, _ = read_model(path)
    save_model(path, parameters, "os.system", ARGUMENTS)
    with pytest.raises(FedwardError, match=r"network 'os\.system' is unknown"):
        load_model(path)


def test_keys_that_do_not_fit_are_named(model):
    parameters = get_parameters(model)
    without = {key: value for key, value in parameters.items() if not key.startswith("head")}
    with pytest.raises(FedwardError, match=r"UNet: 2 missing \(head\.bias, head\.weight\)$"):
        load_parameters(model, without)
    with pytest.raises(FedwardError, match=r"UNet: 1 unexpected \(own\.layer\)$"):
        load_parameters(model, parameters | {"own.layer": np.zeros(1)})
    with pytest.raises(FedwardError, match=r"UNet: 1 misshapen \(head\.weight\)$"):
        load_parameters(model, parameters | {"head.weight": np.zeros((2, 1), np.float32)})
    with pytest.raises(FedwardError, match=rf"{len(parameters)} missing \(.*, .*, .* and {len(parameters) - 3} more\)"):
        load_parameters(model, {})


def test_no_kind_of_wrong_key_hides_another(model):
    """A file of other names has each of its keys unexpected, and the network's missing: both tell what it is."""
    renamed = {key.replace("head", "module.head"): value for key, value in get_parameters(model).items()}
    first = next(iter(renamed))
    renamed[first] = np.zeros(3)
    with pytest.raises(
        FedwardError,
        match=r"UNet: 2 missing \(head\.bias, head\.weight\), "
        r"2 unexpected \(module\.head\.bias, module\.head\.weight\), "
        rf"1 misshapen \({re.escape(first)}\)$",
    ):
        load_parameters(model, renamed)


def test_a_failed_load_changes_nothing(model):
    before = get_parameters(model)
    with pytest.raises(FedwardError):
        load_parameters(model, {key: value * 0 for key, value in before.items()} | {"head.weight": np.zeros(3)})
    assert all(np.array_equal(value, before[key]) for key, value in get_parameters(model).items())
