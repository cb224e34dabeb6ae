"""Weighting schemes: rows of a table that mix shares, and `weigh`, which applies one to a round."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fedward.errors import UsageError
from fedward.weighting import shares
from fedward.weighting.claims import SiteClaim, SiteWarning, bounded
from fedward.weighting.history import History
from fedward.weighting.shares import Share

CostReference = Literal["previous_round", "round_start"]
CostTransform = Literal["identity", "sigmoid"]
ALL_SITES = "all sites"  # the `site` of a warning that concerns the round
COEFFICIENTS = ("alpha", "beta", "gamma")
TOLERANCE = 1e-9


class Row(NamedTuple):
    """One scheme: its shares with their default coefficients (alpha, beta, gamma in this order).

    cost     what the cost is: the cross entropy itself, or sigmoid(cross entropy) as in CostW-AVG+CE and DCEW-AVG
    neutral  every ratio is set to 1 (the control)
    """

    title: str
    mix: Mapping[str, float]
    cost: CostTransform = "identity"
    neutral: bool = False


SCHEMES: dict[str, Row] = {
    "fedavg": Row("FedAvg", {"samples": 1.0}),
    "costw": Row("FedCostWAvg", {"samples": 0.5, "cost_ratio": 0.5}),
    "costw_ce": Row("CostW-AVG+CE", {"samples": 0.5, "cost_ratio": 0.5}, cost="sigmoid"),
    "dcew": Row("DCEW-AVG", {"samples": 0.5, "cost_ratio": 0.25, "quality_ratio": 0.25}, cost="sigmoid"),
    "fedpid": Row("FedPIDAvg", {"samples": 0.45, "cost_drop": 0.45, "cost_integral": 0.10}),
    "uniform": Row("Uniform", {"uniform": 1.0}),
    "half_uniform": Row(
        "Half size, half uniform",
        {"samples": 0.5, "cost_ratio": 0.25, "quality_ratio": 0.25},
        cost="sigmoid",
        neutral=True,
    ),
}


@dataclass(frozen=True)
class Scheme:
    """A row of SCHEMES with its coefficients settled. Made by `make_scheme`."""

    name: str
    mix: Mapping[str, float]
    cost: CostTransform = "identity"
    neutral: bool = False
    strict: bool = False
    cost_reference: CostReference = "previous_round"


@dataclass(frozen=True)
class Weights:
    """What a round's sum uses, and how it came about.

    weights   site -> weight, in sorted order; they sum to 1 (within 1e-9) and are >= 0 (strict fedpid apart).
              Empty: no site counts, and the old global model stays.
    shares    name of the share -> site -> its part of one
    warnings  what was ignored, clipped or replaced, for the round record
    """

    weights: dict[str, float]
    shares: dict[str, dict[str, float]]
    warnings: list[SiteWarning]


def make_scheme(
    name: str,
    alpha: float | None = None,
    beta: float | None = None,
    gamma: float | None = None,
    strict: bool = False,
    cost_reference: str = "previous_round",
) -> Scheme:
    """A scheme by its registered name.

    Coefficients belong to the scheme's shares in the order of its row. Give none (the published values), all, or all
    but one: the last one is then what is left to 1. UsageError where they are no convex mix (each finite and >= 0,
    sum 1 within 1e-9), where the scheme has no such coefficient, and for an unknown name or cost reference.
    """
    if not isinstance(name, str) or name not in SCHEMES:
        near = difflib.get_close_matches(str(name), SCHEMES, n=1)
        raise UsageError(
            f"there is no weighting scheme {name!r}{f' (did you mean {near[0]!r}?)' if near else ''}: "
            f"choose one of {', '.join(SCHEMES)}"
        )
    if cost_reference not in ("previous_round", "round_start"):
        raise UsageError(f"cost_reference {cost_reference!r} is unknown: choose previous_round or round_start")
    if not isinstance(strict, bool):
        raise UsageError(f"strict {strict!r} is neither true nor false")
    row = SCHEMES[name]
    mix = dict(zip(row.mix, _coefficients(name, row, (alpha, beta, gamma)), strict=True))
    reference: CostReference = "round_start" if cost_reference == "round_start" else "previous_round"
    return Scheme(name, mix, row.cost, row.neutral, strict, reference)


def _coefficients(name: str, row: Row, given: tuple[float | None, ...]) -> list[float]:
    """The defaults of a row, or the given coefficients if they are a convex mix; one of them may be left out."""
    defaults = list(row.mix.values())
    letters = COEFFICIENTS[: len(defaults)] if len(defaults) > 1 else ()
    takes = ", ".join(letters) or "no coefficients"
    for letter, value in zip(COEFFICIENTS, given, strict=True):
        if value is None:
            continue
        if letter not in letters:
            raise UsageError(f"weighting scheme {name} has no {letter}: it takes {takes}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 + TOLERANCE:
            raise UsageError(f"{letter} of {name} is {value!r}: give a number from 0 to 1")
    settled = list(given[: len(letters)])
    if settled.count(None) == len(settled):
        return defaults
    if settled.count(None) == 1:
        rest = 1 - math.fsum(value for value in settled if value is not None)
        settled[settled.index(None)] = max(rest, 0.0) if rest > -TOLERANCE else rest
    known = [value for value in settled if value is not None]
    total = math.fsum(known)
    if len(known) < len(letters) or min(known) < 0 or abs(total - 1) > TOLERANCE:
        shown = ", ".join(f"{k} {v:g}" for k, v in zip(COEFFICIENTS, given, strict=True) if v is not None)
        raise UsageError(f"{shown} of {name} make no convex mix: give {takes}, each at least 0, with sum 1")
    return [value / total for value in known]


def weigh(scheme: Scheme, claims: Mapping[str, SiteClaim], history: History, round: int) -> Weights:
    """The weights of round `round` (1, 2, ...) from the claims of the sites whose updates were accepted.

    Refused sites must not be among the claims (R5). `history` is the state after the round before; it is not changed.
    Raises FedwardError where the history already holds this round.
    """
    history.check_next(round)
    kept, warnings = bounded(claims)
    counted = {site: claim for site, claim in kept.items() if claim.samples > 0}
    for site in kept.keys() - counted.keys():
        warnings.append({"site": site, "message": "no training images: left out of this round"})
    if not counted:
        warnings.append({"site": ALL_SITES, "message": "no site counts in this round: the old global model stays"})
        return Weights({}, {}, _sorted(warnings))
    computed = _shares(scheme, counted, history, round)
    normal_start = round == 1 and scheme.cost_reference == "previous_round"  # nobody can have a history yet
    for name, share in computed.items():
        warnings += _share_warnings(name, share, everybody=len(share.missing) == len(counted), quiet=normal_start)
    weights = {
        site: math.fsum(part * computed[name].values[site] for name, part in scheme.mix.items()) for site in counted
    }
    if len(weights) == 1:
        weights = dict.fromkeys(weights, 1.0)
    for site, weight in weights.items():
        if weight < 0:
            message = f"weight {weight:.6g} is negative, which strict {scheme.name} allows"
            warnings.append({"site": site, "message": message})
    return Weights(weights, {name: share.values for name, share in computed.items()}, _sorted(warnings))


def _shares(scheme: Scheme, claims: Mapping[str, SiteClaim], history: History, round: int) -> dict[str, Share]:
    """Every share of the scheme's mix, from the claims and from what they are compared with."""
    sizes = {site: claim.samples for site, claim in claims.items()}
    costs = {site: _transformed(claim.cost, scheme) for site, claim in claims.items()}
    qualities = {site: claim.quality for site, claim in claims.items()}
    past: dict[str, tuple[float | None, ...]]
    if scheme.cost_reference == "round_start":
        past = {site: (_transformed(claim.start_cost, scheme),) for site, claim in claims.items()}
        qualities_before = {site: claim.start_quality for site, claim in claims.items()}
    else:
        past = {site: tuple(_transformed(c, scheme) for c in history.past_costs(site, round)) for site in claims}
        qualities_before = {site: history.past_quality(site, round) for site in claims}
    costs_before = {site: before[-1] if before else None for site, before in past.items()}
    windows = {site: _window(past[site], costs[site]) for site in claims}
    strict, neutral = scheme.strict, scheme.neutral
    table: dict[str, Callable[[], Share]] = {
        "samples": lambda: shares.samples(sizes),
        "uniform": lambda: shares.uniform(sizes),
        "cost_ratio": lambda: shares.cost_ratio(sizes, costs_before, costs, strict, neutral),
        "quality_ratio": lambda: shares.quality_ratio(sizes, qualities_before, qualities, strict, neutral),
        "cost_drop": lambda: shares.cost_drop(sizes, costs_before, costs, strict),
        "cost_integral": lambda: shares.cost_integral(sizes, windows, strict),
    }
    return {name: table[name]() for name in scheme.mix}


def _transformed(cost: float | None, scheme: Scheme) -> float | None:
    return cost if cost is None or scheme.cost == "identity" else 1 / (1 + math.exp(-cost))


def _window(past: tuple[float | None, ...], cost: float | None) -> list[float] | None:
    """The PID window: past costs and the present one; missing where either is (R1)."""
    known = [value for value in past if value is not None]
    return [*known, cost] if known and cost is not None else None


def _share_warnings(name: str, share: Share, everybody: bool, quiet: bool) -> list[SiteWarning]:
    """What the round record says about a share; `quiet` leaves out missing values."""
    found: list[SiteWarning] = []
    if share.missing and everybody and not quiet:
        message = f"{name}: no site has both values to compare, so the share of training images stands in"
        found.append({"site": ALL_SITES, "message": message})
    elif share.missing and not quiet:
        neutral = "the median of the others" if name in ("cost_drop", "cost_integral") else "ratio 1"
        message = f"{name}: the value of this round or the one to compare it with is missing, so {neutral} counts"
        found += [{"site": site, "message": message} for site in share.missing]
    for site, value in share.clipped.items():
        if name == "cost_drop":
            message = f"{name}: the cost rose by {-value:.6g}, which counts as no change"
        else:
            message = f"{name}: ratio {value:.6g} was clipped to [{shares.LOWEST_RATIO:g}, {shares.HIGHEST_RATIO:g}]"
        found.append({"site": site, "message": message})
    if share.undefined:
        message = f"{name}: the drops add up to zero, so the share of training images stands in for the formula"
        found.append({"site": ALL_SITES, "message": message})
    return found


def _sorted(warnings: list[SiteWarning]) -> list[SiteWarning]:
    return sorted(warnings, key=lambda warning: (warning["site"], warning["message"]))
