"""Resampling about the centre, against plain sums of the triangle filter, and the way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedward.preprocessing.resample import centred, resample_images, resample_labels, way_back

SIDES = st.integers(9, 40)
STEPS = st.floats(0.4, 2.5)


def plain(line, axis):
    """The new values of one line and which of them need nothing from outside it: triangle filter, one sum a pixel."""
    values, whole = [], []
    for i in range(axis.size):
        middle, reach = axis.start + axis.step * (i + 0.5), max(axis.step, 1.0)
        weights = np.maximum(0, 1 - np.abs(np.arange(len(line)) + 0.5 - middle) / reach)
        values.append(weights @ line / (weights.sum() or 1))
        whole.append(middle - reach >= 0 and middle + reach <= len(line))
    return np.array(values), np.array(whole)


@settings(max_examples=25)
@given(height=SIDES, width=SIDES, down=STEPS, right=STEPS, size=st.integers(8, 40), seed=st.integers(0, 99))
def test_images_are_the_plain_sums(height, width, down, right, size, seed):
    image = np.random.default_rng(seed).normal(size=(1, height, width)).astype(np.float32)
    rows, columns = centred(height, down, size), centred(width, right, size)
    result = resample_images(image, rows, columns)
    across = [plain(line, columns) for line in image[0]]
    table = np.array([values for values, _ in across])
    expected = np.array([plain(line, rows)[0] for line in table.T]).T
    inside = np.ix_(plain(table[:, 0], rows)[1], across[0][1])
    np.testing.assert_allclose(result[0][inside], expected[inside], atol=2e-4)


@settings(max_examples=60)
@given(height=SIDES, width=SIDES, step=STEPS, size=st.integers(8, 60))
def test_a_constant_stays_one_inside_and_is_zero_outside(height, width, step, size):
    rows, columns = centred(height, step, size), centred(width, step, size)
    result = resample_images(np.ones((2, height, width), np.float32), rows, columns)
    centres = [axis.start + axis.step * (np.arange(size) + 0.5) for axis in (rows, columns)]
    inside = np.outer(*((c > 1e-5) & (c < side - 1e-5) for c, side in zip(centres, (height, width), strict=True)))
    outside = ~np.outer(*((c > -1e-5) & (c < side + 1e-5) for c, side in zip(centres, (height, width), strict=True)))
    assert result.shape == (2, size, size)
    np.testing.assert_allclose(result[:, inside], 1, atol=1e-5)
    assert not result[:, outside].any()


@settings(max_examples=60)
@given(height=SIDES, width=SIDES, size=st.integers(8, 60), wobble=st.floats(-9e-5, 9e-5))
def test_pixels_that_keep_their_size_keep_their_values(height, width, size, wobble):
    image = np.random.default_rng(height).normal(size=(2, height, width)).astype(np.float32)
    rows, columns = centred(height, 1 + wobble, size), centred(width, 1 + wobble, size)
    cropped = resample_images(image, rows, columns)
    back = resample_images(cropped, way_back(rows, height), way_back(columns, width))
    top, left = max(0, int(rows.start)), max(0, int(columns.start))
    kept = np.zeros((height, width), bool)
    kept[top : top + size, left : left + size] = True
    assert np.array_equal(back[:, kept], image[:, kept])
    assert not back[:, ~kept].any()
    if size >= max(height, width):
        assert kept.all()


def test_a_narrow_line_is_averaged_and_not_lost_where_pixels_grow():
    image = np.zeros((1, 30, 30), np.float32)
    image[0, :, ::3] = 1
    shrunk = resample_images(image, centred(30, 3, 10), centred(30, 3, 10))
    np.testing.assert_allclose(shrunk[0, :, 1:-1], 1 / 3, atol=1e-5)


def test_labels_keep_to_those_there_are_and_the_largest_share_wins():
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 4:16, 4:16], labels[0, 7:13, 7:13] = 2, 7
    result = resample_labels(labels, centred(20, 0.7, 29), centred(20, 0.7, 29))
    assert result.dtype == np.uint8
    assert set(np.unique(result)) == {0, 2, 7}
    for label in (2, 7):
        assert (result == label).sum() * 0.7**2 == pytest.approx((labels == label).sum(), rel=0.06)
    assert not resample_labels(np.zeros((1, 9, 9), np.uint8), centred(9, 2, 16), centred(9, 2, 16)).any()
    full = resample_labels(np.full((1, 9, 9), 3, np.uint8), centred(9, 0.5, 18), centred(9, 0.5, 18))
    assert (full == 3).all()  # a slice without background


@given(height=st.integers(9, 30), size=st.integers(8, 40), step=st.sampled_from([0.5, 2 / 3, 0.75, 1.25, 1.5, 2.0]))
@settings(max_examples=30)
def test_what_is_symmetric_stays_so_though_shares_tie(height, size, step):
    labels = np.zeros((1, height, height), np.uint8)
    labels[0, 3:-3, 2:-2] = 1
    labels[0, 4:-4, 4:-4] = 2
    result = resample_labels(labels, centred(height, step, size), centred(height, step, size))
    assert np.array_equal(result, result[:, ::-1])
    assert np.array_equal(result, result[:, :, ::-1])
