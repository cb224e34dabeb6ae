"""A scan on its way to the network and back: geometry in mm, intensities, lost spacing, bad input."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedward.datasets.scan import Scan, ScanVolume
from fedward.errors import DataError, UsageError
from fedward.preprocessing.scan import SCAN_DEFAULTS, prepare_scan, restore_labels, z_score
from fedward.preprocessing.settings import PreprocessingSettings

SCAN = Scan("patient001", "ED", Path("p/patient001_frame01.nii.gz"), Path("p/patient001_frame01_gt.nii.gz"), "NOR")
SPACING = st.floats(0.8, 2.2)


def wanted(size=64, spacing=None, percentiles=(0.0, 100.0)):
    return PreprocessingSettings("none", percentiles, size, "all", spacing)


def distance_mm(shape, spacing, middle):
    """(H, W): how far in mm each pixel's centre is from the picture's centre plus `middle` (y, x)."""
    y, x = (
        (np.arange(side) + 0.5 - side / 2) * step - shift
        for side, step, shift in zip(shape[1:], spacing[1:], middle, strict=True)
    )
    return np.hypot(*np.meshgrid(y, x, indexing="ij"))


def discs(shape, spacing, middle, radius):
    """Label 2 within label 1 as discs in mm in every slice, and a blob about their centre."""
    distance = distance_mm(shape, spacing, middle)
    labels = np.zeros(shape, np.uint8)
    labels[:, distance < radius], labels[:, distance < radius / 2] = 1, 2
    blob = np.exp(-(distance**2) / (2 * (radius / 4) ** 2)) * 100
    return ScanVolume(np.broadcast_to(blob, shape).astype(np.float32), labels, spacing, True)


def centre_of_mass(plane, spacing):
    """(y, x) in mm from the picture's centre."""
    rows, columns = np.indices(plane.shape)
    height, width = plane.shape
    y, x = (np.average(at, weights=plane) for at in (rows, columns))
    return (y + 0.5 - height / 2) * spacing[1], (x + 0.5 - width / 2) * spacing[2]


def dice(one, other):
    return 2 * np.sum(one & other) / (np.sum(one) + np.sum(other))


@settings(max_examples=30)
@given(
    height=st.integers(70, 111),
    width=st.integers(70, 111),
    y=SPACING,
    x=SPACING,
    new=st.floats(0.9, 2.0),
    down=st.floats(-8, 8),
    right=st.floats(-8, 8),
)
def test_structures_keep_their_place_in_mm_and_come_back(height, width, y, x, new, down, right):
    spacing = (8.0, y, x)
    volume = discs((2, height, width), spacing, (down, right), radius=20.0)
    prepared = prepare_scan(volume, SCAN, wanted(64, new))
    assert prepared.image.shape == prepared.labels.shape == (2, 64, 64)
    assert prepared.spacing == (8.0, new, new)
    restored = restore_labels(prepared.labels, volume, SCAN, wanted(64, new))
    assert restored.dtype == np.uint8
    assert restored.shape == volume.labels.shape
    # Pixels of one size are only cropped, at whole pixels: the centre may then move by half a pixel.
    slack = 0.5 * new if min(abs(new / y - 1), abs(new / x - 1)) < 2e-4 else 0.0
    blob = prepared.image[0].astype(np.float64)
    blob = np.where(distance_mm(prepared.image.shape, prepared.spacing, (down, right)) < 20, blob - blob.min(), 0)
    np.testing.assert_allclose(centre_of_mass(blob, prepared.spacing), (down, right), atol=0.05 + slack)
    expected = distance_mm(prepared.labels.shape, prepared.spacing, (down, right)) < 20
    assert dice(prepared.labels[0] > 0, expected) > 0.93
    area = np.pi * 20**2
    assert (prepared.labels[0] > 0).sum() * new * new == pytest.approx(area, rel=0.1)
    for label in (1, 2):
        assert dice(restored == label, volume.labels == label) > 0.9
    assert dice(restored > 0, volume.labels > 0) > 0.95


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 33, 81), 48), ((3, 120, 40), 64), ((2, 20, 21), 64), ((2, 64, 64), 64)]
)
def test_without_a_new_spacing_pixels_are_kept_cropped_or_padded(shape, size):
    volume = discs(shape, (7.0, 1.5, 1.4), (0, 0), 12.0)
    prepared = prepare_scan(volume, SCAN, wanted(size))
    assert prepared.image.shape == prepared.labels.shape == (shape[0], size, size)
    assert prepared.spacing == (7.0, 1.5, 1.4)
    restored = restore_labels(prepared.labels, volume, SCAN, wanted(size))
    top, left = max(0, (shape[1] - size) // 2), max(0, (shape[2] - size) // 2)
    inside = (slice(None), slice(top, top + size), slice(left, left + size))
    assert np.array_equal(restored[inside], volume.labels[inside])
    assert restored.sum() == volume.labels[inside].sum()
    outside = prepare_scan(discs(shape, (7.0, 1.5, 1.4), (0, 0), 12.0), SCAN, wanted(1024)).image[:, 0, 0]
    assert not outside.any()  # padding is zero, the mean


def test_the_volume_is_z_scored_before_it_is_cropped():
    volume = discs((4, 90, 100), (8.0, 1.5, 1.5), (0, 0), 30.0)
    whole, contrast = z_score(volume.image)
    assert contrast
    assert whole.dtype == np.float32
    assert whole.mean(dtype=np.float64) == pytest.approx(0, abs=1e-5)
    assert whole.std(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    prepared = prepare_scan(volume, SCAN, wanted(40, percentiles=(1, 99)))
    np.testing.assert_allclose(prepared.image, whole[:, 25:65, 30:70].astype(np.float16))
    low, high = np.percentile(volume.image.astype(np.float64), (1, 99))
    clipped = np.clip(volume.image, low, high)
    np.testing.assert_allclose(whole, (clipped - clipped.mean()) / clipped.std(), atol=1e-4)


@settings(max_examples=60)
@given(scale=st.floats(-30, 30), shift=st.floats(-1e4, 1e4), outlier=st.booleans(), new=st.floats(0.9, 2.0))
def test_float16_is_finite_whatever_the_unit(scale, shift, outlier, new):
    image = np.random.default_rng(1).random((2, 24, 24)) * 10**scale + shift
    if outlier:
        image[0, 0, 0] = 3e38
    volume = ScanVolume(image.astype(np.float32), None, (8.0, 1.5, 1.5), True)
    prepared = prepare_scan(volume, SCAN, wanted(16, new))
    assert prepared.image.dtype == np.float16
    assert np.isfinite(prepared.image).all()
    assert prepared.labels is None


def test_extremes_of_float32_do_not_overflow():
    top = np.finfo(np.float32).max
    image = np.where(np.arange(512).reshape(2, 16, 16) % 2, top, -top).astype(np.float32)
    prepared = prepare_scan(ScanVolume(image, None, (8.0, 1.5, 1.5), True), SCAN, wanted(16))
    np.testing.assert_allclose(np.abs(prepared.image), 1, atol=1e-3)


def test_slices_without_contrast_are_kept_and_a_volume_without_is_told():
    image = np.random.default_rng(2).random((3, 32, 32)).astype(np.float32)
    image[1] = 0.25
    volume = ScanVolume(image, None, (8.0, 1.5, 1.5), True)
    prepared = prepare_scan(volume, SCAN, wanted(32))
    assert np.ptp(prepared.image[1]) == 0
    assert not prepared.notes
    flat = prepare_scan(ScanVolume(np.full((3, 32, 32), 0.1, np.float32), None, (8, 1.5, 1.5), True), SCAN, wanted(32))
    assert not flat.image.any()
    assert "no contrast between percentiles 0 and 100" in flat.notes[0]


def test_lost_spacing_is_assumed_to_be_one_mm_and_told_only_where_it_matters():
    known = discs((2, 60, 60), (1.0, 1.0, 1.0), (0, 0), 20.0)
    lost = ScanVolume(known.image, known.labels, known.spacing, False)
    prepared = prepare_scan(lost, SCAN, wanted(48, 1.25))
    assert not prepared.spacing_known
    assert prepared.spacing == (1.0, 1.25, 1.25)
    assert "spacing is lost: pixels of 1 mm are assumed" in prepared.notes[0]
    assert np.array_equal(prepared.image, prepare_scan(known, SCAN, wanted(48, 1.25)).image)
    assert not prepare_scan(lost, SCAN, wanted(48)).notes
    assert prepare_scan(known, SCAN, wanted(48, 1.25)).spacing_known


def test_defaults_are_settings_that_scans_have():
    prepared = prepare_scan(discs((1, 256, 216), (10.0, 1.4, 1.6), (0, 0), 30.0), SCAN, SCAN_DEFAULTS)
    assert prepared.image.shape == (1, 192, 192)
    assert prepared.spacing == (10.0, 1.25, 1.25)


@pytest.mark.parametrize("change", [{"bias_field": "n4"}, {"channels": "flair"}])
def test_settings_of_brain_mri_are_refused(change):
    volume = discs((1, 32, 32), (8.0, 1.5, 1.5), (0, 0), 12.0)
    with pytest.raises(UsageError, match="set channels all and bias_field none"):
        prepare_scan(volume, SCAN, PreprocessingSettings(**({"bias_field": "none"} | change)))


@pytest.mark.parametrize(
    ("image", "labels", "spacing", "said"),
    [
        (
            np.zeros((4, 16, 16, 16)),
            None,
            (8, 1, 1),
            r"frame01\.nii\.gz: expected an image of \(slices, height, width\)",
        ),
        (np.zeros((0, 16, 16)), None, (8, 1, 1), "expected an image"),
        (np.full((2, 16, 16), np.nan), None, (8, 1, 1), "NaN or infinite voxels.*check-data"),
        (np.zeros((2, 16, 16)), np.zeros((2, 16, 15), np.uint8), (8, 1, 1), r"_gt\.nii\.gz: labels .* differ in shape"),
        (np.zeros((2, 16, 16)), None, (8, 0.0, 1), "spacing .* above 0"),
        (np.zeros((2, 16, 16)), None, (8, 1, np.nan), "spacing .* above 0"),
        (np.zeros((2, 16, 7)), None, (8, 1, 1), "16 x 7 pixels of 1 x 1 mm, .*fewer than 8"),
        (
            np.zeros((2, 160, 160)),
            None,
            (8, 0.001, 0.001),
            "1 mm when resampled, have fewer than 8 pixels.*check its spac",
        ),
    ],
)
def test_volumes_that_cannot_be_used_are_named(image, labels, spacing, said):
    volume = ScanVolume(image.astype(np.float32), labels, spacing, True)
    with pytest.raises(DataError, match=said):
        prepare_scan(volume, SCAN, wanted(16, 1.0))


def test_labels_of_another_scan_are_not_restored():
    volume = discs((2, 40, 40), (8.0, 1.5, 1.5), (0, 0), 12.0)
    with pytest.raises(DataError, match=r"\(3, 16, 16\) are not of this scan: expected \(2, 16, 16\)"):
        restore_labels(np.zeros((3, 16, 16), np.uint8), volume, SCAN, wanted(16))
