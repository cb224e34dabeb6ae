"""A share of a hospital's training patients, for the question how many labels are needed."""

import math
from collections.abc import Iterable

from fedward.errors import UsageError
from fedward.seeds import derive_seed


def fraction_of_patients(patients: Iterable[str], fraction: float, seed: int, site: str, draw: int) -> tuple[str, ...]:
    """Names, sorted, of round(fraction x patients), halves up, at least one; a smaller fraction takes from a larger.

    The order comes from a hash of seed, site, draw and patient: other draws take other patients, and the order of
    `patients` does not matter. Raises UsageError unless 0 < fraction <= 1.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"label fraction is {fraction}: give a number above 0, at most 1")
    names = sorted(set(patients), key=lambda p: (derive_seed(seed, "label fraction", site, draw, p), p))
    # A product such as .1 x 15 is meant exactly; the small addend keeps its half from falling below.
    count = max(1, math.floor(fraction * len(names) + 0.5 + 1e-9))
    return tuple(sorted(names[:count]))
