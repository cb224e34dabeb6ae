"""From results to the next global model: guards first, then shares, then the sum."""

from itertools import permutations

import numpy as np
import pytest
from fake_federation import SITES, FakeSite, evaluation, report, start_parameters

from fedward.errors import FedwardError, RefusedUpdate
from fedward.evaluation import Evaluation
from fedward.rounds.aggregation import Aggregation
from fedward.rounds.site_report import check_report
from fedward.rounds.spool import Spool
from fedward.settings import AggregationSettings
from fedward.weighting.schemes import SCHEMES


def make(tmp_path, score=None, **settings):
    return Aggregation(AggregationSettings(**settings), Spool(tmp_path / "spool"), score)


def model(value, tracked=1):
    """Every floating point value is `value`."""
    start = start_parameters()
    return {k: np.full_like(v, value if v.dtype.kind == "f" else tracked) for k, v in start.items()}


def accept(aggregation, site, parameters, **claims):
    aggregation.accept(site, parameters, check_report(report(**claims)))


def two_rounds(aggregation, order):
    """Two rounds of three sites that answer in `order`."""
    parameters = start_parameters()
    for number in (1, 2):
        aggregation.open(number, parameters)
        for site in order:
            own, claim = FakeSite(site).train(parameters, number)
            aggregation.accept(site, own, check_report(claim))
        outcome = aggregation.close()
        parameters = outcome.parameters
    return outcome


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_the_order_of_arrival_does_not_change_a_bit(tmp_path, scheme):
    first, *others = (two_rounds(make(tmp_path, scheme=scheme), order) for order in permutations(SITES))
    assert list(first.weights) == sorted(SITES)
    assert sum(first.weights.values()) == pytest.approx(1, abs=1e-9)
    for other in others:
        assert other.weights == first.weights
        assert other.history.to_dict() == first.history.to_dict()
        for key, value in first.parameters.items():
            assert other.parameters[key].tobytes() == value.tobytes()


def test_fedavg_by_hand(tmp_path):
    aggregation = make(tmp_path, scheme="fedavg")
    aggregation.open(1, start_parameters())
    accept(aggregation, "a", model(1.0, tracked=3), samples=30)
    accept(aggregation, "b", model(5.0, tracked=9), samples=10)
    outcome = aggregation.close()
    assert outcome.weights == {"a": 0.75, "b": 0.25}
    assert outcome.parameters["conv.weight"].tolist() == [[2.0] * 3] * 2
    assert outcome.parameters["conv.weight"].dtype == np.float32
    assert outcome.parameters["bn.num_batches_tracked"] == 9  # never averaged


def test_costw_by_hand(tmp_path):
    """The worked example of docs/methods.md: sizes 100, 50, 50, costs .6, .5, .4 and then .4 three times."""
    aggregation = make(tmp_path, scheme="costw")
    sites = dict(zip("abc", (100, 50, 50), strict=True))
    for number, costs in ((1, (0.6, 0.5, 0.4)), (2, (0.4, 0.4, 0.4))):
        aggregation.open(number, start_parameters())
        for (site, samples), cost in zip(sites.items(), costs, strict=True):
            accept(aggregation, site, model(0.0), samples=samples, end=evaluation(cost, 0.5))
        outcome = aggregation.close()
    assert list(outcome.weights.values()) == pytest.approx([0.45, 0.291667, 0.258333], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("NaN", lambda p: p | {"conv.weight": np.full((2, 3), np.nan, np.float32)}),
        ("shape", lambda p: p | {"conv.weight": np.zeros((3, 2), np.float32)}),
        ("missing", lambda p: {k: v for k, v in p.items() if k != "bn.running_mean"}),
        ("extra", lambda p: p | {"own.layer": np.zeros(1, np.float32)}),
        ("variance", lambda p: p | {"bn.running_var": np.full(2, -1.0, np.float32)}),
        ("overflow", lambda p: p | {"conv.weight": np.full((2, 3), 1e300)}),
        ("text", lambda p: p | {"conv.weight": np.full((2, 3), "1")}),
    ],
)
def test_a_refused_update_leaves_before_any_share_is_computed(tmp_path, name, damage):
    aggregation = make(tmp_path, scheme="dcew")
    aggregation.open(1, start_parameters())
    accept(aggregation, "a", model(1.0), samples=30)
    with pytest.raises(RefusedUpdate):
        accept(aggregation, "b", damage(model(5.0)), samples=10**6)
    accept(aggregation, "c", model(2.0), samples=10)
    outcome = aggregation.close()
    assert outcome.weights == {"a": 0.75, "c": 0.25}
    assert all(set(share) == {"a", "c"} for share in outcome.shares.values())
    assert "b" not in outcome.history.sites
    assert not list(tmp_path.glob("spool/*b*"))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.longdouble, ">f4"])
def test_another_floating_point_type_counts_in_the_precision_of_the_model(tmp_path, dtype):
    aggregation = make(tmp_path, scheme="fedavg")
    aggregation.open(1, start_parameters())
    own = {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in model(0.1).items()}
    accept(aggregation, "a", own)
    weight = aggregation.close().parameters["conv.weight"]
    assert weight.dtype == np.float32
    assert weight == pytest.approx(np.full((2, 3), 0.1), rel=1e-3)


def test_nobody_left_keeps_the_old_model_and_says_so(tmp_path):
    aggregation = make(tmp_path, scheme="dcew")
    start = start_parameters()
    for number, claims in ((1, {}), (2, {"a": 0, "b": 0})):  # nobody accepted; nobody with training images
        aggregation.open(number, start)
        for site, samples in claims.items():
            accept(aggregation, site, model(7.0), samples=samples)
        outcome = aggregation.close()
        assert outcome.weights == {}
        assert any("old global model stays" in warning["message"] for warning in outcome.warnings)
        for key, value in start.items():
            assert np.array_equal(outcome.parameters[key], value)


def test_one_site_left_has_weight_one(tmp_path):
    aggregation = make(tmp_path, scheme="fedpid")
    aggregation.open(1, start_parameters())
    accept(aggregation, "a", model(1.0), samples=3, end=evaluation(0.5, 0.5))
    outcome = aggregation.close()
    assert outcome.weights == {"a": pytest.approx(1)}


def server_score(parameters):
    """A server whose images say: the larger the weights, the smaller the cost and the better the Dice."""
    level = float(parameters["conv.weight"][0, 0])
    return Evaluation(cost=1 / (1 + level), quality=level / 10, images=4, patients=1)


def liars_and_honest(tmp_path, claims, reference="previous_round"):
    aggregation = make(tmp_path, server_score, scheme="dcew", cost_source="server_validation", cost_reference=reference)
    for number, levels in ((1, (1.0, 2.0)), (2, (3.0, 4.0))):
        aggregation.open(number, model(1.0))
        for site, level, claim in zip("ab", levels, claims, strict=True):
            accept(aggregation, site, model(level), samples=10, start=claim, end=claim)
        outcome = aggregation.close()
    return outcome


@pytest.mark.parametrize("reference", ["previous_round", "round_start"])
def test_server_validation_never_takes_the_sites_word(tmp_path, reference):
    silent = liars_and_honest(tmp_path, (None, None), reference)
    loud = liars_and_honest(tmp_path, (evaluation(1e-9, 1.0), evaluation(1e5, 0.0)), reference)
    assert loud.weights == silent.weights
    assert loud.history == silent.history
    known = silent.history.sites["b"]
    assert known.costs[-1] == (2, 1 / 5)
    assert known.quality == (2, 0.4)


def test_round_start_compares_with_the_model_received_in_the_same_round(tmp_path):
    """Dice 0.5 -> 0.6 and 0.5 -> 0.5, equal costs and sizes: the quality ratios are 1.2 and 1."""
    aggregation = make(tmp_path, scheme="dcew", cost_reference="round_start")
    aggregation.open(1, start_parameters())
    for site, quality in (("a", 0.6), ("b", 0.5)):
        accept(aggregation, site, model(1.0), start=evaluation(0.7, 0.5), end=evaluation(0.7, quality))
    outcome = aggregation.close()
    assert outcome.shares["quality_ratio"]["a"] == pytest.approx(1.2 / 2.2, abs=1e-6)
    assert outcome.weights["a"] == pytest.approx(0.5 * 0.5 + 0.25 * 0.5 + 0.25 * 1.2 / 2.2, abs=1e-6)


def test_server_validation_without_images_is_an_error_that_names_the_setting(tmp_path):
    with pytest.raises(FedwardError, match=r"validation:.*fedward\.yml"):
        make(tmp_path, cost_source="server_validation")


def test_a_score_that_nobody_asked_for_is_not_called(tmp_path):
    def never(_):
        raise AssertionError("called")

    aggregation = make(tmp_path, never, scheme="dcew")
    aggregation.open(1, start_parameters())
    accept(aggregation, "a", model(1.0))
    assert aggregation.close().weights == {"a": pytest.approx(1)}


def test_claims_that_cannot_be_true_count_as_missing_with_a_warning(tmp_path):
    aggregation = make(tmp_path, scheme="dcew")
    aggregation.open(1, start_parameters())
    accept(aggregation, "a", model(1.0), end=evaluation(float("nan"), 0.5))
    accept(aggregation, "b", model(1.0), end=evaluation(0.5, 0.5) | {"quality": 7.0})
    outcome = aggregation.close()
    assert outcome.weights == {"a": 0.5, "b": 0.5}
    assert {w["site"] for w in outcome.warnings} >= {"a", "b"}
    assert outcome.history.sites["a"].costs == ()
    assert outcome.history.sites["b"].quality is None


def test_a_round_does_not_see_the_results_of_the_one_before(tmp_path):
    aggregation = make(tmp_path, scheme="fedavg")
    for number, site in ((1, "a"), (2, "b")):
        aggregation.open(number, start_parameters())
        accept(aggregation, site, model(float(number)))
        outcome = aggregation.close()
    assert outcome.weights == {"b": 1.0}
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["b.safetensors"]
