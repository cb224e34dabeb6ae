"""Features that sites offer each other: what a table is, which one is refused, and whose are still good."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureTable:
    """Features of one site, or of several: rows float16 or float32 (n, d) of length 1, partitions uint8 (n,).

    `noise` is the standard deviation of the noise that each number of a row was given before the row was brought back
    to length 1; 0 for none.
    """

    rows: NDArray[np.floating]
    partitions: NDArray[np.uint8]
    noise: float = 0.0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """Bytes of the rows and the partitions."""
        return int(self.rows.nbytes + self.partitions.nbytes)
