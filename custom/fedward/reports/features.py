"""Features that the final encoder of a contrastive pretraining gives each slice: RUN/features.npz."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedward.errors import FedwardError
from fedward.reports.arrays import read_arrays
from fedward.reports.run_data import Run

FILE = "features.npz"
MOST_POINTS = 1500  # more hide each other, and make the page large
NOWHERE = -1  # the hospital of a slice that is at none


@dataclass(frozen=True)
class Projection:
    """N slices in the plane of their features' two main directions.

    points     (N, 2) float64;  explained  part of the variance that each direction holds
    partition  (N,) from 0;  hospital  (N,) place in `hospitals`, or NOWHERE
    slices     how many there are, of which N are shown
    """

    points: NDArray[np.float64]
    explained: tuple[float, float]
    partition: NDArray[np.int64]
    hospital: NDArray[np.int64]
    hospitals: tuple[str, ...]
    slices: int


def read_projection(run: Run) -> Projection | None:
    """The principal components of some slices' features; None where the file is not there or shows nothing.

    Slices are chosen and ordered by a fixed draw, so that no hospital lies on top. FedwardError where the file is
    damaged.
    """
    from sklearn.decomposition import PCA

    path, again = run.folder.root / FILE, "remove it, and the report is written without the projection"
    if not path.is_file():
        return None
    arrays = read_arrays(path, ("rows", "partition", "hospital", "hospitals"), again)
    rows, partition, hospital = (arrays[name] for name in ("rows", "partition", "hospital"))
    hospitals = tuple(str(name) for name in arrays["hospitals"])
    count = len(rows)
    fits = rows.ndim == 2 and partition.shape == hospital.shape == (count,) and np.isfinite(rows).all()
    if not fits or (count and not NOWHERE <= hospital.min() <= hospital.max() < len(hospitals)):
        raise FedwardError(f"{path} does not hold one partition and one hospital for each finite row: {again}")
    if count < 3 or rows.shape[1] < 2 or np.ptp(rows, axis=0).max() == 0:
        return None
    chosen = np.random.default_rng(0).permutation(count)[:MOST_POINTS]
    shown = rows[chosen].astype(np.float64)
    components = PCA(2, svd_solver="full").fit(shown)
    first, second = (float(part) for part in components.explained_variance_ratio_)
    return Projection(
        points=components.transform(shown),
        explained=(first, second),
        partition=partition[chosen].astype(np.int64),
        hospital=hospital[chosen].astype(np.int64),
        hospitals=hospitals,
        slices=count,
    )
