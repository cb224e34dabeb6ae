"""Networks that share an encoder: what one learned, another may begin with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedward.networks.registry import DENSENET, PRETEXT, TASKS, UNET_ENCODER, UNET_FAMILY, all_arguments


@dataclass(frozen=True)
class Family:
    """Networks around one kind of encoder.

    alone     the registered network that is the encoder without anything else, and its arguments beside the shared
    prefixes  network -> what the encoder's keys begin with in it
    inside    what they begin with in the encoder alone
    shared    arguments that must agree for the encoder to fit
    """

    alone: str
    alone_args: dict[str, int]
    prefixes: dict[str, str]
    inside: str
    shared: tuple[str, ...]

    def alone_arguments(self, arguments: Mapping[str, int]) -> dict[str, int]:
        """Arguments of the encoder alone, of a network with these arguments (complete)."""
        return {**{name: arguments[name] for name in self.shared}, **self.alone_args}


DENSENETS = Family(
    alone=DENSENET,
    alone_args={"out_channels": 0},
    prefixes={DENSENET: "features."} | {n: "encoder.features." for n, task in TASKS.items() if task == PRETEXT},
    inside="features.",
    shared=("in_channels", "growth_rate"),
)
UNETS = Family(
    alone=UNET_ENCODER,
    alone_args={},
    prefixes=dict.fromkeys(UNET_FAMILY, "encoder."),
    inside="encoder.",
    shared=("in_channels", "features", "depth"),
)
FAMILIES = (DENSENETS, UNETS)


def family_of(network: str) -> Family | None:
    """The family that a network belongs to; None for one that shares its encoder with no other."""
    return next((family for family in FAMILIES if network in family.prefixes), None)


def is_encoder_alone(network: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a model is an encoder alone, which a training starts from and which predicts nothing."""
    family = family_of(network)
    if family is None or network != family.alone:
        return False
    complete = all_arguments(network, arguments)
    return all(complete[name] == value for name, value in family.alone_args.items())
