"""AUC per finding and its bootstrap by patient, against scikit-learn on resamples written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fedward.errors import FedwardError
from fedward.seeds import derive_seed
from fedward.training.auc import auc_difference, auc_intervals, auc_per_finding, bootstrap_auc, sorted_auc


def sample(images=120, findings=3, patients=30, seed=0, signal=1.0, steps=None):
    """scores, labels with unknown ones, patients; `steps` rounds the scores so that many are equal."""
    random = np.random.default_rng(seed)
    labels = (random.random((images, findings)) < 0.3).astype(float)
    scores = random.normal(size=labels.shape) + signal * labels
    if steps:
        scores = np.round(scores * steps) / steps
    labels[random.random(labels.shape) < 0.1] = np.nan
    return scores, labels, [f"patient-{k}" for k in random.integers(patients, size=images)]


def slow_auc(scores, labels):
    """How often a positive scores higher than a negative; half for equal scores."""
    ups, downs = scores[labels == 1], scores[labels == 0]
    if not len(ups) or not len(downs):
        return math.nan
    return float(np.mean([(u > d) + 0.5 * (u == d) for u in ups for d in downs]))


def test_values_and_counts():
    scores, labels, _ = sample(steps=2)
    found = auc_per_finding(scores, labels)
    assert found.values == pytest.approx([slow_auc(scores[:, c], labels[:, c]) for c in range(3)])
    assert found.positives.tolist() == [(labels[:, c] == 1).sum() for c in range(3)]
    assert found.negatives.tolist() == [(labels[:, c] == 0).sum() for c in range(3)]
    assert found.mean == pytest.approx(np.mean(found.values))


def test_a_finding_with_one_class_is_blank_and_left_out_of_the_mean():
    labels = np.array([[1, 1, 0, np.nan], [0, 1, 0, np.nan], [0, np.nan, 0, np.nan]])
    scores = np.array([[0.9] * 4, [0.1] * 4, [0.95] * 4])
    found = auc_per_finding(scores, labels)
    assert found.values == pytest.approx([0.5, np.nan, np.nan, np.nan], nan_ok=True)
    assert found.positives.tolist() == [1, 2, 0, 0]
    assert found.negatives.tolist() == [2, 0, 3, 0]
    assert found.mean == 0.5
    assert auc_per_finding(scores[:, 1:], labels[:, 1:]).mean is None
    assert auc_per_finding(np.empty((0, 2)), np.empty((0, 2))).mean is None


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 4)), min_size=1, max_size=30),
)
def test_weighted_auc_equals_scikit_learn_on_images_written_out(rows):
    rows = sorted(rows, key=lambda row: row[0])
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = sorted_auc(scores.astype(float), positive.astype(bool), weights[None].astype(float))[0]
    written, classes = np.repeat(scores, weights), np.repeat(positive, weights)
    if len(set(classes.tolist())) < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(classes, written), abs=1e-12)


@pytest.mark.parametrize("steps", [None, 1])
def test_each_draw_equals_scikit_learn_on_the_patients_written_out(steps):
    scores, labels, patients = sample(images=40, patients=9, steps=steps)
    draws = 70  # more than are computed at once
    found = bootstrap_auc(scores, labels, patients, seed=5, draws=draws)
    names = sorted(set(patients))
    generator = np.random.default_rng(derive_seed(5, "bootstrap"))
    picked = [generator.integers(len(names), size=(count, len(names))) for count in (64, 6)]
    for row, chosen in zip(found, np.concatenate(picked), strict=True):
        images = [i for k in chosen for i in range(len(patients)) if patients[i] == names[k]]
        for c in range(3):
            assert row[c] == pytest.approx(slow_auc(scores[images, c], labels[images, c]), abs=1e-12, nan_ok=True)


def test_draws_are_repeatable_and_do_not_depend_on_the_order_of_rows():
    scores, labels, patients = sample(steps=3)
    first = bootstrap_auc(scores, labels, patients, seed=1, draws=50)
    order = np.random.default_rng(0).permutation(len(patients))
    moved = bootstrap_auc(scores[order], labels[order], [patients[i] for i in order], seed=1, draws=50)
    assert np.array_equal(first, moved, equal_nan=True)
    assert not np.array_equal(first, bootstrap_auc(scores, labels, patients, seed=2, draws=50), equal_nan=True)


def test_intervals_hold_the_value_and_shrink_with_more_patients():
    few, many = (auc_intervals(*sample(images=n, patients=n, seed=3), seed=0, draws=300) for n in (100, 1600))
    for found in (few, many):
        for interval in (found.mean, *found.findings):
            assert interval.low < interval.value < interval.high
    assert many.mean.high - many.mean.low < 0.5 * (few.mean.high - few.mean.low)


def test_images_of_one_patient_count_as_one_witness():
    """Four copies of every image tell nothing new: the interval stays, though it would shrink if images were drawn."""
    scores, labels, _ = sample(images=60)
    patients = [str(i) for i in range(60)]
    once = auc_intervals(scores, labels, patients, seed=0, draws=400)
    copies = auc_intervals(np.tile(scores, (4, 1)), np.tile(labels, (4, 1)), patients * 4, seed=0, draws=400)
    assert copies.mean == pytest.approx(once.mean)


def test_draws_that_lose_a_class_are_skipped_for_that_finding_alone():
    scores, labels, _ = sample(images=40, findings=2)
    labels[:, 1] = 0
    labels[7, 1] = 1  # one patient alone: missing from about 37 % of the draws
    found = bootstrap_auc(scores, labels, [str(i) for i in range(40)], seed=0, draws=200)
    assert not np.isnan(found[:, 0]).any()
    assert 50 < np.isnan(found[:, 1]).sum() < 100
    intervals = auc_intervals(scores, labels, [str(i) for i in range(40)], seed=0, draws=200)
    assert np.isfinite(intervals.findings[1]).all()
    assert np.isfinite(intervals.mean).all()


def test_a_finding_with_one_class_has_no_interval():
    scores, labels, patients = sample(findings=2)
    labels[:, 1] = 1
    found = auc_intervals(scores, labels, patients, seed=0, draws=20)
    assert np.isnan(found.findings[1]).all()
    assert found.mean == pytest.approx(found.findings[0])
    assert np.isnan(auc_intervals(scores[:, 1:], labels[:, 1:], patients, seed=0, draws=20).mean).all()


def test_a_paired_difference_sees_what_two_intervals_cannot():
    scores, labels, patients = sample(images=300, patients=300, seed=1)
    better = scores + 0.1 * np.nan_to_num(labels)
    difference = auc_difference([better], [scores], labels, patients, seed=0, draws=300)
    assert difference.value == pytest.approx(
        auc_per_finding(better, labels).mean - auc_per_finding(scores, labels).mean
    )
    assert 0 < difference.low < difference.value < difference.high
    one, other = (auc_intervals(s, labels, patients, seed=0, draws=300).mean for s in (better, scores))
    assert one.low < other.high  # they overlap


def test_equal_models_differ_by_nothing_and_sides_change_the_sign():
    scores, labels, patients = sample()
    assert auc_difference([scores], [scores], labels, patients, seed=0, draws=20) == (0, 0, 0)
    other = sample(seed=9)[0]
    there = auc_difference([scores], [other], labels, patients, seed=0, draws=50)
    back = auc_difference([other], [scores], labels, patients, seed=0, draws=50)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_several_models_on_a_side_are_averaged():
    scores, labels, patients = sample()
    other, third = sample(seed=9)[0], sample(seed=10)[0]
    found = auc_difference([scores, other], [third], labels, patients, seed=0, draws=50)
    single = [auc_difference([s], [third], labels, patients, seed=0, draws=50).value for s in (scores, other)]
    assert found.value == pytest.approx(np.mean(single))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.full((4, 2), np.nan)}, "not finite"),
        ({"scores": np.zeros((4, 3))}, "same two dimensions"),
        ({"labels": np.full((4, 2), 2.0)}, "0, 1 or NaN"),
        ({"patients": ["a"]}, "one an image"),
    ],
)
def test_what_cannot_be_judged_is_an_error(change, message):
    given = {"scores": np.zeros((4, 2)), "labels": np.zeros((4, 2)), "patients": list("abcd"), **change}
    with pytest.raises(FedwardError, match=message):
        auc_intervals(**given, seed=0, draws=5)


def test_a_side_without_a_model_is_an_error():
    scores, labels, patients = sample()
    with pytest.raises(FedwardError, match="at least one model"):
        auc_difference([scores], [], labels, patients, seed=0)
