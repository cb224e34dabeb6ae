"""What the server remembers of each site's costs and quality from round to round (rule R4).

State is kept by site name, never by order of arrival, and each value carries the round it belongs to. A value older
than MAX_AGE rounds is missing, so a site that was away starts again at the neutral ratio (rule R1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from fedward.errors import FedwardError
from fedward.weighting.claims import MAX_COST, SiteClaim, bounded

MAX_AGE = 1  # rounds
WINDOW = 6  # costs in the PID window, the current one included
FORMAT = 1

Dated = tuple[int, float]  # (round, value)


@dataclass(frozen=True)
class SiteHistory:
    """One site's costs of consecutive rounds, oldest first, at most WINDOW - 1 of them, and its last quality."""

    costs: tuple[Dated, ...] = ()
    quality: Dated | None = None


@dataclass(frozen=True)
class History:
    """Costs and quality by site name after `round` completed rounds. Never changed: `after` makes a new one."""

    round: int = 0
    sites: Mapping[str, SiteHistory] = field(default_factory=dict)

    def past_costs(self, site: str, round: int) -> tuple[float, ...]:
        """The costs of the rounds before `round`, oldest first, at most WINDOW - 1; empty where the last is too old."""
        costs = self.sites.get(site, SiteHistory()).costs
        return tuple(value for _, value in costs) if costs and _recent(costs[-1], round) else ()

    def past_quality(self, site: str, round: int) -> float | None:
        """The quality of the round before `round`; None where it is missing or too old."""
        quality = self.sites.get(site, SiteHistory()).quality
        return quality[1] if quality and _recent(quality, round) else None

    def check_next(self, round: int) -> None:
        """FedwardError where `round` does not come after the last one remembered (a round must not count twice)."""
        if isinstance(round, bool) or not isinstance(round, int) or round <= self.round:
            raise FedwardError(
                f"weighting history already holds round {self.round}, so round {round!r} cannot follow: "
                "continue from the state saved before that round"
            )

    def after(self, round: int, claims: Mapping[str, SiteClaim]) -> "History":
        """The history once `round` is complete. `claims` are those of the sites that counted in it.

        A value that is missing or out of bounds is not stored. A cost that does not follow on the last one begins a
        new window.
        """
        self.check_next(round)
        sites = dict(self.sites)
        for site, claim in bounded(claims)[0].items():
            known = sites.get(site, SiteHistory())
            costs, quality = known.costs, known.quality
            if claim.cost is not None:
                earlier = costs if costs and _recent(costs[-1], round) else ()
                costs = (*earlier, (round, claim.cost))[-(WINDOW - 1) :]
            if claim.quality is not None:
                quality = (round, claim.quality)
            sites[site] = SiteHistory(costs, quality)
        return History(round, {site: sites[site] for site in sorted(sites)})

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` gives back an equal history, bit for bit."""
        return {
            "format": FORMAT,
            "round": self.round,
            "sites": {
                site: {
                    "costs": [list(dated) for dated in known.costs],
                    "quality": list(known.quality) if known.quality else None,
                }
                for site, known in sorted(self.sites.items())
            },
        }

    @classmethod
    def from_dict(cls, state: Any) -> "History":
        """Read what `to_dict` wrote. Raises FedwardError that names the first thing that cannot be right."""
        _require(isinstance(state, dict) and state.keys() == {"format", "round", "sites"}, "its fields")
        _require(state["format"] == FORMAT, f"format {state['format']!r} (this version reads {FORMAT})")
        last = state["round"]
        _require(_is_round(last) or (last == 0 and type(last) is int), "the round")
        _require(isinstance(state["sites"], dict), "the sites")
        sites: dict[str, SiteHistory] = {}
        for site, entry in state["sites"].items():
            _require(isinstance(site, str) and site != "", "a site's name")
            _require(isinstance(entry, dict) and entry.keys() == {"costs", "quality"}, f"the fields of {site}")
            stored = entry["costs"]
            _require(isinstance(stored, list) and len(stored) <= WINDOW - 1, f"the costs of {site}")
            costs = tuple(_dated(pair, last, MAX_COST, f"a cost of {site}") for pair in stored)
            steps = [later[0] - earlier[0] for earlier, later in pairwise(costs)]
            _require(all(1 <= step <= MAX_AGE for step in steps), f"the rounds of the costs of {site}")
            quality = entry["quality"]
            sites[site] = SiteHistory(
                costs, None if quality is None else _dated(quality, last, 1.0, f"the quality of {site}")
            )
        return cls(last, {site: sites[site] for site in sorted(sites)})


def _recent(dated: Dated, round: int) -> bool:
    return 1 <= round - dated[0] <= MAX_AGE


def _is_round(value: Any) -> bool:
    return type(value) is int and value >= 1


def _dated(pair: Any, last: int, highest: float, what: str) -> Dated:
    _require(isinstance(pair, list) and len(pair) == 2, what)
    round, value = pair
    _require(_is_round(round) and round <= last, f"the round of {what}")
    _require(type(value) in (int, float) and 0 <= value <= highest, what)  # NaN fails the comparison
    return round, float(value)


def _require(right: bool, what: str) -> None:
    if not right:
        raise FedwardError(
            f"the saved weighting history is damaged: {what} cannot be right. "
            "Restore the run's state folder from a copy, or start a new run."
        )
