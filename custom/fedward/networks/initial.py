"""The random weights a run begins with."""

from collections.abc import Mapping

import numpy as np

from fedward.networks.checkpoint import get_parameters
from fedward.networks.registry import build_network
from fedward.seeds import derive_seed


def initial_parameters(network: str, arguments: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Parameters and buffers that depend on the network and the job's seed alone."""
    return get_parameters(build_network(network, arguments, derive_seed(seed, "initial weights")))
