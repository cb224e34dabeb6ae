import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.datasets.label_fraction import fraction_of_patients
from fedward.errors import UsageError

FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
names = st.sets(st.text("abc123", min_size=1, max_size=6), min_size=1, max_size=40)


@given(patients=names, seed=st.integers(0, 2**31), draw=st.integers(1, 9))
def test_fractions_are_nested_and_never_empty(patients, seed, draw):
    chosen = [fraction_of_patients(patients, f, seed, "hospital-01", draw) for f in FRACTIONS]
    for smaller, larger in pairwise(chosen):
        assert set(smaller) <= set(larger)
    assert all(chosen)
    assert chosen[-1] == tuple(sorted(patients))


@given(patients=names, fraction=st.floats(1e-6, 1), seed=st.integers(0, 99))
def test_the_number_is_the_nearest_and_the_order_of_patients_does_not_matter(patients, fraction, seed):
    chosen = fraction_of_patients(sorted(patients), fraction, seed, "hospital-02", 1)
    assert chosen == fraction_of_patients(sorted(patients, reverse=True), fraction, seed, "hospital-02", 1)
    assert len(set(chosen)) == len(chosen)
    assert len(chosen) == 1 or abs(len(chosen) - fraction * len(patients)) <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("patients", "fraction", "count"),
    [(100, 0.25, 25), (100, 0.01, 1), (10, 0.01, 1), (1, 0.5, 1), (15, 0.1, 2), (14, 0.1, 1), (3, 0.5, 2)],
)
def test_numbers_by_hand(patients, fraction, count):
    assert len(fraction_of_patients([f"p{i}" for i in range(patients)], fraction, 0, "a", 1)) == count


def test_draws_sites_and_seeds_take_other_patients():
    patients = [f"p{i}" for i in range(200)]
    taken = {
        fraction_of_patients(patients, 0.1, seed, site, draw) for seed in (0, 1) for site in "ab" for draw in (1, 2, 3)
    }
    assert len(taken) == 12


def test_draws_reach_everybody():
    patients = [f"p{i}" for i in range(20)]
    reached = {p for draw in range(100) for p in fraction_of_patients(patients, 0.1, 0, "a", draw)}
    assert reached == set(patients)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, math.nan, math.inf])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(UsageError, match="above 0, at most 1"):
        fraction_of_patients(["a"], fraction, 0, "a", 1)


def test_nobody_gives_nobody():
    assert fraction_of_patients([], 0.5, 0, "a", 1) == ()
