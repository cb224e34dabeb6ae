"""Model files: safetensors with the network's name, arguments and fingerprint beside the weights.

Saving and reading parameters needs no torch, so that a server process never imports it for that.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedward.errors import FedwardError
from fedward.rounds.run_folder import write_bytes

if TYPE_CHECKING:
    from torch import nn

Parameters = dict[str, np.ndarray]
METADATA_KEY = "fedward"
SHOWN = 3  # keys that a sentence names


def fingerprint(network: str, arguments: Mapping[str, int], parameters: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the network's name, arguments and the name, shape and dtype of every tensor."""
    layout = [(key, list(value.shape), str(value.dtype)) for key, value in sorted(parameters.items())]
    return hashlib.sha256(json.dumps([network, dict(sorted(arguments.items())), layout]).encode()).hexdigest()


def digest(parameters: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over every tensor's name, dtype, shape and values."""
    whole = hashlib.sha256()
    for key in sorted(parameters):
        value = np.ascontiguousarray(parameters[key])
        whole.update(f"{key} {value.dtype} {value.shape}".encode() + value.tobytes())
    return whole.hexdigest()


def save_model(
    path: Path, parameters: Mapping[str, np.ndarray], network: str, arguments: Mapping[str, int], **about: Any
) -> None:
    """Write a model file atomically; `about` holds plain values such as round, run and preprocessing settings."""
    from safetensors.numpy import save

    metadata = {"network": network, "network_args": dict(arguments), **about}
    metadata["fingerprint"] = fingerprint(network, arguments, parameters)
    contiguous = {key: np.ascontiguousarray(value).reshape(value.shape) for key, value in parameters.items()}
    write_bytes(path, save(contiguous, {METADATA_KEY: json.dumps(metadata, sort_keys=True)}))


def read_model(path: Path) -> tuple[Parameters, dict[str, Any]]:
    """Parameters and metadata of a model file, its fingerprint verified; FedwardError says what is wrong."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FedwardError(f"{path} is missing: has the run finished its first round?")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
            parameters = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise FedwardError(f"{path} is not a readable model file ({error}): restore it from a copy") from error
    known = isinstance(metadata, dict) and isinstance(metadata.get("network_args"), dict) and "network" in metadata
    if not known:
        raise FedwardError(
            f"{path} does not say which network it holds: it was not written by fedward; take the model of a run"
        )
    expected = fingerprint(metadata["network"], metadata["network_args"], parameters)
    if metadata.get("fingerprint") != expected:
        raise FedwardError(
            f"{path}: the weights do not belong to the network named in the file (fingerprint differs): restore it "
            "from a copy"
        )
    return parameters, metadata


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_registered(path: Path, sha256: str) -> tuple[Parameters, dict[str, Any]]:
    """Parameters and metadata of a registered model file, whose bytes must have that SHA-256."""
    if not path.is_file():
        raise FedwardError(f"the registered starting weights {path} are missing: register them again")
    found = sha256_of(path)
    if found != sha256:
        raise FedwardError(
            f"{path} has SHA-256 {found}, registered is {sha256}: the file is another one, or damaged; restore it, or "
            "register it again"
        )
    return read_model(path)


def load_parameters(model: "nn.Module", parameters: Mapping[str, np.ndarray]) -> None:
    """Copy `parameters` into `model`; missing, unexpected and misshapen keys are one error that counts them all."""
    import torch

    state = model.state_dict()
    missing, unexpected = sorted(set(state) - set(parameters)), sorted(set(parameters) - set(state))
    misshapen = [k for k in state if k in parameters and tuple(state[k].shape) != tuple(parameters[k].shape)]
    kinds = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
    if wrong := [f"{len(keys)} {what} ({listed(keys)})" for what, keys in kinds.items() if keys]:
        raise FedwardError(f"the parameters do not fit the network {type(model).__name__}: {', '.join(wrong)}")
    with torch.no_grad():
        for key, tensor in state.items():
            tensor.copy_(torch.from_numpy(np.asarray(parameters[key])))


def listed(keys: Sequence[str]) -> str:
    """The first of `keys`, and how many more there are."""
    return ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")


def get_parameters(model: "nn.Module") -> Parameters:
    """A copy of every parameter and buffer as NumPy arrays, in the network's order."""
    return {key: value.detach().cpu().numpy().copy() for key, value in model.state_dict().items()}


def load_model(path: Path) -> tuple["nn.Module", dict[str, Any]]:
    """The network in evaluation mode, and the file's metadata."""
    from fedward.networks.registry import build_network

    parameters, metadata = read_model(path)
    model = build_network(metadata["network"], metadata["network_args"])
    load_parameters(model, parameters)
    return model.eval(), metadata
