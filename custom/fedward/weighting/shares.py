"""Shares: pure functions from what sites reported to numbers per site that sum to one.

All arguments are mappings by site name. `sizes` (training images, > 0) names the sites that count; a value that is
None or absent in another mapping is missing. Everything is float64 in sorted order of site name, so the result has
the same bits whatever order the mappings were filled in.

Rules (docs/methods.md, "Weighting"): R1 missing values, R2 smoothed and clamped ratios, R3 tamed PID terms.
`strict` gives the formula as published: no clamp (R2), raw drop and sum of costs (R3). R1 and the smoothing of R2
stay, because the papers do not say what to do there.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

SMOOTHING = 1e-6
LOWEST_RATIO, HIGHEST_RATIO = 0.1, 10.0
PLATEAU = 0.01  # part of the mean previous cost that R3 adds to every drop
NO_SUM = 1e-6  # a sum of signed terms below this part of their magnitudes is no divisor: parts would pass 10^6

Sizes = Mapping[str, int]
Values = Mapping[str, float | None]


class Share(NamedTuple):
    """A share and what had to be done to get it.

    values     site -> part of one; >= 0 except in a strict `cost_drop`
    missing    sites whose values are missing; all of them: `samples` stands in, some: the neutral value (R1)
    clipped    site -> its ratio before the clamp (R2), or its negative drop before it counted as 0 (R3)
    undefined  the published formula divides by zero here, so `samples` stands in
    """

    values: dict[str, float]
    missing: tuple[str, ...] = ()
    clipped: Mapping[str, float] = {}
    undefined: bool = False


def samples(sizes: Sizes) -> Share:
    """s_k / S, the weights of FedAvg (McMahan et al. 2017, arXiv 1602.05629)."""
    return Share(_parts({site: float(sizes[site]) for site in sorted(sizes)}))


def uniform(sizes: Sizes) -> Share:
    """1 / N over the sites that count."""
    return Share(_parts(dict.fromkeys(sorted(sizes), 1.0)))


def cost_ratio(sizes: Sizes, previous: Values, current: Values, strict: bool = False, neutral: bool = False) -> Share:
    """k_k / K with k = c_{t-1} / c_t (FedCostWAvg, arXiv 2111.08649). Costs are >= 0.

    `neutral` sets each ratio to 1 and keeps rule R1: the control for methods whose ratios lie near 1.
    """
    return _ratio_share(sizes, previous, current, strict, neutral)


def quality_ratio(
    sizes: Sizes, previous: Values, current: Values, strict: bool = False, neutral: bool = False
) -> Share:
    """d_k / D with d = Dice_t / Dice_{t-1}, the third term of DCEW-AVG. Qualities are in [0, 1]."""
    return _ratio_share(sizes, current, previous, strict, neutral)


def cost_drop(sizes: Sizes, previous: Values, current: Values, strict: bool = False) -> Share:
    """k_k / K with k = c_{t-1} - c_t (FedPIDAvg, arXiv 2304.12117). Costs are >= 0.

    R3: max(k, 0) + 0.01 mean(c_{t-1}) takes the place of k, so that a plateau gives equal parts. Strict: the raw k;
    parts can be negative or above 1. A missing k is the median of the known ones (R1).
    """
    before, now, missing = _both_known(sizes, previous, current)
    if not before:
        return samples(sizes)._replace(missing=missing)
    known = {site: before[site] - now[site] for site in before}
    drops = _filled(sizes, known, median(known.values()))
    if strict:
        if abs(math.fsum(drops.values())) <= NO_SUM * math.fsum(abs(drop) for drop in drops.values()):
            return samples(sizes)._replace(missing=missing, undefined=True)
        return Share(_parts(drops), missing)
    floor = PLATEAU * math.fsum(before.values()) / len(before)
    clipped = {site: drop for site, drop in known.items() if drop < 0}
    return Share(_parts({site: max(drop, 0.0) + floor for site, drop in drops.items()}), missing, clipped)


def cost_integral(sizes: Sizes, windows: Mapping[str, Sequence[float] | None], strict: bool = False) -> Share:
    """m_k / I over each site's window of recent costs (FedPIDAvg, arXiv 2304.12117). Costs are >= 0.

    R3: m is the mean of the window, so that a site with a short window is not starved. Strict: the sum. A missing or
    empty window counts as the median m of the others (R1).
    """
    known: dict[str, float] = {}
    for site in sorted(sizes):
        window = windows.get(site)
        if window:
            known[site] = math.fsum(window) if strict else math.fsum(window) / len(window)
    missing = tuple(site for site in sorted(sizes) if site not in known)
    if not known:
        return samples(sizes)._replace(missing=missing)
    return Share(_parts(_filled(sizes, known, median(known.values()))), missing)


def _ratio_share(sizes: Sizes, above: Values, below: Values, strict: bool, neutral: bool) -> Share:
    """Parts of above / below, smoothed and clamped (R2), 1 where a value is missing (R1)."""
    over, under, missing = _both_known(sizes, above, below)
    if not over:
        return samples(sizes)._replace(missing=missing)
    if neutral:
        return uniform(sizes)._replace(missing=missing)
    raw = {site: (over[site] + SMOOTHING) / (under[site] + SMOOTHING) for site in over}
    if strict:
        return Share(_parts(_filled(sizes, raw, 1.0)), missing)
    ratios = {site: min(max(ratio, LOWEST_RATIO), HIGHEST_RATIO) for site, ratio in raw.items()}
    clipped = {site: ratio for site, ratio in raw.items() if ratio != ratios[site]}
    return Share(_parts(_filled(sizes, ratios, 1.0)), missing, clipped)


def _both_known(
    sizes: Sizes, first: Values, second: Values
) -> tuple[dict[str, float], dict[str, float], tuple[str, ...]]:
    """Both values of the sites that have both, and the names of the others."""
    firsts: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for site in sorted(sizes):
        one, two = first.get(site), second.get(site)
        if one is not None and two is not None:
            firsts[site], seconds[site] = one, two
    return firsts, seconds, tuple(site for site in sorted(sizes) if site not in firsts)


def _filled(sizes: Sizes, known: Mapping[str, float], neutral: float) -> dict[str, float]:
    return {site: known.get(site, neutral) for site in sorted(sizes)}


def _parts(values: dict[str, float]) -> dict[str, float]:
    """Each value over their sum; equal parts where every value is 0 (0/0 is the neutral ratio)."""
    total = math.fsum(values.values())
    if total == 0:
        return dict.fromkeys(values, 1.0 / len(values)) if values else {}
    return {site: value / total for site, value in values.items()}
