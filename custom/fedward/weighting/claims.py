"""What a site says about its round, and the bounds within which the server believes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_SAMPLES = 10**9
MAX_COST = 1e6  # a mean cross entropy in nats stays far below; larger values would only overflow later sums

SiteWarning = dict[str, str]  # {"site": ..., "message": ...}, for the round record


@dataclass(frozen=True)
class SiteClaim:
    """What one site reports about one round. A metric that was not measured is None.

    samples        number of training images (slices), >= 0
    cost, quality  of the site's own model after its local training: mean cross entropy in nats, >= 0, and Dice (or
                   AUC) in [0, 1]
    start_cost, start_quality  the same of the global model it received; used by cost_reference "round_start" only
    """

    samples: int
    cost: float | None = None
    quality: float | None = None
    start_cost: float | None = None
    start_quality: float | None = None


def bounded(claims: Mapping[str, SiteClaim]) -> tuple[dict[str, SiteClaim], list[SiteWarning]]:
    """Claims with every value that cannot be true taken out, in sorted order of site name, and a warning for each.

    A metric that is no number, not finite or outside its range becomes None (missing). A number of training images
    that is no integer in [0, 10^9] becomes 0, which leaves the site out of the round. Zero cost is legal.
    """
    kept: dict[str, SiteClaim] = {}
    warnings: list[SiteWarning] = []
    for site in sorted(claims):
        claim = claims[site]
        problems: list[str] = []
        kept[site] = SiteClaim(
            samples=_count(claim.samples, problems),
            cost=_metric("cost", claim.cost, MAX_COST, problems),
            quality=_metric("quality", claim.quality, 1.0, problems),
            start_cost=_metric("start_cost", claim.start_cost, MAX_COST, problems),
            start_quality=_metric("start_quality", claim.start_quality, 1.0, problems),
        )
        warnings += [{"site": site, "message": problem} for problem in problems]
    return kept, warnings


def _metric(name: str, value: Any, highest: float, problems: list[str]) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and 0 <= value <= highest:  # NaN fails the comparison
        return float(value)
    problems.append(f"{name} {_shown(value)} is no number in [0, {highest:g}]: counted as missing")
    return None


def _count(value: Any, problems: list[str]) -> int:
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if is_integer and 0 <= value <= MAX_SAMPLES:
        return int(value)
    problems.append(f"samples {_shown(value)} is no whole number in [0, {MAX_SAMPLES}]: counted as 0")
    return 0


def _shown(value: object) -> str:
    """A value for a message, cut short: it came from outside. A Python integer too long to print has no repr."""
    try:
        text = repr(value)
    except ValueError:
        return "(too long to show)"
    return text if len(text) <= 40 else text[:37] + "..."
