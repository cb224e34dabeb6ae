"""What only FLARE's side knows of a kit's policy: the class list of our jobs, and FLARE's categories of commands."""

from pathlib import Path

from nvflare.security.security import COMMAND_CATEGORIES

from fedward.flare.components import class_allow_list
from fedward.kits.kit import Kit
from fedward.kits.policy import Baseline, baseline


def installed_baseline(kit: Kit) -> Baseline:
    """What the installed package would put into this kit."""
    return baseline(kit, class_allow_list(), {str(key): str(value) for key, value in COMMAND_CATEGORIES.items()})


def privacy_problems(path: Path) -> list[str]:
    """What is wrong with a site's privacy.json, by building its filters."""
    from fedward.flare.privacy_check import check_privacy

    return check_privacy(path)
