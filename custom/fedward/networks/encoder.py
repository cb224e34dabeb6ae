"""The encoder inside a model: what a pretraining hands on, and a classification starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedward.errors import FedwardError
from fedward.networks.checkpoint import Parameters, load_parameters, read_model, save_model, sha256_of
from fedward.networks.registry import DENSENET, PRETEXT, TASKS, all_arguments, build_network
from fedward.networks.starting import ENCODER, FEATURES, check_finite

KEPT = ("run", "round", "data_set", "preprocessing", "quality", "origin")  # of the source's metadata


def encoder_of(
    parameters: Mapping[str, np.ndarray], network: str, arguments: Mapping[str, int]
) -> tuple[Parameters, dict[str, int]]:
    """Parameters and arguments of the densenet121 without classifier inside a pretext's or a classifier's model.

    FedwardError where the network holds no such encoder, or the keys are not those of its architecture.
    """
    complete = all_arguments(network, arguments)
    if network != DENSENET and TASKS[network] != PRETEXT:
        raise FedwardError(
            f"network {network} holds no DenseNet encoder: take the model of a pretraining or classifier"
        )
    prefix = ENCODER if TASKS[network] == PRETEXT else ""
    encoder = {
        key.removeprefix(prefix): value for key, value in parameters.items() if key.startswith(prefix + FEATURES)
    }
    own = {"in_channels": complete["in_channels"], "out_channels": 0, "growth_rate": complete["growth_rate"]}
    load_parameters(build_network(DENSENET, own), encoder)  # names what is missing or misshapen
    check_finite(encoder)
    return encoder, own


def save_encoder(model_file: Path, out: Path) -> dict[str, Any]:
    """Write the encoder inside `model_file` to `out`; the new file's metadata, with where the weights come from.

    `method` is the pretext's name, or densenet121 for a classifier; `source_sha256` is that of `model_file`.
    """
    parameters, metadata = read_model(model_file)
    encoder, arguments = encoder_of(parameters, metadata["network"], metadata["network_args"])
    about = {key: metadata[key] for key in KEPT if metadata.get(key) is not None}
    about["method"] = metadata.get("method", metadata["network"])
    about["source_sha256"] = sha256_of(model_file)
    save_model(out, encoder, DENSENET, arguments, **about)
    return read_model(out)[1]
