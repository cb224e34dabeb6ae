"""The weights a run begins with: random ones, or registered ones laid over them."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fedward.errors import FedwardError
from fedward.networks.checkpoint import get_parameters, read_registered
from fedward.networks.families import family_of
from fedward.networks.registry import build_network
from fedward.networks.starting import Start, starting_parameters
from fedward.seeds import derive_seed
from fedward.settings import RANDOM, RunSettings
from fedward.site_config import RegisteredWeights, SiteConfig

log = logging.getLogger(__name__)


def initial_parameters(network: str, arguments: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Parameters and buffers that depend on the network and the job's seed alone."""
    return get_parameters(build_network(network, arguments, derive_seed(seed, "initial weights")))


def first_parameters(settings: RunSettings, config: SiteConfig) -> Start:
    """The weights that a run begins with, by the name in its settings; `config` is the server's."""
    name, training = settings.starting_weights, settings.training
    registered = None if name == RANDOM else config.registered_weights(name)
    return start_from(name, registered, training.network, training.network_args, settings.seed)


def start_from(
    name: str, registered: RegisteredWeights | None, network: str, arguments: Mapping[str, int], seed: int
) -> Start:
    """Random weights, with the `registered` ones laid over them where there are any; the log says what was taken."""
    random = initial_parameters(network, arguments, seed)
    if registered is None:
        return Start(random, loaded=0, fresh=tuple(random), unused=())
    parameters, metadata = read_registered(registered.file, registered.sha256)
    try:
        start = starting_parameters(network, arguments, random, parameters, metadata)
    except FedwardError as error:
        raise FedwardError(f"starting weights {name} ({registered.file}): {error}") from error
    start = replace(start, source={"name": name, "sha256": registered.sha256, **start.source})
    family = family_of(network)
    incomplete = family is not None and any(key.startswith(family.prefixes[network]) for key in start.fresh)
    log.log(logging.WARNING if incomplete else logging.INFO, start.sentence())
    if start.cut_short():
        log.info(start.every_key())
    return start
