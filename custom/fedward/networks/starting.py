"""What a network takes from registered weights, and what of it stays random: NumPy only, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedward.errors import FedwardError, UsageError
from fedward.networks.checkpoint import SHOWN, Parameters, listed
from fedward.networks.families import family_of
from fedward.networks.registry import all_arguments

PROVENANCE = ("network", "network_args", "method", "run", "round", "data_set", "origin", "source_sha256")


@dataclass(frozen=True)
class Start:
    """The weights a run begins with, and where they come from.

    `loaded` counts the tensors taken from registered weights, `fresh` names those that are random because the
    registered weights lack them, `unused` the registered ones that the network has no place for. For random weights
    `source` is empty and `fresh` names every tensor.
    """

    parameters: Parameters
    loaded: int
    fresh: tuple[str, ...]
    unused: tuple[str, ...]
    source: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For run.json; without the weights. Random weights have nothing to tell."""
        if not self.source:
            return {}
        return {**self.source, "loaded": self.loaded, "fresh": list(self.fresh), "unused": list(self.unused)}

    def sentence(self) -> str:
        """One line for the log and the console: of many keys the first ones, and where the others stand."""
        if not self.source:
            return f"random starting weights, {len(self.fresh)} tensors"
        parts = [f"{self.loaded} tensors taken"]
        parts += [f"{len(self.fresh)} random ({listed(self.fresh)})"] if self.fresh else []
        parts += [f"{len(self.unused)} not used ({listed(self.unused)})"] if self.unused else []
        rest = "; run.json and the report list all" if self.cut_short() else ""
        return f"{self._title()}: {', '.join(parts)}{rest}"

    def cut_short(self) -> bool:
        """Whether the sentence leaves keys out."""
        return bool(self.source) and max(len(self.fresh), len(self.unused)) > SHOWN

    def every_key(self) -> str:
        """One long line for the log, which may be read where run.json is not at hand."""
        kinds = {"random": self.fresh, "not used": self.unused}
        told = [f"{what}: {', '.join(keys)}" for what, keys in kinds.items() if keys]
        return f"{self._title()}, every key: {'; '.join(told)}"

    def _title(self) -> str:
        return f"starting weights {self.source.get('name', '')}".strip()


def starting_parameters(
    network: str,
    arguments: Mapping[str, int],
    random: Mapping[str, np.ndarray],
    registered: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> Start:
    """Lay registered weights over the `random` ones of `network`.

    The same network takes every tensor; networks of one family (`fedward.networks.families`) take the encoder of one
    another, where its arguments agree. FedwardError for another architecture, shape or kind of number, a value that
    is not finite, and where no tensor matches.
    """
    prefix, own_prefix = _prefixes(network, arguments, metadata)
    candidates = {own_prefix + key.removeprefix(prefix): key for key in registered if key.startswith(prefix)}
    matched = {own: key for own, key in candidates.items() if own in random}
    if not matched:
        raise FedwardError(
            f"none of the {len(registered)} registered tensors ({listed(list(registered))}) belongs to {network} "
            f"({listed(list(random))})"
        )
    check_finite(registered)
    parameters = {key: _checked(key, value, registered.get(matched.get(key, ""))) for key, value in random.items()}
    used = set(matched.values())
    return Start(
        parameters=parameters,
        loaded=len(matched),
        fresh=tuple(key for key in random if key not in matched),
        unused=tuple(key for key in registered if key not in used),
        source={key: metadata[key] for key in PROVENANCE if key in metadata},
    )


def check_finite(parameters: Mapping[str, np.ndarray]) -> None:
    """FedwardError that names the first tensor with a value that is NaN or infinite."""
    for key, value in parameters.items():
        if np.issubdtype(value.dtype, np.inexact) and not np.isfinite(value).all():
            raise FedwardError(f"{key} of the registered weights holds NaN or infinity: the training diverged")


def _prefixes(network: str, arguments: Mapping[str, int], metadata: Mapping[str, Any]) -> tuple[str, str]:
    """What the keys that count begin with, in the registered weights and in the network."""
    other = metadata["network"]
    wanted = all_arguments(network, arguments)
    try:
        found = all_arguments(other, metadata["network_args"])
    except UsageError as error:
        raise FedwardError(f"the registered weights cannot be used: {error}") from error
    if (other, found) == (network, wanted):
        return "", ""
    family = family_of(network)
    if family is None or family is not family_of(other) or any(found[key] != wanted[key] for key in family.shared):
        raise FedwardError(
            f"the registered weights are of {_words(other, found)}, the job trains {_words(network, wanted)}: register "
            "weights of this architecture, or give the job the weights' own"
        )
    return family.prefixes[other], family.prefixes[network]


def _words(network: str, arguments: Mapping[str, int]) -> str:
    """Such as "unet_encoder (in_channels 1, features 48, depth 4)"."""
    return f"{network} ({', '.join(f'{name} {value}' for name, value in arguments.items())})"


def _checked(key: str, own: np.ndarray, registered: np.ndarray | None) -> np.ndarray:
    """The registered tensor in the network's dtype; its own where none is registered."""
    if registered is None:
        return own
    same_kind = np.issubdtype(own.dtype, np.floating) == np.issubdtype(registered.dtype, np.floating)
    if own.shape != registered.shape or not same_kind:
        raise FedwardError(
            f"{key} is {registered.dtype} {registered.shape} in the registered weights, {own.dtype} {own.shape} in the "
            "network: they are of another architecture"
        )
    return registered.astype(own.dtype)
