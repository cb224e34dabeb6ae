"""The Aggregator component: what FLARE hands over is weighted by `fedward.rounds.aggregation`."""

from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator

from fedward.errors import FedwardError
from fedward.flare.arguments import checked
from fedward.flare.tasks import REPORT
from fedward.rounds.aggregation import Aggregation, Score
from fedward.rounds.spool import Spool
from fedward.settings import AggregationSettings

OUTCOME, SITE = "outcome", "client_name"


class CostWeightedAggregator(ModelAggregator):
    """Weights the sites' models by a scheme of `fedward.weighting.schemes` (fedavg, costw, costw_ce, dcew, ...).

    The arguments are those of `fedward.settings.AggregationSettings`: alpha, beta and gamma must be a convex mix. They
    are checked when the component is built; a UsageError says what is wrong.
    """

    def __init__(
        self,
        scheme: str = "dcew",
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        strict: bool = False,
        cost_source: str = "site_validation",
        cost_reference: str = "previous_round",
        pooled_variance: bool = False,
    ):
        super().__init__()
        self.scheme = scheme
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.strict = strict
        self.cost_source = cost_source
        self.cost_reference = cost_reference
        self.pooled_variance = pooled_variance
        self._aggregation: Aggregation | None = None
        checked("the weighting", self.settings)

    def settings(self) -> AggregationSettings:
        return AggregationSettings(
            scheme=self.scheme,
            alpha=self.alpha,
            beta=self.beta,
            gamma=self.gamma,
            strict=self.strict,
            cost_source=self.cost_source,
            cost_reference=self.cost_reference,
            pooled_variance=self.pooled_variance,
        )

    def begin(self, spool: Spool, score: Score | None = None) -> Aggregation:
        """Say where results are spooled and, for cost_source server_validation, how the server measures a model."""
        self._aggregation = Aggregation(self.settings(), spool, score)
        return self._aggregation

    @property
    def aggregation(self) -> Aggregation:
        if self._aggregation is None:
            raise FedwardError("the aggregator has not been told where to spool: it works with RoundController only")
        return self._aggregation

    def accept_model(self, model: FLModel) -> None:
        """Guard and spool one site's parameters; RefusedUpdate where they do not fit the global model."""
        self.aggregation.accept(model.meta[SITE], model.params, model.meta[REPORT])

    def aggregate_model(self) -> FLModel:
        """The next global model; its meta holds the Outcome (shares, weights, warnings)."""
        outcome = self.aggregation.close()
        return FLModel(params_type=ParamsType.FULL, params=outcome.parameters, meta={OUTCOME: outcome})

    def reset_stats(self) -> None:
        """Forget the results of the round under way; the history of costs stays."""
        self.aggregation.reports = {}
        self.aggregation.spool.clear()
