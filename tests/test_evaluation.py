"""Pooling the evaluations of several sites equals evaluating their images together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.evaluation import Evaluation, detail_names, mean_dice, pool, pooled_dice, structure_details

COUNT = st.integers(0, 10**6)


@st.composite
def evaluations(draw):
    tp, fp, fn = draw(COUNT), draw(COUNT), draw(COUNT)
    cost = draw(st.none() | st.floats(0, 100))
    return Evaluation(cost, pooled_dice(tp, fp, fn), draw(st.integers(1, 1000)), draw(st.integers(1, 50)), tp, fp, fn)


def test_by_hand():
    a = Evaluation(0.2, 0.8, images=30, patients=2, true_positive=4, false_positive=1, false_negative=1)
    b = Evaluation(0.6, 0.0, images=10, patients=1, true_positive=0, false_positive=2, false_negative=2)
    both = pool([a, b])
    assert both == Evaluation(pytest.approx(0.3), pytest.approx(8 / 14), 40, 3, 4, 3, 3)
    assert both.iou == pytest.approx(4 / 10)
    assert a.iou == pytest.approx(4 / 6)


def test_dice_and_iou_of_nothing_are_missing():
    assert pooled_dice(0, 0, 0) is None
    assert Evaluation(0.1, None, 5, 1).iou is None
    assert pooled_dice(0, 1, 0) == 0
    assert pooled_dice(7, 0, 0) == 1


def test_pooling_nothing():
    assert pool([]) is None
    assert pool([Evaluation(0.1, 0.2, images=0, patients=0)]) is None


def test_a_metric_without_pixel_counts_is_averaged_over_images():
    both = pool([Evaluation(None, 0.9, 30, 2), Evaluation(None, 0.5, 10, 1), Evaluation(None, None, 99, 1)])
    assert both.quality == pytest.approx(0.8)
    assert both.cost is None
    assert both.images == 139


@pytest.mark.parametrize("cost", [None, float("nan"), float("inf"), -0.1, 1e308])
@pytest.mark.parametrize("quality", [None, float("nan"), float("-inf"), 1.5, -0.5])
def test_values_that_cannot_be_true_are_left_out(cost, quality):
    both = pool([Evaluation(0.5, 0.6, 10, 1), Evaluation(cost, quality, 10**9, 1)])
    assert both.cost == pytest.approx(0.5)
    assert both.quality == pytest.approx(0.6)
    assert pool([Evaluation(cost, quality, 10, 1)]) == Evaluation(None, None, 10, 1)


@given(st.lists(evaluations(), min_size=1, max_size=5))
def test_pooling_in_two_steps_is_pooling_in_one(parts):
    whole, steps = pool(parts), pool([pool(parts[:1]), *parts[1:]])
    assert whole.true_positive == steps.true_positive
    assert whole.quality == steps.quality
    assert (whole.images, whole.patients) == (steps.images, steps.patients)
    dice, iou = whole.quality, whole.iou
    if dice is not None:
        assert dice == pytest.approx(2 * iou / (1 + iou))
    costs = [e.cost for e in parts if e.cost is not None]
    if costs:
        assert min(costs) - 1e-9 <= whole.cost <= max(costs) + 1e-9


def test_limits_of_one_sites_interval_are_not_pooled():
    one = Evaluation(0.5, 0.7, 10, 5, details={"auc.low": 0.5, "auc.high": 0.9, "auc.Mass": 0.7})
    assert pool([one, one]).details == {"auc.Mass": 0.7}
    assert {"auc.low", "auc.high"} <= detail_names()


def of_structures(images=10, cost=0.5, **counts):
    details = structure_details(counts)
    return Evaluation(cost, mean_dice(details), images, 1, details=details)


def test_structures_by_hand():
    """Dice 8/14 and 0 at one site, 4/4 and nothing at the other: together 12/18 and 0."""
    one = of_structures(myocardium=(4, 3, 3), left_ventricle=(0, 2, 0))
    two = of_structures(images=30, myocardium=(2, 0, 0), left_ventricle=(0, 0, 0))
    assert one.details["dice.myocardium"] == pytest.approx(8 / 14)
    assert one.quality == pytest.approx(4 / 14)
    assert "dice.left_ventricle" not in two.details
    assert two.quality == 1
    both = pool([one, two])
    assert both.details == {
        "dice.left_ventricle": 0,
        "dice.myocardium": pytest.approx(12 / 18),
        "false_negative.left_ventricle": 0,
        "false_negative.myocardium": 3,
        "false_positive.left_ventricle": 2,
        "false_positive.myocardium": 3,
        "true_positive.left_ventricle": 0,
        "true_positive.myocardium": 6,
    }
    assert both.quality == pytest.approx(6 / 18)
    assert (both.true_positive, both.iou) == (0, None)


def test_structures_that_nobody_has_have_no_dice():
    both = pool([of_structures(myocardium=(0, 0, 0)), of_structures(myocardium=(0, 0, 0))])
    assert both.quality is None
    assert "dice.myocardium" not in both.details


def test_a_dice_of_a_structure_follows_from_the_counts_and_not_from_the_claim():
    """A site that says more than its counts, and one whose list of what may leave holds its Dice back."""
    honest, details = of_structures(myocardium=(1, 1, 1)), structure_details({"myocardium": (0, 2, 2)})
    liar = Evaluation(0.5, 1.0, 10**6, 1, details={**details, "dice.myocardium": 1.0})
    silent = Evaluation(0.5, None, 10, 1, details=structure_details({"myocardium": (1, 0, 0)}))
    del silent.details["dice.myocardium"]
    assert pool([honest, liar]).quality == pytest.approx(2 / 8)
    assert pool([honest, silent]).details["dice.myocardium"] == pytest.approx(4 / 6)


COUNTS = st.tuples(*[st.integers(0, 10**6)] * 3)


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=5))
def test_pooling_structures_in_two_steps_is_pooling_in_one(sites):
    parts = [of_structures(myocardium=first, left_ventricle=second) for first, second in sites]
    whole, steps = pool(parts), pool([pool(parts[:1]), *parts[1:]])
    assert whole.details == pytest.approx(steps.details)
    assert whole.quality == (None if steps.quality is None else pytest.approx(steps.quality))
    total = [sum(column) for column in zip(*(first for first, _ in sites), strict=True)]
    assert whole.details.get("dice.myocardium") == pooled_dice(*total)


def test_every_detail_that_a_site_may_report_is_known():
    assert {f"{group}.right_ventricle" for group in ("dice", "true_positive", "false_negative")} <= detail_names()
    assert "dice.tumour" not in detail_names()
