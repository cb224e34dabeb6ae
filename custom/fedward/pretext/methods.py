"""The pretext tasks by name."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fedward.pretext.byol import BYOL
from fedward.pretext.frid import FRID
from fedward.pretext.method import Method
from fedward.pretext.moco_v2 import MoCoV2
from fedward.pretext.online import OnlineNetwork
from fedward.pretext.rotation import Rotation
from fedward.pretext.settings import PretextSettings
from fedward.pretext.simclr import SimCLR

CLASSES: dict[str, type[Method]] = {
    "rotation": Rotation,
    "simclr": SimCLR,
    "moco_v2": MoCoV2,
    "byol": BYOL,
    "frid": FRID,
}


def build_method(
    online: OnlineNetwork,
    settings: PretextSettings,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Method:
    """The method that `settings` name, around an online network that is on its device already."""
    return CLASSES[settings.method](online, settings, autocast)
