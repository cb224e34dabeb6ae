"""Pooling the evaluations of several sites equals evaluating their images together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.evaluation import Evaluation, pool, pooled_dice

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
