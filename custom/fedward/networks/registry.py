"""Networks by registered name. A job says a name and plain arguments, never an import path."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fedward.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

SEGMENTATION, CLASSIFICATION, PRETEXT = "segmentation", "classification", "pretext"  # tasks
STRUCTURES, CONTRAST = "structures", "contrast"  # tasks on volumes
UNET_FEATURES, UNET_DEPTH = 32, 4  # where the arguments name none
WIDEST_LAYER = 2048  # channels; some 500 MB of weights
SMALLEST_DENSENET_IMAGE = 32  # pixels: DenseNet-121 halves the image five times
DENSENET = "densenet121"
UNET_STRUCTURES, UNET_CONTRAST, UNET_ROTATION = "unet_structures", "unet_contrast", "unet_rotation"
UNET_ENCODER = "unet_encoder"
UNET_FAMILY = (UNET_STRUCTURES, UNET_CONTRAST, UNET_ROTATION, UNET_ENCODER)  # instance normalisation, one encoder
_ENCODER = {"in_channels": (1, 64), "growth_rate": (4, 64)}
_UNET = {"in_channels": (1, 64), "features": (1, 512), "depth": (1, 6)}
U_SHAPED = ("unet", *UNET_FAMILY)
# name -> argument -> (smallest, largest) value accepted; every argument is a whole number
NETWORKS: dict[str, dict[str, tuple[int, int]]] = {
    "unet": {**_UNET, "out_channels": (1, 64)},
    UNET_STRUCTURES: {**_UNET, "out_channels": (2, 64)},  # background and structures
    UNET_CONTRAST: _UNET,
    UNET_ROTATION: _UNET,
    UNET_ENCODER: _UNET,
    DENSENET: {"in_channels": (1, 64), "out_channels": (0, 64), "growth_rate": (4, 64)},  # 0: the encoder alone
    "rotation": _ENCODER,
    "simclr": _ENCODER,
    "moco_v2": _ENCODER,
    "byol": _ENCODER,
    "frid": {**_ENCODER, "sr_layer": (0, 1)},
}
TASKS = dict.fromkeys(NETWORKS, PRETEXT) | {
    "unet": SEGMENTATION,
    DENSENET: CLASSIFICATION,
    UNET_STRUCTURES: STRUCTURES,
    UNET_CONTRAST: CONTRAST,
    UNET_ROTATION: CONTRAST,
    UNET_ENCODER: CONTRAST,  # what it leaves behind; no site trains it
}
# Arguments that a network is built with where a job names none
DEFAULTS: dict[str, dict[str, int]] = {
    "unet": {"in_channels": 3, "out_channels": 1, "features": UNET_FEATURES, "depth": UNET_DEPTH},
    UNET_STRUCTURES: {"in_channels": 1, "out_channels": 4, "features": UNET_FEATURES, "depth": UNET_DEPTH},
    **{n: {"in_channels": 1, "features": UNET_FEATURES, "depth": UNET_DEPTH} for n in UNET_FAMILY[1:]},
    DENSENET: {"in_channels": 3, "out_channels": 14, "growth_rate": 32},
    **{name: {"in_channels": 3, "growth_rate": 32} for name in ("rotation", "simclr", "moco_v2", "byol")},
    "frid": {"in_channels": 3, "growth_rate": 32, "sr_layer": 1},
}


def task_of(network: str) -> str:
    """What a registered network is trained for: one of the tasks' names above."""
    check_network(network, {})
    return TASKS[network]


def all_arguments(name: str, arguments: Mapping[str, int]) -> dict[str, int]:
    """The arguments with the defaults filled in, so that two ways to say the same network compare equal."""
    check_network(name, arguments)
    return {**DEFAULTS[name], **arguments}


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
    if name not in U_SHAPED:
        return
    widest = arguments.get("features", UNET_FEATURES) * 2 ** arguments.get("depth", UNET_DEPTH)
    if widest > WIDEST_LAYER:
        raise UsageError(
            f"network {name}: its widest layer would have {widest} channels (features x 2^depth), at most "
            f"{WIDEST_LAYER} are allowed: take fewer features or less depth"
        )


def check_image_size(name: str, arguments: Mapping[str, int], size: int) -> None:
    """UsageError where the network cannot take images of size x size pixels.

    A U-Net, or its encoder, halves the image `depth` times, and normalisation needs more than one pixel at the bottom.
    A DenseNet-121, alone or under a pretext's heads, takes any size of 32 or more.
    """
    if name not in U_SHAPED:
        if size < SMALLEST_DENSENET_IMAGE:
            raise UsageError(
                f"image size {size} does not fit network {name}: take {SMALLEST_DENSENET_IMAGE} pixels or more"
            )
        return
    step = 2 ** arguments.get("depth", UNET_DEPTH)
    if size % step or size < 2 * step:
        raise UsageError(
            f"image size {size} does not fit network {name}: take a multiple of {step}, {2 * step} or more"
        )


def build_network(name: str, arguments: Mapping[str, int], seed: int | None = None) -> "nn.Module":
    """Build a registered network; with a seed its random weights are repeatable."""
    complete = all_arguments(name, arguments)
    import torch

    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        return _build(name, complete)


def _build(name: str, arguments: Mapping[str, int]) -> "nn.Module":
    # each kind is imported when it is built: one kind's modules need not load for another
    if name in ("unet", UNET_STRUCTURES):
        from fedward.networks.unet import UNet

        features, depth = arguments["features"], arguments["depth"]
        channels = arguments["in_channels"], arguments["out_channels"]
        return UNet(*channels, features, depth, instance_norm=name == UNET_STRUCTURES)
    if name in UNET_FAMILY:
        from fedward.networks.unet_heads import build_unet_encoder

        return build_unet_encoder(name, **arguments)
    if name == DENSENET:
        from fedward.networks.densenet import DenseNet121

        return DenseNet121(**arguments)
    from fedward.pretext.online import build_online

    return build_online(name, **arguments)
