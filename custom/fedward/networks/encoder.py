"""The encoder inside a model: what a pretraining hands on, and a supervised training starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedward.errors import FedwardError
from fedward.networks.checkpoint import Parameters, load_parameters, read_model, save_model, sha256_of
from fedward.networks.families import family_of
from fedward.networks.registry import all_arguments, build_network
from fedward.networks.starting import check_finite

KEPT = ("run", "round", "data_set", "preprocessing", "quality", "origin")  # of the source's metadata


def encoder_of(
    parameters: Mapping[str, np.ndarray], network: str, arguments: Mapping[str, int]
) -> tuple[Parameters, str, dict[str, int]]:
    """Parameters, network and arguments of the encoder alone inside a model (`fedward.networks.families`).

    FedwardError where the network shares its encoder with no other, or the keys are not those of its architecture.
    """
    complete = all_arguments(network, arguments)
    family = family_of(network)
    if family is None:
        raise FedwardError(f"network {network} holds no encoder to hand on: take the model of a pretraining")
    prefix = family.prefixes[network]
    encoder = {
        family.inside + key.removeprefix(prefix): value for key, value in parameters.items() if key.startswith(prefix)
    }
    own = family.alone_arguments(complete)
    load_parameters(build_network(family.alone, own), encoder)  # names what is missing or misshapen
    check_finite(encoder)
    return encoder, family.alone, own


def save_encoder(model_file: Path, out: Path) -> dict[str, Any]:
    """Write the encoder inside `model_file` to `out`; the new file's metadata, with where the weights come from.

    `method` is the pretext's name, or the network's where the model names none; `source_sha256` is `model_file`'s.
    """
    parameters, metadata = read_model(model_file)
    encoder, network, arguments = encoder_of(parameters, metadata["network"], metadata["network_args"])
    about = {key: metadata[key] for key in KEPT if metadata.get(key) is not None}
    about["method"] = metadata.get("method", metadata["network"])
    about["source_sha256"] = sha256_of(model_file)
    save_model(out, encoder, network, arguments, **about)
    return read_model(out)[1]
