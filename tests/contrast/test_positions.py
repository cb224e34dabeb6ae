"""Partitions by position, and the cells that an epoch draws from."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedward.contrast.positions import cells_of, partition_of
from fedward.training.scan_slices import Slices


def partitions(depth, count):
    return partition_of(torch.arange(depth), torch.full((depth,), depth), count).tolist()


@pytest.mark.parametrize(
    ("depth", "count", "expected"),
    [(6, 4, "001223"), (10, 4, "0001122233"), (1, 4, "0"), (2, 4, "02"), (3, 4, "012"), (5, 1, "00000")],
)
def test_worked_examples(depth, count, expected):
    assert "".join(map(str, partitions(depth, count))) == expected


@given(st.integers(1, 60), st.integers(1, 64))
def test_parts_keep_the_order_and_are_even(depth, count):
    found = partitions(depth, count)
    assert found == [min(count * i // depth, count - 1) for i in range(depth)]
    assert found == sorted(found)
    sizes = [found.count(part) for part in set(found)]
    assert max(sizes) - min(sizes) <= 1
    assert len(set(found)) == min(depth, count)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 6), st.integers(0, 99))
def test_an_epoch_takes_a_slice_of_each_cell_that_has_one(depths, count, seed):
    depth = torch.tensor(depths)
    slices = Slices(
        image=torch.empty(sum(depths), 1, 0, 0),
        labels=None,
        scan=torch.arange(len(depths)).repeat_interleave(depth),
        position=torch.cat([torch.arange(n) for n in depths]),
        depth=depth.repeat_interleave(depth),
        scans=(),
    )
    cells = cells_of(slices, count)
    assert len(cells) == sum(min(depth, count) for depth in depths)
    chosen = cells.draw(torch.arange(len(cells)), torch.Generator().manual_seed(seed))
    drawn = list(zip(cells.slices.scan[chosen].tolist(), cells.partition[chosen].tolist(), strict=True))
    assert drawn == sorted({(s, p) for s, p in zip(cells.slices.scan.tolist(), cells.partition.tolist(), strict=True)})


def test_all_slices_of_a_cell_are_drawn_equally_often(scans):
    cells = cells_of(scans([12]), 4)
    generator = torch.Generator().manual_seed(1)
    drawn = torch.cat([cells.draw(torch.tensor([2]), generator) for _ in range(3000)])
    counts = torch.bincount(drawn, minlength=12)
    assert counts.nonzero()[:, 0].tolist() == [6, 7, 8]
    assert (counts[6:9] - 1000).abs().max() < 130  # five standard deviations


def test_patients_are_told_apart_by_name(scans):
    cells = cells_of(scans([2, 1, 2], patients=["b", "a", "b"]), 4)
    assert cells.patient.tolist() == [0, 0, 1, 0, 0]
