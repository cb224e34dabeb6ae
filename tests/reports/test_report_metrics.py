import itertools

import pytest
from fake_run import UPDATE_BYTES, fake_records
from hypothesis import given
from hypothesis import strategies as st

from fedward.errors import FedwardError
from fedward.reports.metrics import (
    best_validation,
    bytes_received,
    final_metrics,
    mean_loss,
    paired_bootstrap,
    representative_patients,
    rounds_to_reach,
)


def entry(dice: float, institution: str) -> dict:
    return {"institution": institution, "dice": dice, "iou": dice / (2 - dice), "images": 5}


def curve(*dice: float | None) -> list[dict]:
    """Records whose received model has these pooled Dice, the first being the model before training."""
    return [
        {"kind": "training", "round": n, "answers": {}, "received": {"quality": d, "images": 1}}
        for n, d in enumerate(dice, start=1)
    ]


def test_final_metrics_by_hand():
    model = {
        "round": 4,
        "evaluation": {"true_positive": 60, "false_positive": 20, "false_negative": 20, "images": 20, "patients": 4},
        "per_patient": {"a": entry(0.9, "CS"), "b": entry(0.5, "CS"), "c": entry(0.6, "DU"), "d": entry(1.0, "HT")},
    }
    metrics = final_metrics(model)
    assert metrics.iou == pytest.approx(0.6)
    assert metrics.dice == pytest.approx(0.75)
    assert metrics.mean == pytest.approx(0.75)
    assert metrics.median == pytest.approx(0.75)
    assert metrics.worst == ("DU", 0.6, 1)
    assert (metrics.round, metrics.patients, metrics.images) == (4, 4, 20)


def test_final_metrics_of_nothing_are_absent_not_zero():
    metrics = final_metrics({"evaluation": {}, "per_patient": {}})
    assert (metrics.iou, metrics.dice, metrics.mean, metrics.median, metrics.worst) == (None,) * 5
    assert metrics.patients == 0


def test_a_patient_without_a_finite_dice_is_left_out():
    model = {"evaluation": {}, "per_patient": {"a": entry(0.4, "CS"), "b": {"dice": float("nan"), "institution": "DU"}}}
    assert final_metrics(model).mean == pytest.approx(0.4)
    assert final_metrics(model).patients == 1


def test_worst_hospital_tie_goes_to_the_first_name():
    model = {"evaluation": {}, "per_patient": {"a": entry(0.4, "HT"), "b": entry(0.4, "CS")}}
    assert final_metrics(model).worst == ("CS", 0.4, 1)


def test_bytes_count_every_answer_of_every_training_round():
    # 25 rounds of 10 hospitals, one of them silent in round 3; the validation round sends no model.
    assert bytes_received(fake_records()) == (25 * 10 - 1) * UPDATE_BYTES


def test_mean_loss_is_weighted_by_images_and_skips_what_is_missing():
    answers = {"a": {"loss": 1.0, "samples": 30}, "b": {"loss": 2.0, "samples": 10}, "c": {"loss": None, "samples": 99}}
    assert mean_loss({"answers": answers}) == pytest.approx(1.25)
    assert mean_loss({"answers": {}}) is None


def test_rounds_to_reach_counts_completed_rounds():
    records = curve(0.1, 0.5, 0.7, 0.6)
    assert rounds_to_reach(records, 0.1) == 0
    assert rounds_to_reach(records, 0.55) == 2
    assert rounds_to_reach(records, 0.71) is None
    assert best_validation(records) == (2, 0.7)


def test_best_validation_prefers_the_earlier_of_equals_and_ignores_missing_values():
    assert best_validation(curve(None, 0.7, 0.7)) == (1, 0.7)
    assert best_validation(curve(None)) is None


def test_representative_patients():
    dice = {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.7, "e": 0.3}
    assert representative_patients(dice) == [("best", "b"), ("median", "c"), ("worst", "a")]
    assert representative_patients({"a": 0.5}) == [("best", "a")]
    assert representative_patients({}) == []


def test_bootstrap_agrees_with_all_draws_of_three_patients():
    a, b = {"x": 0.9, "y": 0.5, "z": 0.4}, {"x": 0.6, "y": 0.5, "z": 0.5}
    # All 27 equally likely draws of the differences .3, 0, -.1, sorted.
    means = sorted(sum(draw) / 3 for draw in itertools.product((0.3, 0.0, -0.1), repeat=3))
    difference, low, high = paired_bootstrap(a, b, draws=40_000)
    assert difference == pytest.approx(0.2 / 3)
    assert low == pytest.approx(means[0])  # 1 of 27 is 3.7 %
    assert high == pytest.approx(means[-1])


def test_bootstrap_is_paired():
    # The patients differ much, the methods by the same .02 in each: the interval is that point.
    a = {str(n): n / 10 + 0.02 for n in range(10)}
    b = {str(n): n / 10 for n in range(10)}
    assert paired_bootstrap(a, b) == pytest.approx((0.02, 0.02, 0.02))


unit = st.floats(0, 1)


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.tuples(unit, unit), min_size=1, max_size=12))
def test_bootstrap_properties(values):
    a = {k: v[0] for k, v in values.items()}
    b = {k: v[1] for k, v in values.items()}
    difference, low, high = paired_bootstrap(a, b, draws=200)
    assert low <= high
    assert -1 <= low <= 1
    back = paired_bootstrap(b, a, draws=200)
    assert back == pytest.approx((-difference, -high, -low), abs=1e-12)
    shuffled = dict(reversed(a.items()))
    assert paired_bootstrap(shuffled, b, draws=200) == (difference, low, high)


@pytest.mark.parametrize(("a", "b"), [({}, {}), ({"x": 1.0}, {"y": 1.0}), ({"x": 1.0, "y": 1.0}, {"x": 1.0})])
def test_bootstrap_refuses_other_patients(a, b):
    with pytest.raises(FedwardError, match="same test patients"):
        paired_bootstrap(a, b)
