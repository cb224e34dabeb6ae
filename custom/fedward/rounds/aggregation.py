"""From the sites' results to the next global model: guard and spool as they come, weight and sum at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedward.errors import FedwardError
from fedward.evaluation import Evaluation
from fedward.rounds.site_report import Report, claim_of
from fedward.rounds.spool import Spool
from fedward.settings import AggregationSettings
from fedward.weighting.accumulator import weighted_sum
from fedward.weighting.guards import check_update
from fedward.weighting.history import History
from fedward.weighting.schemes import weigh

Parameters = dict[str, NDArray[np.generic]]
Score = Callable[[Mapping[str, NDArray[np.generic]]], Evaluation]


@dataclass(frozen=True)
class Outcome:
    """What a round's aggregation gives: the new global model and how it came about."""

    parameters: Parameters
    weights: dict[str, float]
    shares: dict[str, dict[str, float]]
    warnings: list[dict[str, str]]
    history: History = field(repr=False)


class Aggregation:
    """The results of one round at a time, and the history of costs that the next round's weights need.

    `score` measures a model on the server's own validation images; it is needed by cost_source server_validation alone.
    """

    def __init__(self, settings: AggregationSettings, spool: Spool, score: Score | None = None):
        self.settings = settings
        self.scheme = settings.weighting_scheme()
        if settings.cost_source == "server_validation" and score is None:
            raise FedwardError(
                "cost_source server_validation needs the server's own validation images: "
                "name their folder under 'validation:' in the server's fedward.yml"
            )
        self.spool = spool
        self.score = score if settings.cost_source == "server_validation" else None
        self.history = History()
        self.number = 0
        self.reference: Parameters = {}
        self.reports: dict[str, Report] = {}

    def open(self, number: int, reference: Parameters) -> None:
        """Begin a round in which the sites start from `reference`."""
        self.number = number
        self.reference = reference
        self.reports = {}
        self.spool.clear()

    def accept(self, site: str, parameters: Mapping[str, NDArray[np.generic]], report: Report) -> None:
        """Keep a site's checked report and its parameters; RefusedUpdate where the parameters do not fit."""
        check_update(parameters, self.reference)
        self.spool.put(site, {k: np.asarray(v, dtype=self.reference[k].dtype) for k, v in parameters.items()})
        self.reports[site] = report

    def close(self) -> Outcome:
        """Weight and sum what was accepted; with nobody left to count the old global model stays (rule R5)."""
        updates = {site: self.spool.get(site) for site in sorted(self.reports)}
        received = self.score(self.reference) if self.score and self.settings.cost_reference == "round_start" else None
        claims = {
            site: claim_of(report, received, self.score(updates[site]) if self.score else None)
            for site, report in sorted(self.reports.items())
        }
        weighed = weigh(self.scheme, claims, self.history, self.number)
        parameters = self.reference
        if weighed.weights:
            parameters = weighted_sum(updates, weighed.weights, self.reference, self.settings.pooled_variance)
        self.history = self.history.after(self.number, claims)
        return Outcome(parameters, weighed.weights, weighed.shares, list(weighed.warnings), self.history)
