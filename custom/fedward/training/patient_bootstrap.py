"""How sure a mean over patients is: patients are drawn again and again, all that belongs to one together."""

import numpy as np
from numpy.typing import NDArray

from fedward.seeds import derive_seed
from fedward.training.auc import DRAWS, SEED, Interval, interval


def mean_with_interval(values: NDArray[np.float64]) -> Interval:
    """Mean of the patients' values (P,), in order of their names, with its 95 % interval of 1,000 draws.

    The limits are NaN with fewer than two patients, all NaN with none. The same number of patients is always drawn
    alike, so that a report and a comparison show the same interval and differences are those of the same patients.
    """
    if len(values) < 2:
        return Interval(float(values[0]) if len(values) else np.nan, np.nan, np.nan)
    generator = np.random.default_rng(derive_seed(SEED, "bootstrap"))
    drawn = values[generator.integers(len(values), size=(DRAWS, len(values)))].mean(axis=1)
    return interval(float(values.mean()), drawn)
