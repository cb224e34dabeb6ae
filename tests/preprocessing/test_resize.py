"""Padding to a square and resizing in plane."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedward.preprocessing.resize import pad_to_square, resize_images, resize_masks, restore_size


def test_padding_keeps_the_content_in_the_middle():
    image = np.ones((1, 1, 2, 5), np.float32)
    padded = pad_to_square(image)
    assert padded.shape == (1, 1, 5, 5)
    assert padded[0, 0, :, 0].tolist() == [0, 1, 1, 0, 0]
    assert pad_to_square(np.ones((1, 4, 3), bool)).shape == (1, 4, 4)


def test_same_size_changes_nothing():
    rng = np.random.default_rng(0)
    image, mask = rng.random((2, 3, 16, 16), np.float32), rng.random((2, 16, 16)) > 0.5
    assert np.array_equal(resize_images(image, 16), image)
    assert np.array_equal(resize_masks(mask, 16), mask)


def test_a_mask_pixel_needs_more_than_half_of_its_area():
    mask = np.zeros((1, 4, 4), bool)
    mask[0, :2, :2] = [[1, 1], [1, 0]]  # 3 of 4
    mask[0, :2, 2:] = [[1, 0], [1, 0]]  # 2 of 4
    mask[0, 2:, :2] = [[0, 0], [0, 1]]  # 1 of 4
    mask[0, 2:, 2:] = True
    assert resize_masks(mask, 2).tolist() == [[[True, False], [False, True]]]


def test_images_are_antialiased():
    image = np.zeros((1, 1, 64, 64), np.float32)
    image[..., ::2] = 1  # stripes finer than the new pixels: their mean, not every fourth pixel
    assert resize_images(image, 16)[0, 0, 4:12, 4:12] == pytest.approx(0.5, abs=0.1)


@settings(max_examples=25)
@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(16, 48), seed=st.integers(0, 9))
def test_shapes_range_and_way_back(height, width, size, seed):
    rng = np.random.default_rng(seed)
    image = rng.random((2, 3, height, width), np.float32)
    mask = rng.random((2, height, width)) > 0.5
    resized = resize_images(image, size)
    assert resized.shape == (2, 3, size, size)
    assert resized.dtype == np.float32
    assert resized.min() >= 0
    assert resized.max() <= 1
    assert resize_masks(mask, size).shape == (2, size, size)
    back = restore_size(resize_masks(mask, size).astype(np.float32), height, width)
    assert back.shape == (2, height, width)
    if size == max(height, width):
        assert np.array_equal(back > 0.5, mask)


def test_a_lesion_keeps_its_place_there_and_back():
    mask = np.zeros((1, 50, 80), bool)
    mask[0, 10:30, 40:70] = True
    back = restore_size(resize_masks(mask, 40).astype(np.float32), 50, 80) > 0.5
    assert (back & mask).sum() / (back | mask).sum() > 0.85  # the padding of 15 pixels is no whole number of new ones
