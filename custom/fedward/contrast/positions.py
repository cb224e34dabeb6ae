"""Parts of a volume by position, and the cells that an epoch draws slices from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fedward.training.scan_slices import Slices


def partition_of(position: Tensor, depth: Tensor, partitions: int) -> Tensor:
    """p = min(floor(S i / n), S - 1) of slice i, from 0, in a scan of n slices; int64 tensors of one shape.

    With n = 10 and S = 4: 0001122233. Parts differ by one slice at most; with fewer slices than parts some are empty.
    """
    return (partitions * position // depth).clamp_max(partitions - 1)


@dataclass(frozen=True)
class Cells:
    """The slices of some scans by (scan, partition); a cell that holds no slice is left out.

    slices     the N slices themselves
    partition  (N,) int64, of each slice
    member     (N,) int64, slices in order of cells
    first      (C,) int64, where each cell begins in `member`
    size       (C,) int64, slices of each cell, at least 1

    An epoch goes through the C cells and takes one slice of each (Wu et al. 2021, arXiv 2204.10983, section 3.1), so
    that a long scan counts as much as a short one.
    """

    slices: Slices
    partition: Tensor
    member: Tensor
    first: Tensor
    size: Tensor

    def __len__(self) -> int:
        return len(self.first)

    @property
    def patient(self) -> Tensor:
        """Each slice's patient, (N,) int64: a number for each name."""
        names = [scan.patient for scan in self.slices.scans]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return torch.tensor([numbers[name] for name in names])[self.slices.scan]

    def draw(self, cell: Tensor, generator: torch.Generator) -> Tensor:
        """A random slice of each of these cells, (B,) int64."""
        size = self.size[cell]
        within = (torch.rand(len(cell), generator=generator) * size).long().clamp_max(size - 1)  # it may round up
        return self.member[self.first[cell] + within]


def cells_of(slices: Slices, partitions: int) -> Cells:
    """The cells of some scans, each cut into `partitions` parts."""
    partition = partition_of(slices.position, slices.depth, partitions)
    cell = slices.scan * partitions + partition
    size = torch.unique(cell, return_counts=True)[1]
    return Cells(slices, partition, cell.argsort(stable=True), size.cumsum(0) - size, size)
