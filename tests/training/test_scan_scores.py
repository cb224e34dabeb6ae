"""Scores of one scan: Dice against scikit-learn, the 95 % Hausdorff distance against MONAI and a slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fedward.training.scan_scores import (
    NOT_PREDICTED,
    NOT_TRUE,
    NOWHERE,
    SPACING_UNKNOWN,
    StructureScore,
    average,
    hausdorff95,
    score_scan,
)

SPACING = (8.0, 1.5, 1.25)


def blobs(seed, shape=(6, 24, 20), radius=7.0):
    """Two ellipsoids that overlap, one reaching over the edge of the volume."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    made = []
    for _ in range(2):
        cz, cy, cx = rng.uniform(0, 3), rng.uniform(4, 12), rng.uniform(4, 12)
        made.append(((z - cz) * 3) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < (radius * rng.uniform(0.6, 1)) ** 2)
    return made


def slow_hausdorff95(one, other, spacing):
    """Every surface voxel of one to every one of the other."""

    def surface(mask):
        padded = np.pad(mask, 1)
        inner = np.ones(mask.shape, bool)
        for axis in range(3):
            for step in (-1, 1):
                inner &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
        return np.argwhere(mask & ~inner) * np.array(spacing)

    a, b = surface(one), surface(other)
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    return max(np.percentile(distances.min(axis=1), 95), np.percentile(distances.min(axis=0), 95))


@pytest.mark.parametrize("seed", range(4))
def test_hausdorff_as_monai(seed):
    import torch
    from monai.metrics import compute_hausdorff_distance

    one, other = blobs(seed)
    theirs = compute_hausdorff_distance(
        torch.from_numpy(one)[None, None].float(),
        torch.from_numpy(other)[None, None].float(),
        include_background=True,
        percentile=95,
        spacing=list(SPACING),
    )
    assert hausdorff95(one, other, SPACING) == pytest.approx(theirs.item(), rel=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.tuples(*[st.floats(0.5, 10)] * 3))
def test_hausdorff_as_the_slow_reference(seed, spacing):
    rng = np.random.default_rng(seed)
    one, other = rng.random((2, 3, 6, 5)) < 0.3
    one[0, 0, 0] = other[2, 5, 4] = True
    value = hausdorff95(one, other, spacing)
    assert value == pytest.approx(slow_hausdorff95(one, other, spacing), rel=1e-9)
    assert value == hausdorff95(other, one, spacing)
    assert hausdorff95(one, one, spacing) == 0


def test_hausdorff_by_hand_is_in_millimetres():
    one, other = np.zeros((2, 5, 9, 9), bool)
    one[1, 4, 4] = other[3, 4, 4] = True
    assert hausdorff95(one, other, SPACING) == pytest.approx(16)
    other[3, 4, 4], other[1, 4, 7] = False, True
    assert hausdorff95(one, other, SPACING) == pytest.approx(3 * 1.25)


def test_a_scan_of_one_slice_has_a_distance():
    one, other = (mask[:1] for mask in blobs(3))
    assert hausdorff95(one, other, SPACING) == pytest.approx(slow_hausdorff95(one, other, SPACING))


def test_dice_of_each_structure():
    rng = np.random.default_rng(0)
    predicted, truth = rng.integers(0, 4, (2, 3, 8, 8)).astype(np.uint8)
    scores = score_scan(predicted, truth, SPACING, ("a", "b", "c"))
    expected = f1_score(truth.ravel(), predicted.ravel(), labels=[1, 2, 3], average=None)
    assert [scores[name].dice for name in "abc"] == pytest.approx(expected.tolist(), rel=1e-12)
    assert all(score.missing is None for score in scores.values())


def test_why_there_is_no_distance():
    predicted, truth = np.zeros((2, 2, 4, 4), np.uint8)
    predicted[0, 0, 0], truth[0, 1, 1], predicted[1, 2, 2], truth[1, 2, 2] = 1, 2, 4, 4
    scores = score_scan(predicted, truth, None, ("predicted", "true", "neither", "both"))
    assert scores["predicted"] == StructureScore(0.0, None, NOT_TRUE)
    assert scores["true"] == StructureScore(0.0, None, NOT_PREDICTED)
    assert scores["neither"] == StructureScore(None, None, NOWHERE)
    assert scores["both"] == StructureScore(1.0, None, SPACING_UNKNOWN)
    assert score_scan(predicted, truth, SPACING, "abcd")["d"] == StructureScore(1.0, 0.0, None)


def test_an_average_has_a_distance_where_all_models_have_one():
    found = average([StructureScore(0.8, 2.0, None), StructureScore(0.0, None, NOT_PREDICTED)])
    assert found == StructureScore(0.4, None, NOT_PREDICTED)  # the others must not hide who misses the structure
    found = average([StructureScore(0.8, 2.0, None), StructureScore(0.6, 4.0, None)])
    assert found == StructureScore(pytest.approx(0.7), 3.0, None)
    assert average([StructureScore(None, None, NOWHERE)]) == StructureScore(None, None, NOWHERE)
