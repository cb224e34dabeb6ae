"""Phantoms of the heart: a set that the reader of ACDC takes, with a heart that behaves like one."""

from collections import Counter

import numpy as np
import pytest

from fedward.datasets import acdc
from fedward.datasets.registry import scan_data_set
from fedward.datasets.scan_phantoms import (
    HEARTS,
    LEFT,
    RIGHT,
    WALL,
    HeartScanner,
    heart_scanner,
    phantom_heart,
    write_acdc,
)
from fedward.errors import UsageError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hearts")
    counts = write_acdc(folder, patients=11, slices=5, size=40, institutions=3, seed=4, workers=1, quiet=True)
    assert counts == {"DCM": 3, "HCM": 2, "MINF": 2, "NOR": 2, "RV": 2}
    return folder


def test_the_set_passes_the_check_and_is_sorted_by_disease(root):
    assert scan_data_set("acdc").check(root, 1, True).problems == ()
    scans = acdc.find_scans(root)
    groups = [scan.group for scan in scans if scan.frame == "ED"]
    assert groups == sorted(groups)
    assert Counter(scan.frame for scan in scans) == {"ED": 11, "ES": 11}


def test_one_patient_in_ten_has_the_end_of_diastole_last(root):
    scans = acdc.find_scans(root)
    later = {s.patient for s in scans if s.frame == "ED" and not s.image.name.endswith("frame01.nii.gz")}
    assert later == {"patient010"}
    ed, es = (s.image.name[16:18] for s in scans if s.patient == "patient010")
    assert ed > es


def test_the_heart_contracts_and_tapers_in_every_scan(root):
    """As read back: in all of them the apex is first, however the file's axes point."""
    volumes = {(s.patient, s.frame): acdc.read_scan(s) for s in acdc.find_scans(root)}
    for (patient, frame), volume in volumes.items():
        assert volume.image.shape == (5, 40, 45)
        assert set(np.unique(volume.labels).tolist()) == {0, RIGHT, WALL, LEFT}
        for structure in (RIGHT, LEFT):
            area = (volume.labels == structure).sum(axis=(1, 2))
            assert area[0] < area[-1]
            x = [np.argwhere(volume.labels == part)[:, 2].mean() for part in (RIGHT, LEFT)]
            assert x[0] < x[1]  # the right ventricle lies to the patient's right
            if frame == "ED":
                systole = volumes[patient, "ES"].labels
                assert (systole == structure).sum() < area.sum()
        blood, wall = (np.median(volume.image[volume.labels == part]) for part in (LEFT, WALL))
        assert blood > 1.5 * wall


def test_institutions_differ_in_spacing_contrast_and_axes(root):
    spacings = {acdc.read_scan(scan).spacing for scan in acdc.find_scans(root)}
    assert len(spacings) == 3
    for z, y, x in spacings:
        assert 5 <= z <= 10
        assert 1.2 <= y == x <= 1.8
    scanners = [heart_scanner(code, 4) for code in ("PA", "PB", "PC", "PD", "PE", "PF")]
    assert len({scanner.axes for scanner in scanners}) > 1
    assert len({scanner.contrast for scanner in scanners}) == 6


def fraction(disease, seed=1):
    """Share of the left ventricle's voxels that systole leaves."""
    _, labels = phantom_heart(np.random.default_rng(seed), HEARTS[disease], 64, 6)
    return (labels[1] == LEFT).sum() / (labels[0] == LEFT).sum()


def test_diseases_differ_as_their_hearts_do():
    assert fraction("HCM") < fraction("NOR") < fraction("DCM")
    size = {}
    for disease, heart in HEARTS.items():
        _, labels = phantom_heart(np.random.default_rng(1), heart, 64, 6)
        size[disease] = np.bincount(labels[0].ravel(), minlength=4)
    assert max(size, key=lambda d: size[d][LEFT]) == "DCM"
    assert max(size, key=lambda d: size[d][WALL]) == "HCM"
    assert max(size, key=lambda d: size[d][RIGHT]) == "RV"


@pytest.mark.parametrize("size", [16, 40, 96])
def test_the_heart_lies_within_the_image(size):
    for disease, heart in HEARTS.items():
        _, labels = phantom_heart(np.random.default_rng(2), heart, size, 4, HeartScanner(pixel=1.8))
        edge = labels.copy()
        edge[:, :, 1:-1, 1:-1] = 0
        assert not edge.any(), disease


def test_one_slice_and_a_seed(tmp_path):
    for name in ("a", "b"):
        write_acdc(tmp_path / name, patients=1, slices=1, size=16, institutions=1, seed=3, workers=1, quiet=True)
    first, second = ([acdc.read_scan(s) for s in acdc.find_scans(tmp_path / name)] for name in ("a", "b"))
    assert first[0].image.shape == (1, 16, 18)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("name", "value"), [("patients", 0), ("patients", 1000), ("slices", 0), ("size", 15), ("institutions", 3)]
)
def test_numbers_out_of_range_are_refused(tmp_path, name, value):
    options = {"patients": 2, "slices": 2, "size": 16, "institutions": 1} | {name: value}
    with pytest.raises(UsageError, match=f"{name} is {value}: give a number from"):
        write_acdc(tmp_path, **options, workers=1, quiet=True)
