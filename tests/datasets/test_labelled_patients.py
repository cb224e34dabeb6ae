"""The N labelled patients of a hospital: nested, independent of order, other ones in other draws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.datasets.labelled_patients import draw_labelled
from fedward.datasets.selection import SelectionSettings
from fedward.errors import UsageError

PATIENTS = st.lists(st.integers(1, 150).map("patient{:03d}".format), min_size=1, max_size=12, unique=True)


@given(PATIENTS, st.integers(0, 99), st.integers(1, 5), st.randoms())
def test_a_smaller_number_takes_from_a_larger_and_the_order_does_not_matter(patients, seed, draw, random):
    mixed = random.sample(patients, len(patients))
    drawn = [draw_labelled(patients, n, seed, draw, "hospital-01") for n in range(1, len(patients) + 1)]
    for n, names in enumerate(drawn, start=1):
        assert len(set(names)) == n
        assert list(names) == sorted(names)
        assert set(names) <= set(patients)
        assert names == draw_labelled(mixed, n, seed, draw, "hospital-01")
        assert n == 1 or set(drawn[n - 2]) < set(names)


def test_draws_seeds_and_hospitals_differ():
    patients = [f"patient{n:03d}" for n in range(1, 41)]
    ways = [(0, 1, "hospital-01"), (0, 2, "hospital-01"), (1, 1, "hospital-01"), (0, 1, "hospital-02")]
    assert len({draw_labelled(patients, 5, *way) for way in ways}) == 4


def test_every_patient_is_drawn_about_equally_often():
    patients = [f"patient{n:03d}" for n in range(1, 6)]
    drawn = [name for draw in range(1, 501) for name in draw_labelled(patients, 2, 0, draw, "hospital-01")]
    assert all(abs(drawn.count(name) - 200) < 60 for name in patients)  # 200 +- 11 by chance


@pytest.mark.parametrize("count", [0, -1, 4])
def test_more_than_exist_or_none_is_refused_with_the_number_there(count):
    with pytest.raises(UsageError, match=rf"hospital-07: labelled_patients is {count}, and 3 training patients"):
        draw_labelled(["a", "b", "c"], count, 0, 1, "hospital-07")


def test_no_patient_is_refused():
    with pytest.raises(UsageError, match="no training patient has labels"):
        draw_labelled([], 1, 0, 1, "hospital-07")


@pytest.mark.parametrize("wrong", [0, -2, 1.0, True, "2"])
def test_a_wrong_number_in_the_settings_is_refused(wrong):
    with pytest.raises(UsageError, match="labelled_patients"):
        SelectionSettings(labelled_patients=wrong)


def test_settings_without_it_are_written_as_they_were():
    assert "labelled_patients" not in SelectionSettings().to_dict()
    assert SelectionSettings(**SelectionSettings(labelled_patients=2).to_dict()).labelled_patients == 2
