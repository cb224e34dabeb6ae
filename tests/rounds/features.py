"""Tables of features for tests of the exchange."""

import numpy as np

from fedward.rounds.exchange import WIDTH, FeatureTable


def table(rows: int = 6, seed: int = 1, precision: str = "float16", noise: float = 0.0) -> FeatureTable:
    """Random rows of length 1, partitions 0 to 3 in turn."""
    values = np.random.default_rng(seed).normal(size=(rows, WIDTH))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return FeatureTable(values.astype(precision), (np.arange(rows) % 4).astype(np.uint8), noise)


def same(one: FeatureTable, other: FeatureTable) -> bool:
    equal = one.rows.tobytes() == other.rows.tobytes() and one.partitions.tobytes() == other.partitions.tobytes()
    return equal and (one.rows.dtype, one.noise) == (other.rows.dtype, other.noise)
