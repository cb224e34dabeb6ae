"""Bias field correction on phantoms whose field is known, and on input that cannot be corrected."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from fedward.datasets.phantoms import phantom_volume, to_uint8
from fedward.errors import DataError, FedwardError, UsageError
from fedward.preprocessing.bias_field import correct_bias_field, estimate_bias_field, why_left_as_it_is
from fedward.preprocessing.head import head_mask


def phantom(seed=0, size=64, slices=12):
    """Channels (C, S, H, W) float32 as read from a file, head and true field."""
    image, _, field = phantom_volume(np.random.default_rng(seed), size, slices)
    image = to_uint8(image).astype(np.float32).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(image.transpose(1, 0, 2, 3)), head_mask(image), field


def left_over(estimated, field, head):
    """sd over the head of log(estimated / true), as a share of the sd without correction."""
    return np.log(estimated[head] / field[head]).std() / np.log(field[head]).std()


@pytest.mark.parametrize(("seed", "size", "slices"), [(0, 64, 8), (1, 64, 16), (2, 96, 8), (0, 96, 5), (3, 256, 6)])
def test_n4_removes_the_known_field(seed, size, slices):
    channels, head, field = phantom(seed, size, slices)
    for volume in channels:
        assert left_over(estimate_bias_field(volume, head, "n4"), field, head) < 0.4


@pytest.mark.parametrize("slices", [1, 2, 3, 4])
def test_thin_volumes_are_not_made_worse(slices):
    for seed in range(2):
        channels, head, field = phantom(seed, 96, slices)
        for volume in channels:
            assert left_over(estimate_bias_field(volume, head, "n4"), field, head) < 1.02


def test_tissue_becomes_uniform():
    channels, head, field = phantom(1)
    corrected = correct_bias_field(channels[0], head, "n4")
    assert corrected.dtype == np.float32
    true = channels[0] / field
    mean_error_before = np.abs(np.log(channels[0][head] / true[head])).mean()
    shift = np.log(corrected[head] / true[head]).mean()
    assert np.abs(np.log(corrected[head] / true[head]) - shift).mean() < 0.4 * mean_error_before


def test_the_field_is_positive_bounded_and_free_of_the_unit():
    channels, head, _ = phantom()
    field = estimate_bias_field(channels[1], head, "n4")
    assert field.dtype == np.float32
    assert field.min() > 0
    assert field.max() == field[head].max()
    assert field[head].mean() == pytest.approx(1, abs=1e-5)
    assert estimate_bias_field(channels[1] / 1024, head, "n4") == pytest.approx(field, abs=1e-3)


def test_the_same_input_gives_the_same_bits_and_the_thread_setting_is_restored():
    channels, head, _ = phantom(slices=6)
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    first = estimate_bias_field(channels[0], head, "n4")
    assert np.array_equal(first, estimate_bias_field(channels[0], head, "n4"))
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == before


def test_none_changes_nothing():
    channels, head, _ = phantom(slices=2)
    assert np.array_equal(correct_bias_field(channels[0], head, "none"), channels[0])


@pytest.mark.parametrize("method", ["n4", "n3"])
def test_a_tiny_head_is_left_as_it_is_with_the_reason(method):
    volume = np.full((8, 64, 64), 50, np.float32)
    head = np.zeros((8, 64, 64), bool)
    head[3, 20:26, 20:26] = True
    assert np.array_equal(correct_bias_field(volume, head, method), volume)
    assert "the head is too small" in why_left_as_it_is(head)
    assert why_left_as_it_is(np.ones((8, 64, 64), bool)) is None


def test_a_black_or_constant_channel_stays_finite():
    head = np.ones((6, 48, 48), bool)
    assert not correct_bias_field(np.zeros((6, 48, 48), np.float32), head, "n4").any()
    for slices in (2, 6):
        constant = np.full((slices, 48, 48), 9, np.float32)
        assert np.array_equal(correct_bias_field(constant, head[:slices], "n4"), constant)


@pytest.mark.parametrize("shape", [(1, 20, 20), (1, 1, 1), (6, 24, 300), (6, 300, 10), (6, 300, 2), (5, 16, 16)])
def test_unusual_shapes_stay_finite(shape):
    volume = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    corrected = correct_bias_field(volume, volume > 25, "n4")
    assert corrected.shape == shape
    assert np.isfinite(corrected).all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_values_without_a_logarithm_are_refused(bad):
    volume = np.full((6, 48, 48), 9, np.float32)
    volume[2, 3, 4] = bad
    with pytest.raises(DataError, match="negative, NaN or infinite"):
        estimate_bias_field(volume, np.ones((6, 48, 48), bool), "n4")


def test_wrong_shapes_and_methods_are_refused():
    volume = np.ones((6, 48, 48), np.float32)
    with pytest.raises(DataError, match="must be the same"):
        estimate_bias_field(volume, np.ones((5, 48, 48), bool), "n4")
    with pytest.raises(UsageError, match="'N4' is not known"):
        estimate_bias_field(volume, np.ones((6, 48, 48), bool), "N4")


def test_n3_without_antspyx_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ants", None)  # what Python does for a package that is not there
    channels, head, _ = phantom(slices=6)
    with pytest.raises(FedwardError, match=r"pip install 'fedward\[n3\]'"):
        estimate_bias_field(channels[0], head, "n3")


def test_n3_passes_values_a_logarithm_allows_and_divides(monkeypatch):
    """A stand-in for antspyx that knows the answer: the arguments and the division are ours."""
    channels, head, field = phantom(slices=24)
    seen = {}

    def correct(image, mask, shrink_factor):
        seen.update(lowest=image.values.min(), mask=mask.values, shrink=shrink_factor)
        return SimpleNamespace(numpy=lambda: image.values / field)

    stand_in = SimpleNamespace(
        from_numpy=lambda values: SimpleNamespace(values=values, numpy=lambda: values),
        n3_bias_field_correction2=correct,
    )
    monkeypatch.setitem(sys.modules, "ants", stand_in)
    found = estimate_bias_field(channels[0], head, "n3")
    assert left_over(found, field, head) < 1e-3
    assert seen["lowest"] >= 1
    assert np.array_equal(seen["mask"] > 0, head)
    assert seen["shrink"] == 3  # 24 slices: 8 must be left


def test_n3_removes_the_known_field_where_antspyx_is_installed():
    pytest.importorskip("ants")
    channels, head, field = phantom(1, 64, 16)
    assert left_over(estimate_bias_field(channels[0], head, "n3"), field, head) < 0.5
