"""The head mask and the scaling of intensities, with numbers worked by hand and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedward.datasets.phantoms import phantom_volume
from fedward.preprocessing.head import head_mask
from fedward.preprocessing.intensity import scale_intensity

CHANNEL = arrays(np.float32, (2, 3, 5, 4), elements=st.integers(0, 255).map(float))


def test_head_is_what_exceeds_a_tenth_of_the_bright_level():
    image = np.zeros((1, 2, 10, 10), np.float32)
    image[0, 0, :5] = 200  # bright level of channel 0: 200; of channel 1: 40
    image[0, 1, :5] = 40
    image[0, :, 9, 0] = (30, 6)  # mean of .15 and .15: head
    image[0, :, 9, 1] = (30, 0)  # mean of .15 and 0: air
    mask = head_mask(image)
    assert mask[0, :5].all()
    assert mask[0, 9, 0]
    assert not mask[0, 9, 1]
    assert mask.sum() == 51


def test_head_of_phantoms_is_the_ellipsoid():
    for seed in range(3):
        image, _, _ = phantom_volume(np.random.default_rng(seed), 64, 12)
        truth = image.max(axis=-1) > 0  # the phantom is 0 outside
        found = head_mask(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
        assert (truth & found).sum() > 0.95 * truth.sum()
        assert not (found & ~truth).any()


def test_head_of_black_and_of_nearly_black_volumes():
    image = np.zeros((3, 3, 20, 20), np.float32)
    assert not head_mask(image).any()
    image[1, :, 4, 4] = 9  # less than 1 % of the volume
    assert head_mask(image).sum() == 1


def test_scaling_by_hand():
    image = np.arange(101, dtype=np.float32).reshape(1, 1, 1, 101)
    scaled = scale_intensity(image, np.ones((1, 1, 101), bool), (10, 90))
    assert scaled[0, 0, 0, [0, 10, 30, 50, 90, 100]] == pytest.approx([0, 0, 0.25, 0.5, 1, 1])


def test_air_does_not_move_the_percentiles():
    head = np.zeros((2, 30, 30), bool)
    head[:, :10, :10] = True
    image = np.zeros((2, 1, 30, 30), np.float32)
    image[:, 0][head] = np.linspace(50, 150, 200)
    inside = scale_intensity(image[:, :, :10, :10].copy(), head[:, :10, :10])
    assert np.array_equal(scale_intensity(image, head)[:, :, :10, :10], inside)


def test_constant_channels_and_volumes_without_a_head_become_zeros():
    image = np.stack([np.full((2, 5, 5), 7), np.arange(50).reshape(2, 5, 5)], axis=1).astype(np.float32)
    scaled = scale_intensity(image, np.ones((2, 5, 5), bool))
    assert not scaled[:, 0].any()
    assert scaled[:, 1].max() == 1
    assert not scale_intensity(image, np.zeros((2, 5, 5), bool)).any()


@settings(max_examples=60)
@given(image=CHANNEL, gain=st.sampled_from([0.25, 2.0, 8.0]), offset=st.integers(0, 100))
def test_scaling_is_bounded_ordered_and_free_of_the_unit(image, gain, offset):
    head = np.ones((2, 5, 4), bool)
    scaled = scale_intensity(image, head)
    assert np.isfinite(scaled).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    for channel in range(3):
        order = np.argsort(image[:, channel], axis=None)
        assert (np.diff(scaled[:, channel].ravel()[order]) >= 0).all()
    assert scale_intensity(image * np.float32(gain) + offset, head) == pytest.approx(scaled, abs=1e-4)
