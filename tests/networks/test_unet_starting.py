"""What a segmentation of structures takes from a pretrained encoder: all of it, and nothing else."""

import numpy as np
import pytest

from fedward.errors import FedwardError
from fedward.networks.checkpoint import get_parameters
from fedward.networks.encoder import encoder_of
from fedward.networks.initial import initial_parameters
from fedward.networks.registry import build_network
from fedward.networks.starting import starting_parameters

SMALL = {"in_channels": 1, "features": 4, "depth": 2}
WHOLE = {**SMALL, "out_channels": 4}


def parameters_of(network, arguments, seed=1):
    return get_parameters(build_network(network, arguments, seed))


def start(registered, other, other_arguments, arguments=WHOLE):
    random = initial_parameters("unet_structures", arguments, 5)
    about = {"network": other, "network_args": other_arguments}
    return random, starting_parameters("unet_structures", arguments, random, registered, about)


@pytest.mark.parametrize("network", ["unet_encoder", "unet_contrast", "unet_rotation"])
def test_every_encoder_tensor_is_taken_and_the_decoder_is_fresh(network):
    registered = parameters_of(network, SMALL)
    encoder = {key: value for key, value in registered.items() if key.startswith("encoder.")}
    random, found = start(registered, network, SMALL)
    own_encoder = [key for key in random if key.startswith("encoder.")]
    assert len(own_encoder) == 3 * 6  # three levels of two convolutions, each with scale and shift of its normalisation
    assert sorted(encoder) == sorted(own_encoder)
    assert found.loaded == len(own_encoder)
    assert found.fresh == tuple(key for key in random if not key.startswith("encoder."))
    assert {key.partition(".")[0] for key in found.fresh} == {"up", "decoder", "head"}
    assert found.unused == tuple(key for key in registered if not key.startswith("encoder."))
    assert all(np.array_equal(found.parameters[key], value) for key, value in encoder.items())
    assert all(np.array_equal(found.parameters[key], random[key]) for key in found.fresh)
    assert not np.array_equal(random["encoder.0.0.weight"], encoder["encoder.0.0.weight"])


def test_out_of_a_pretraining_into_a_segmentation():
    trained = parameters_of("unet_contrast", SMALL)
    encoder, network, arguments = encoder_of(trained, "unet_contrast", SMALL)
    assert (network, arguments) == ("unet_encoder", SMALL)
    _, found = start(encoder, network, arguments)
    assert (found.loaded, found.unused) == (len(encoder), ())
    assert all(np.array_equal(found.parameters[key], trained[key]) for key in encoder)


def test_the_deepest_features_are_those_of_the_encoder():
    """Under the decoder the encoder computes what it computed alone."""
    import torch

    _, found = start(parameters_of("unet_encoder", SMALL), "unet_encoder", SMALL)
    model, alone = build_network("unet_structures", WHOLE), build_network("unet_encoder", SMALL, 1)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in found.parameters.items()})
    image = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for own, other in zip(model.encoder(image), alone(image), strict=True):
            assert torch.equal(own, other)


@pytest.mark.parametrize("change", [{"features": 8}, {"depth": 3}, {"in_channels": 3}])
def test_an_encoder_of_another_size_is_refused(change):
    registered = parameters_of("unet_encoder", {**SMALL, **change})
    with pytest.raises(FedwardError, match=r"registered weights are of unet_encoder .* trains unet_structures"):
        start(registered, "unet_encoder", {**SMALL, **change})


@pytest.mark.parametrize(("other", "arguments"), [("unet", SMALL), ("densenet121", {"in_channels": 1})])
def test_networks_of_another_family_are_refused(other, arguments):
    registered = {"encoder.0.0.weight": np.zeros((4, 1, 3, 3), np.float32)}
    with pytest.raises(FedwardError, match=f"registered weights are of {other}"):
        start(registered, other, arguments)


def test_weights_that_are_not_finite_are_refused():
    registered = parameters_of("unet_encoder", SMALL)
    registered["encoder.1.3.weight"][0] = np.nan
    with pytest.raises(FedwardError, match=r"encoder\.1\.3\.weight .* NaN"):
        start(registered, "unet_encoder", SMALL)
