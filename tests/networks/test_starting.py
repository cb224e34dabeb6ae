"""What a run takes from registered weights is said, tensor by tensor, and nothing is taken by mistake."""

import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest
from weight_files import SMALL, model_file, parameters_of

from fedward.errors import FedwardError, UsageError
from fedward.networks.checkpoint import read_model, save_model, sha256_of
from fedward.networks.encoder import encoder_of, save_encoder
from fedward.networks.initial import first_parameters, initial_parameters, start_from
from fedward.networks.registry import TASKS
from fedward.networks.starting import starting_parameters
from fedward.settings import RANDOM
from fedward.site_config import RegisteredWeights, SiteConfig

HEAD = ("classifier.weight", "classifier.bias")
PRETEXTS = sorted(name for name, task in TASKS.items() if task == "pretext")


def start(network, arguments, registered, other, other_arguments):
    random = initial_parameters(network, arguments, 5)
    about = {"network": other, "network_args": other_arguments}
    return random, starting_parameters(network, arguments, random, registered, about)


def equal(one, other, keys):
    return all(np.array_equal(one[key], other[key]) for key in keys)


def test_the_same_network_takes_everything():
    whole = parameters_of(out_channels=3)
    arguments = {**SMALL, "out_channels": 3}
    _, found = start("densenet121", arguments, whole, "densenet121", arguments)
    assert (found.loaded, found.fresh, found.unused) == (len(whole), (), ())
    assert equal(found.parameters, whole, whole)


def test_an_argument_left_out_is_the_same_network():
    whole = parameters_of(out_channels=14)
    _, found = start("densenet121", {"growth_rate": 4}, whole, "densenet121", {**SMALL, "out_channels": 14})
    assert found.fresh == ()


def test_an_encoder_goes_below_a_random_classifier():
    encoder = parameters_of(out_channels=0)
    random, found = start(
        "densenet121", {**SMALL, "out_channels": 3}, encoder, "densenet121", {**SMALL, "out_channels": 0}
    )
    assert (found.loaded, found.fresh, found.unused) == (len(encoder), HEAD, ())
    assert equal(found.parameters, encoder, encoder)
    assert equal(found.parameters, random, HEAD)
    assert list(found.parameters) == list(random)


def test_another_number_of_findings_takes_the_encoder_alone():
    other = parameters_of(out_channels=5)
    random, found = start(
        "densenet121", {**SMALL, "out_channels": 3}, other, "densenet121", {**SMALL, "out_channels": 5}
    )
    assert (found.fresh, found.unused) == (HEAD, HEAD)
    assert equal(found.parameters, random, HEAD)


@pytest.mark.parametrize("method", PRETEXTS)
def test_an_encoder_goes_into_a_pretext_and_out_again(method):
    encoder = parameters_of(out_channels=0)
    random, found = start(method, SMALL, encoder, "densenet121", {**SMALL, "out_channels": 0})
    assert found.loaded == len(encoder)
    assert found.unused == ()
    assert found.fresh == tuple(key for key in random if not key.startswith("encoder."))
    assert all(np.array_equal(found.parameters[f"encoder.{key}"], value) for key, value in encoder.items())
    assert equal(found.parameters, random, found.fresh)
    back, network, arguments = encoder_of(found.parameters, method, SMALL)
    assert network == "densenet121"
    assert arguments == {**SMALL, "out_channels": 0}
    assert list(back) == list(encoder)
    assert equal(back, encoder, encoder)


def test_a_pretexts_whole_model_into_a_classifier_and_another_pretext():
    pretext = parameters_of("byol")
    _, found = start("densenet121", {**SMALL, "out_channels": 3}, pretext, "byol", SMALL)
    assert found.fresh == HEAD
    assert found.unused == tuple(key for key in pretext if not key.startswith("encoder."))
    assert np.array_equal(found.parameters["features.norm5.weight"], pretext["encoder.features.norm5.weight"])
    random, found = start("rotation", SMALL, pretext, "byol", SMALL)
    assert found.fresh == tuple(key for key in random if not key.startswith("encoder."))
    _, found = start("byol", SMALL, pretext, "byol", SMALL)
    assert (found.fresh, found.unused) == ((), ())


@pytest.mark.parametrize(
    ("network", "arguments", "other", "other_arguments"),
    [
        ("densenet121", {"growth_rate": 8}, "densenet121", SMALL),
        ("densenet121", {**SMALL, "in_channels": 1}, "densenet121", SMALL),
        ("simclr", {"growth_rate": 8}, "densenet121", SMALL),
        ("unet", {"features": 2, "depth": 1}, "densenet121", SMALL),
        ("unet", {"features": 2, "depth": 1}, "unet", {"features": 4, "depth": 1}),
        ("densenet121", SMALL, "unet", {"features": 4, "depth": 1}),
    ],
)
def test_another_architecture_names_both_sides(network, arguments, other, other_arguments):
    message = (
        rf"the registered weights are of {other} .*{list(other_arguments.values())[-1]}.*, the job trains {network} "
    )
    with pytest.raises(FedwardError, match=message):
        starting_parameters(
            network, arguments, {}, {"features.x": np.zeros(1)}, {"network": other, "network_args": other_arguments}
        )


@pytest.mark.parametrize(
    "about", [{"network": "resnet50", "network_args": {}}, {"network": "unet", "network_args": []}]
)
def test_weights_of_no_registered_network(about):
    with pytest.raises(FedwardError, match="the registered weights cannot be used: network"):
        starting_parameters("densenet121", SMALL, {}, {"a": np.zeros(1)}, about)


def test_no_tensor_that_matches():
    registered = {"conv1.weight": np.zeros(3), "bn1.weight": np.zeros(2)}
    with pytest.raises(FedwardError, match=r"none of the 2 registered tensors \(conv1.weight, bn1.weight\) belongs"):
        start("densenet121", SMALL, registered, "densenet121", SMALL)


@pytest.mark.parametrize("value", [np.zeros((2, 2), np.float32), np.zeros(128, np.int64), np.float32(0)])
def test_a_tensor_of_another_shape_or_kind(value):
    registered = {**parameters_of(out_channels=0), "features.norm5.weight": np.asarray(value)}
    message = rf"features.norm5.weight is {value.dtype} .* in the registered weights, float32 \(128,\) in the network"
    with pytest.raises(FedwardError, match=message):
        start("densenet121", SMALL, registered, "densenet121", {**SMALL, "out_channels": 0})


def test_a_wider_float_becomes_the_networks():
    registered = {key: value.astype(np.float64) for key, value in parameters_of(out_channels=0).items() if value.ndim}
    _, found = start("densenet121", SMALL, registered, "densenet121", {**SMALL, "out_channels": 0})
    assert found.parameters["features.norm5.weight"].dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite(value):
    registered = parameters_of(out_channels=0)
    registered["features.conv0.weight"][0, 0, 1, 2] = value
    with pytest.raises(FedwardError, match=r"features.conv0.weight .* NaN or infinity"):
        start("densenet121", SMALL, registered, "densenet121", {**SMALL, "out_channels": 0})


@pytest.fixture
def registered(tmp_path):
    file = tmp_path / "w.safetensors"
    parameters = model_file(file, out_channels=0, about={"run": "pre", "method": "moco_v2", "round": 3})
    return SimpleNamespace(file=file, entry=RegisteredWeights(file, sha256_of(file)), parameters=parameters)


def settings(name):
    training = SimpleNamespace(network="densenet121", network_args={**SMALL, "out_channels": 2})
    return SimpleNamespace(starting_weights=name, training=training, seed=5)


def test_first_parameters_are_random_or_registered(registered, caplog):
    caplog.set_level(logging.INFO)
    config = SiteConfig("fedward.yml", weights={"moco-v2": registered.entry})
    random = first_parameters(settings(RANDOM), config)
    assert equal(random.parameters, initial_parameters("densenet121", settings(RANDOM).training.network_args, 5), HEAD)
    assert (random.loaded, random.to_dict(), len(random.fresh)) == (0, {}, 727)
    assert random.sentence() == "random starting weights, 727 tensors"
    found = first_parameters(settings("moco-v2"), config)
    assert equal(found.parameters, registered.parameters, registered.parameters)
    assert equal(found.parameters, random.parameters, HEAD)
    assert found.to_dict() == {
        "name": "moco-v2",
        "sha256": registered.entry.sha256,
        "network": "densenet121",
        "network_args": {**SMALL, "out_channels": 0},
        "method": "moco_v2",
        "run": "pre",
        "round": 3,
        "loaded": 725,
        "fresh": list(HEAD),
        "unused": [],
    }
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.message == (
        "starting weights moco-v2: 725 tensors taken, 2 random (classifier.weight, classifier.bias)"
    )
    with pytest.raises(FedwardError, match=r"'byol' are not registered in fedward.yml \(known: random, moco-v2\)"):
        first_parameters(settings("byol"), config)


def test_a_part_of_an_encoder_is_warned_of(registered, caplog):
    part = {key: value for key, value in registered.parameters.items() if "denseblock4" not in key}
    save_model(registered.file, part, "densenet121", {**SMALL, "out_channels": 0})
    entry = RegisteredWeights(registered.file, sha256_of(registered.file))
    found = start_from("part", entry, "densenet121", {**SMALL, "out_channels": 2}, 5)
    missing = len(registered.parameters) - len(part)
    assert len(found.fresh) == missing + 2
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{missing + 2} random (features.denseblock4" in record.message
    assert record.message.endswith(f"and {missing - 1} more); run.json and the report list all")


def test_the_log_has_every_key_that_the_sentence_leaves_out(registered, caplog):
    """On a line of its own, which the command does not show."""
    caplog.set_level(logging.INFO)
    part = {key: value for key, value in registered.parameters.items() if "denseblock4" not in key}
    part |= {f"features.more{number}": np.zeros(1, np.float32) for number in range(5)}
    save_model(registered.file, part, "densenet121", {**SMALL, "out_channels": 0})
    entry = RegisteredWeights(registered.file, sha256_of(registered.file))
    found = start_from("part", entry, "densenet121", {**SMALL, "out_channels": 2}, 5)
    short, whole = caplog.records
    first = "features.more0, features.more1, features.more2"
    assert short.message.endswith(f"5 not used ({first} and 2 more); run.json and the report list all")
    assert (whole.levelname, "\n" in whole.message) == ("INFO", False)
    assert len(found.fresh) > 10
    random, unused = whole.message.removeprefix("starting weights part, every key: random: ").split("; not used: ")
    assert (random.split(", "), unused.split(", ")) == (list(found.fresh), list(found.unused))


def test_faults_name_the_weights_and_their_file(registered):
    with pytest.raises(FedwardError, match=rf"starting weights w \({re.escape(str(registered.file))}\): .* of dense"):
        start_from("w", registered.entry, "unet", {}, 1)
    other = RegisteredWeights(registered.file, "0" * 64)
    with pytest.raises(FedwardError, match="another one, or damaged"):
        start_from("w", other, "densenet121", SMALL, 1)
    registered.file.unlink()
    with pytest.raises(FedwardError, match="register them again"):
        start_from("w", registered.entry, "densenet121", SMALL, 1)


def test_an_encoder_file_says_where_it_comes_from(tmp_path):
    about = {"run": "pre", "round": 7, "data_set": "chexpert", "preprocessing": {"image_size": 64}, "quality": None}
    source, out, again = (tmp_path / f"{name}.safetensors" for name in ("source", "out", "again"))
    parameters = model_file(source, "moco_v2", about=about)
    metadata = save_encoder(source, out)
    encoder, written = read_model(out)
    assert written == metadata
    assert (metadata["network"], metadata["network_args"]) == ("densenet121", {**SMALL, "out_channels": 0})
    assert metadata["method"] == "moco_v2"
    assert metadata["source_sha256"] == sha256_of(source)
    assert {key: metadata[key] for key in about if key in metadata} == {k: v for k, v in about.items() if v is not None}
    assert all(np.array_equal(value, parameters[f"encoder.{key}"]) for key, value in encoder.items())
    save_encoder(source, again)
    assert again.read_bytes() == out.read_bytes()


def test_a_classifier_gives_its_encoder(tmp_path):
    parameters = model_file(tmp_path / "c.safetensors", out_channels=3)
    save_encoder(tmp_path / "c.safetensors", tmp_path / "e.safetensors")
    encoder, about = read_model(tmp_path / "e.safetensors")
    assert about["method"] == "densenet121"
    assert set(parameters) - set(encoder) == set(HEAD)


def test_models_without_an_encoder():
    with pytest.raises(FedwardError, match="network unet holds no encoder"):
        encoder_of({"head.weight": np.zeros(1)}, "unet", {})
    with pytest.raises(UsageError, match="network 'resnet' is unknown"):
        encoder_of({}, "resnet", {})
    with pytest.raises(FedwardError, match=r"724 missing \(features\..*, 1 misshapen \(features\.conv0\.weight\)"):
        encoder_of({"encoder.features.conv0.weight": np.zeros(1)}, "byol", SMALL)
    diverged = parameters_of("byol")
    diverged["encoder.features.norm5.bias"][3] = np.nan
    with pytest.raises(FedwardError, match=r"features.norm5.bias .* NaN or infinity"):
        encoder_of(diverged, "byol", SMALL)
