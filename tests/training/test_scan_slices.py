"""Slices of several scans, one after the other, know whose they are and where they lie."""

import numpy as np
import pytest
import torch

from fedward.errors import DataError
from fedward.preprocessing.scan import PreparedScan
from fedward.training.scan_slices import ScanInfo, join_slices, stack_scans


def prepared(patient, frame="ED", depth=3, labelled=True, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (depth, 8, 8)).astype(np.uint8) if labelled else None
    return PreparedScan(patient, frame, rng.normal(size=(depth, 8, 8)).astype(np.float16), labels, (8, 1.2, 1.2), True)


SCANS = [prepared("a", "ED", 3, seed=1), prepared("a", "ES", 1, seed=2), prepared("b", "ED", 5, seed=3)]


def test_every_slice_keeps_its_scan_and_place():
    slices = stack_scans(SCANS, labelled=True)
    assert len(slices) == 9
    assert slices.image.shape == (9, 1, 8, 8)
    assert slices.image.dtype == torch.float16
    assert slices.labels.shape == (9, 8, 8)
    assert slices.labels.dtype == torch.uint8
    assert slices.scan.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert slices.position.tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4]
    assert slices.depth.tolist() == [3, 3, 3, 1, 5, 5, 5, 5, 5]
    assert {t.dtype for t in (slices.scan, slices.position, slices.depth)} == {torch.int64}
    assert slices.scans[1] == ScanInfo("a", "ES", (8, 1.2, 1.2), True)
    for image, labels, scan, position in zip(slices.image, slices.labels, slices.scan, slices.position, strict=True):
        assert np.array_equal(image[0], SCANS[scan].image[position])
        assert np.array_equal(labels, SCANS[scan].labels[position])


def test_labels_are_left_out_or_required():
    assert stack_scans(SCANS, labelled=False).labels is None
    mixed = [*SCANS, prepared("c", "", labelled=False)]
    assert len(stack_scans(mixed, labelled=False)) == 12
    with pytest.raises(DataError, match=r"^c has no labels \(1 of 4 scans have none\)"):
        stack_scans(mixed, labelled=True)
    assert stack_scans([], labelled=True) is None


@pytest.mark.parametrize("labelled", [True, False])
def test_joined_sites_are_one_stack(labelled):
    parts = [stack_scans(SCANS[:2], labelled), stack_scans(SCANS[2:], labelled), stack_scans(SCANS[:1], labelled)]
    joined, whole = join_slices(parts), stack_scans([*SCANS, SCANS[0]], labelled)
    for name in ("image", "labels", "scan", "position", "depth"):
        one, other = getattr(joined, name), getattr(whole, name)
        assert (one is None and other is None) or torch.equal(one, other)
    assert joined.scans == whole.scans


def test_sites_with_and_without_labels_are_not_joined():
    with pytest.raises(DataError, match="1 of 2 sites have labels"):
        join_slices([stack_scans(SCANS, True), stack_scans(SCANS, False)])
