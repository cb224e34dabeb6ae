"""Which images and labels of a data set a run uses."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from fedward.errors import UsageError

Uncertain = Literal["ignore", "zeros", "ones"]
Views = Literal["frontal", "all"]


@dataclass(frozen=True)
class SelectionSettings:
    """Which images are used and how their labels are read; checked when built.

    uncertain       CheXpert's label -1 (Irvin et al. 2019, arXiv 1901.07031): ignore -> NaN, zeros -> 0, ones -> 1
    views           frontal images only, or all; only CheXpert holds lateral ones
    label_fraction  share of each site's training patients that is used, 0 < share <= 1
    draw            which of the random draws of that share, or of labelled_patients, 1, 2, ...
    labelled_patients  how many of a site's training patients are used with their labels; None: all

    Raises UsageError where a value is outside its range.
    """

    uncertain: Uncertain = "ignore"
    views: Views = "frontal"
    label_fraction: float = 1.0
    draw: int = 1
    labelled_patients: int | None = None

    def __post_init__(self) -> None:
        _check_choice("uncertain", self.uncertain, get_args(Uncertain))
        _check_choice("views", self.views, get_args(Views))
        share = self.label_fraction
        if (
            isinstance(share, bool)
            or not isinstance(share, int | float)
            or not math.isfinite(share)
            or not 0 < share <= 1
        ):
            raise UsageError(f"selection: label_fraction {share!r} must be a number above 0 and at most 1")
        object.__setattr__(self, "label_fraction", float(share))
        if isinstance(self.draw, bool) or not isinstance(self.draw, int) or not 1 <= self.draw <= 1_000_000:
            raise UsageError(f"selection: draw {self.draw!r} must be a whole number from 1 to 1000000")
        count = self.labelled_patients
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1_000_000):
            raise UsageError(f"selection: labelled_patients {count!r} must be a whole number of 1 or more")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; equal settings give equal dictionaries."""
        values = asdict(self)
        if self.labelled_patients is None:
            del values["labelled_patients"]  # runs on images, and their fingerprints, are older than it
        return values


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"selection: {name} {value!r} is not known: use one of {', '.join(allowed)}")
