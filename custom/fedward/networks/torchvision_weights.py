"""A DenseNet-121 file of torchvision (or MONAI), such as its ImageNet weights, as an encoder of ours, offline.

torchvision's published file has older keys (`denselayer1.norm.1.weight`) than its network (`denselayer1.norm1.weight`);
MONAI's network says `denselayer1.layers.norm1.weight`. All three are read.
"""

import pickle
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedward.errors import FedwardError
from fedward.networks.checkpoint import Parameters, get_parameters, load_parameters, save_model, sha256_of
from fedward.networks.families import DENSENETS
from fedward.networks.registry import DENSENET, build_network
from fedward.networks.starting import check_finite

if TYPE_CHECKING:
    from torch import Tensor

OLD_KEY = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\.")
COUNTER = "num_batches_tracked"
FIRST, LAST = "features.conv0.weight", "features.norm5.weight"
LAYER = re.compile(r"features\.denseblock(\d+)\.denselayer(\d+)\.norm1\.weight")
HOW = "give a state dict of torchvision's densenet121, such as densenet121-a639ec97.pth"


def save_torchvision_encoder(source: Path, out: Path) -> dict[str, Any]:
    """Write the encoder of a torchvision file to `out` as a model file of ours; that file's metadata."""
    encoder, arguments = read_torchvision(source)
    about = {"method": "torchvision", "origin": source.name, "source_sha256": sha256_of(source)}
    save_model(out, encoder, DENSENET, arguments, **about)
    return {"network": DENSENET, "network_args": arguments, **about}


def read_torchvision(path: Path) -> tuple[Parameters, dict[str, int]]:
    """Parameters and arguments of the encoder in a .pth state dict; the classifier is left out.

    Only tensors are unpickled, never code. FedwardError for another network, a damaged file and values not finite.
    """
    state = {_key(name): value for name, value in _read_state(path).items()}
    state = {name: value for name, value in state.items() if name.startswith(DENSENETS.inside)}
    _check_architecture(path, state)
    channels, in_channels = state[FIRST].shape[:2]
    arguments = {"in_channels": in_channels, "out_channels": 0, "growth_rate": channels // 2}
    try:
        model = build_network(DENSENET, arguments)
        parameters = {key: value.numpy() for key, value in state.items()}
        zeros = {key: value for key, value in get_parameters(model).items() if key.endswith(COUNTER)}
        load_parameters(model, {**zeros, **parameters})  # files of before 2018 hold no counters
        encoder = get_parameters(model)
        check_finite(encoder)
    except FedwardError as error:
        raise FedwardError(f"{path} cannot be used as DenseNet-121 weights ({error}): {HOW}") from error
    return encoder, arguments


def _read_state(path: Path) -> "dict[str, Tensor]":
    import torch

    if not path.is_file():
        raise FedwardError(f"{path} is no file: {HOW}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FedwardError(
            f"{path} holds more than names and tensors (code in it is never run), or is damaged: {HOW}"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise FedwardError(f"{path} is empty, cut short or damaged ({error!s:.80}): {HOW}") from error
    tensors = isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())
    if not tensors or not state or not all(isinstance(key, str) for key in state):
        raise FedwardError(f"{path} holds no state dict (names and tensors): {HOW}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _key(name: str) -> str:
    return OLD_KEY.sub(r"\1\2.", name).replace(".layers.", ".")


def _check_architecture(path: Path, state: "dict[str, Tensor]") -> None:
    from fedward.networks.densenet import BLOCKS

    if FIRST not in state or LAST not in state or state[FIRST].ndim != 4:
        raise FedwardError(f"{path} holds another network than a DenseNet ({FIRST} and {LAST} are missing): {HOW}")
    layers = [0] * len(BLOCKS)
    for block, layer in (map(int, match.groups()) for match in map(LAYER.fullmatch, state) if match):
        if block <= len(layers):
            layers[block - 1] = max(layers[block - 1], layer)
    if tuple(layers) != BLOCKS:
        raise FedwardError(
            f"{path} is another DenseNet: its blocks have {layers} layers, those of DenseNet-121 {list(BLOCKS)}: {HOW}"
        )
