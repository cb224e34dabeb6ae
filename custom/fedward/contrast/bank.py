"""A site's memory bank: features of its own slices. What may leave of it is a vector and its partition."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedward.kits.differential_privacy import gaussian
from fedward.pretext.key_queue import KeyQueue
from fedward.rounds.exchange import FeatureTable


class MemoryBank(KeyQueue):
    """`size` vectors of length 1; the newest take the place of the oldest. Begins full, on the device of `keys`.

    partition (size,) int64; scan (size,) int64, the scan each vector was made of, which never leaves the site.
    """

    def __init__(self, keys: Tensor, partition: Tensor, scan: Tensor):
        super().__init__(*keys.shape, device=keys.device)
        self.partition = partition.clone()
        self.scan = scan.clone()
        self.put(keys)

    @torch.no_grad()
    def add(self, keys: Tensor, partition: Tensor, scan: Tensor) -> None:
        """Write features (B, dimension) over the oldest; of more than the bank holds, the last."""
        keys, partition, scan = (part[-len(self.keys) :] for part in (keys, partition, scan))
        places = (self.oldest + torch.arange(len(keys), device=scan.device)) % len(self.keys)
        self.partition[places] = partition
        self.scan[places] = scan
        self.put(keys)


def feature_table(keys: Tensor, partition: Tensor, noise: float, precision: str) -> FeatureTable:
    """What leaves of features (n, D) of length 1: rows in `precision`, their partitions, and how much noise they have.

    The noise is put on each number, and the row is brought back to length 1. It comes from the operating system's
    generator: everyone in the run knows the job's seed, and could take noise made of it away again. Rows are sorted
    by their own values, so that their order says nothing about scan or slice.
    """
    rows: NDArray[np.float64] = keys.detach().cpu().double().numpy()
    if noise:
        rows = rows + noise * gaussian(rows.size).reshape(rows.shape)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    parts = partition.cpu().numpy().astype(np.uint8)
    order = np.lexsort([*rows.T[::-1], parts])
    return FeatureTable(rows[order].astype(precision), parts[order], float(noise))
