"""Networks by registered name. A job says a name and plain arguments, never an import path."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fedward.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

UNET_FEATURES, UNET_DEPTH = 32, 4  # where the arguments name none
WIDEST_LAYER = 2048  # channels; some 500 MB of weights
# name -> argument -> (smallest, largest) value accepted; every argument is a whole number
NETWORKS: dict[str, dict[str, tuple[int, int]]] = {
    "unet": {"in_channels": (1, 64), "out_channels": (1, 64), "features": (1, 512), "depth": (1, 6)},
}


def check_network(name: str, arguments: Mapping[str, int]) -> None:
    """UsageError unless `name` is registered and every argument is known and within its range."""
    if not isinstance(name, str) or name not in NETWORKS:
        raise UsageError(f"network {name!r} is unknown: choose one of {', '.join(NETWORKS)}")
    if not isinstance(arguments, Mapping):
        raise UsageError(f"network {name}: the arguments must be a mapping, not {type(arguments).__name__}")
    known = NETWORKS[name]
    for key, value in arguments.items():
        if key not in known:
            raise UsageError(f"network {name} has no argument {key!r}: known are {', '.join(known)}")
        low, high = known[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError(f"network {name}: {key} must be a whole number from {low} to {high}, not {value!r}")
    widest = arguments.get("features", UNET_FEATURES) * 2 ** arguments.get("depth", UNET_DEPTH)
    if widest > WIDEST_LAYER:
        raise UsageError(
            f"network {name}: its widest layer would have {widest} channels (features x 2^depth), at most "
            f"{WIDEST_LAYER} are allowed: take fewer features or less depth"
        )


def check_image_size(name: str, arguments: Mapping[str, int], size: int) -> None:
    """UsageError where the network cannot take images of size x size pixels.

    A U-Net halves the image `depth` times, and batch normalisation needs more than one pixel at the bottom.
    """
    step = 2 ** arguments.get("depth", UNET_DEPTH)
    if size % step or size < 2 * step:
        raise UsageError(
            f"image size {size} does not fit network {name}: take a multiple of {step}, {2 * step} or more"
        )


def build_network(name: str, arguments: Mapping[str, int], seed: int | None = None) -> "nn.Module":
    """Build a registered network; with a seed its random weights are repeatable."""
    check_network(name, arguments)
    import torch

    from fedward.networks.unet import UNet

    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        return UNet(**arguments)
