"""Small DenseNets and files of them for the tests of starting weights."""

from fedward.networks.checkpoint import get_parameters, save_model
from fedward.networks.registry import build_network

SMALL = {"in_channels": 3, "growth_rate": 4}


def parameters_of(network="densenet121", seed=1, **arguments):
    """Parameters of a network of growth rate 4, drawn by `seed`."""
    return get_parameters(build_network(network, {**SMALL, **arguments}, seed))


def model_file(path, network="densenet121", seed=1, about=None, **arguments):
    """Write a model file of such a network; its parameters."""
    parameters = parameters_of(network, seed, **arguments)
    save_model(path, parameters, network, {**SMALL, **arguments}, **(about or {}))
    return parameters
