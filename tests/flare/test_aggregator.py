"""The Aggregator as FLARE calls it: accept_model, aggregate_model, reset_stats. Weights worked by hand."""

import itertools

import numpy as np
import pytest
from fake_network import evaluation, train_report
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType

from fedward.errors import FedwardError, RefusedUpdate, UsageError
from fedward.flare.aggregator import OUTCOME, SITE, CostWeightedAggregator
from fedward.flare.tasks import REPORT
from fedward.rounds.site_report import check_report
from fedward.rounds.spool import Spool

REFERENCE = {"w": np.zeros(3, np.float32), "steps": np.array(7, np.int64)}


def begun(tmp_path, **arguments) -> CostWeightedAggregator:
    aggregator = CostWeightedAggregator(**arguments)
    aggregator.begin(Spool(tmp_path / "spool")).open(1, REFERENCE)
    return aggregator


def result(site: str, value: float, samples: int, **report) -> FLModel:
    parameters = {"w": np.full(3, value, np.float32), "steps": np.array(7, np.int64)}
    checked = check_report(train_report(samples, **report))
    return FLModel(params_type=ParamsType.FULL, params=parameters, meta={SITE: site, REPORT: checked})


def test_fedavg_weights_by_images(tmp_path):
    aggregator = begun(tmp_path, scheme="fedavg")
    for site, value, samples in (("a", 1.0, 10), ("b", 2.0, 30), ("c", 4.0, 60)):
        aggregator.accept_model(result(site, value, samples))
    model = aggregator.aggregate_model()
    assert model.params_type == ParamsType.FULL
    np.testing.assert_allclose(model.params["w"], 0.1 * 1 + 0.3 * 2 + 0.6 * 4)  # 3.1
    assert model.params["w"].dtype == np.float32
    assert model.params["steps"] == 7
    assert model.meta[OUTCOME].weights == pytest.approx({"a": 0.1, "b": 0.3, "c": 0.6})


def test_the_order_of_arrival_does_not_change_a_bit(tmp_path):
    results = [
        result(site, value, samples) for site, value, samples in (("a", 0.1, 7), ("b", 1e6, 11), ("c", -0.3, 13))
    ]
    seen = set()
    for number, order in enumerate(itertools.permutations(results)):
        aggregator = begun(tmp_path / str(number), scheme="dcew")
        for model in order:
            aggregator.accept_model(model)
        seen.add(aggregator.aggregate_model().params["w"].tobytes())
    assert len(seen) == 1


def test_costs_of_the_last_round_count_and_reset_stats_keeps_them(tmp_path):
    """CostW with alpha .5: the size shares are equal; the ratios of costs are 1/.5 = 2 for a and 1 for b."""
    aggregator = begun(tmp_path, scheme="costw", alpha=0.5, beta=0.5)
    for site in "ab":
        aggregator.accept_model(result(site, 1.0, 10, end=evaluation(cost=1.0)))
    assert aggregator.aggregate_model().meta[OUTCOME].weights == pytest.approx({"a": 0.5, "b": 0.5})
    aggregator.reset_stats()
    aggregator.aggregation.open(2, REFERENCE)
    aggregator.accept_model(result("a", 1.0, 10, end=evaluation(cost=0.5)))
    aggregator.accept_model(result("b", 1.0, 10, end=evaluation(cost=1.0)))
    weights = aggregator.aggregate_model().meta[OUTCOME].weights
    assert weights["a"] == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3, abs=1e-4)  # 0.5833


def test_reset_stats_forgets_the_round_under_way(tmp_path):
    aggregator = begun(tmp_path, scheme="fedavg")
    aggregator.accept_model(result("a", 100.0, 10))
    aggregator.reset_stats()
    aggregator.accept_model(result("b", 2.0, 10))
    model = aggregator.aggregate_model()
    np.testing.assert_array_equal(model.params["w"], np.full(3, 2, np.float32))
    assert list(model.meta[OUTCOME].weights) == ["b"]


def test_nobody_accepted_keeps_the_model(tmp_path):
    model = begun(tmp_path).aggregate_model()
    np.testing.assert_array_equal(model.params["w"], REFERENCE["w"])
    assert model.meta[OUTCOME].weights == {}


def test_an_update_that_does_not_fit_is_refused_and_leaves_nothing_behind(tmp_path):
    aggregator = begun(tmp_path, scheme="fedavg")
    bad = result("a", 1.0, 10)
    bad.params = {**bad.params, "w": np.array([1, np.inf, 3], np.float32)}
    with pytest.raises(RefusedUpdate, match="not finite"):
        aggregator.accept_model(bad)
    aggregator.accept_model(result("b", 2.0, 10))
    assert list(aggregator.aggregate_model().meta[OUTCOME].weights) == ["b"]


def test_another_controller_is_told_what_is_missing():
    with pytest.raises(FedwardError, match="works with RoundController only"):
        CostWeightedAggregator().aggregate_model()


@pytest.mark.parametrize(
    "arguments",
    [
        {"scheme": "best"},
        {"alpha": 0.9, "beta": 0.9, "gamma": 0.9},
        {"alpha": -1.0, "beta": 1.0, "gamma": 1.0},
        {"alpha": float("nan")},
        {"cost_source": "hearsay"},
        {"cost_reference": "tomorrow"},
    ],
)
def test_arguments_that_name_no_weighting(arguments):
    with pytest.raises(UsageError):
        CostWeightedAggregator(**arguments)
