from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedward.datasets.partition import (
    PartitionSettings,
    Plan,
    apportion,
    default_split,
    fold_patients,
    make_plan,
    unequal_sizes,
)
from fedward.errors import UsageError

SAMPLE = {"CS": 10, "DU": 31, "EZ": 1, "FG": 10, "HT": 20}


def patients_of(counts: dict[str, int]) -> dict[str, str]:
    return {f"{code}-{i:03d}": code for code, count in counts.items() for i in range(count)}


def places(plan: Plan) -> list[str]:
    """Every patient named anywhere in the plan, as often as it is named."""
    named = [*plan.test, *plan.server]
    for split in plan.sites.values():
        named += [*split.train, *split.validation]
    return named


counts = st.dictionaries(st.sampled_from(["CS", "DU", "EZ", "FG", "HT", "XX"]), st.integers(1, 15), min_size=1)


@st.composite
def partition_settings(draw) -> PartitionSettings:
    by = draw(st.sampled_from(["institution", "iid", "dirichlet"]))
    folds = draw(st.integers(2, 6))
    return PartitionSettings(
        sites=draw(st.integers(1, 12)),
        by=by,
        alpha=draw(st.floats(1e-3, 100)) if by == "dirichlet" else None,
        fold=draw(st.none() | st.integers(1, folds)),
        folds=folds,
        server_patients=draw(st.integers(0, 5)),
        seed=draw(st.integers(0, 2**32)),
    )


@settings(max_examples=150)
@given(counts=counts, chosen=partition_settings(), order=st.randoms(use_true_random=False))
def test_every_patient_is_in_exactly_one_place(counts, chosen, order):
    patients = patients_of(counts)
    try:
        plan = make_plan(patients, chosen)
    except UsageError:
        assume(False)  # too few patients or hospitals for what was asked; tested below
    assert sorted(places(plan)) == sorted(patients)
    assert list(plan.sites) == [f"hospital-{i:02d}" for i in range(1, chosen.sites + 1)]
    assert len(plan.server) == chosen.server_patients
    assert bool(plan.test) == (chosen.fold is not None)
    for split in plan.sites.values():
        assert split.train
        assert bool(split.validation) == (len(split.train) + len(split.validation) >= 2)
        if chosen.by == "institution":
            assert len({patients[p] for p in (*split.train, *split.validation)}) == 1
    shuffled = list(patients.items())
    order.shuffle(shuffled)
    assert make_plan(dict(shuffled), chosen) == plan


@given(counts=counts, folds=st.integers(2, 6), seed=st.integers(0, 1000))
def test_over_the_folds_every_patient_is_tested_once_in_proportion(counts, folds, seed):
    patients = patients_of(counts)
    if len(patients) < folds:
        return
    tested = [fold_patients(patients, fold, folds, seed) for fold in range(1, folds + 1)]
    assert sorted(p for fold in tested for p in fold) == sorted(patients)
    sizes = [len(fold) for fold in tested]
    assert max(sizes) - min(sizes) <= 1
    for code in counts:
        of_code = [sum(patients[p] == code for p in fold) for fold in tested]
        assert max(of_code) - min(of_code) <= 1


def test_ten_hospitals_of_the_five_institutions():
    plan = make_plan(patients_of(SAMPLE), PartitionSettings(sites=10))
    sizes = [len(s.train) + len(s.validation) for s in plan.sites.values()]
    codes = [s.train[0][:2] for s in plan.sites.values()]
    # D'Hondt by hand: DU 15.5, DU 10.33, HT 10, DU 7.75, HT 6.67; sizes in the ratio 4:3:2:1 and 3:2:1, at least 2
    assert codes == ["CS", "DU", "DU", "DU", "DU", "EZ", "FG", "HT", "HT", "HT"]
    assert sizes == [10, 11, 9, 7, 4, 1, 10, 9, 7, 4]
    assert plan.warnings == ("hospital-06 has one patient: it trains only, without validation",)
    assert plan.test == plan.server == ()


def test_the_only_patient_of_an_institution_is_tested_in_one_fold_which_then_lacks_it():
    patients = patients_of(SAMPLE)
    missing = []
    for fold in range(1, 6):
        plan = make_plan(patients, PartitionSettings(sites=10, fold=fold))
        assert len(plan.sites) == 10
        held = {patients[s.train[0]] for s in plan.sites.values()}
        missing += [fold for _ in {"EZ"} - held]
        assert held >= set(SAMPLE) - {"EZ"}
        assert any("institution EZ is in no hospital" in w for w in plan.warnings) == ("EZ" not in held)
    assert len(missing) == 1


def test_another_seed_deals_otherwise_and_server_patients_follow_the_institutions():
    patients = patients_of(SAMPLE)
    chosen = PartitionSettings(sites=10, fold=1, server_patients=14)
    plan = make_plan(patients, chosen)
    assert plan == make_plan(patients, chosen)
    assert plan != make_plan(patients, PartitionSettings(sites=10, fold=1, server_patients=14, seed=1))
    assert Counter(patients[p] for p in make_plan(patients, PartitionSettings(5, server_patients=67)).server) == {
        "CS": 9, "DU": 30, "FG": 9, "HT": 19,
    }  # fmt: skip


def test_iid_hospitals_are_equal_and_a_small_alpha_keeps_institutions_together():
    patients = patients_of(SAMPLE)
    plan = make_plan(patients, PartitionSettings(10, by="iid"))
    assert sorted(len(s.train) + len(s.validation) for s in plan.sites.values()) == [7] * 8 + [8] * 2

    def institutions_a_hospital(alpha: float) -> float:
        plans = [make_plan(patients, PartitionSettings(5, by="dirichlet", alpha=alpha, seed=s)) for s in range(10)]
        held = [{patients[p] for p in (*s.train, *s.validation)} for plan in plans for s in plan.sites.values()]
        return sum(len(codes) for codes in held) / len(held)

    assert institutions_a_hospital(0.05) < 2.2
    assert institutions_a_hospital(100.0) > 3.8


@pytest.mark.parametrize(("patients", "validation"), [(1, 0), (2, 1), (3, 1), (9, 1), (10, 2), (20, 3), (100, 15)])
def test_about_fifteen_percent_validate(patients, validation):
    split = default_split([f"p{i}" for i in range(patients)], seed=3)
    assert len(split.validation) == validation
    assert len(split.train) == patients - validation


@given(st.integers(0, 200), st.lists(st.floats(0, 50), min_size=1, max_size=12).filter(lambda w: sum(w) > 1e-6))
def test_apportion_sums_up_and_stays_within_one_of_the_exact_share(total, weights):
    result = apportion(total, weights)
    assert sum(result) == total
    for number, weight in zip(result, weights, strict=True):
        assert abs(number - total * weight / sum(weights)) < 1 + 1e-6


def test_apportion_and_unequal_sizes_by_hand():
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(7, [5, 3, 1]) == [4, 2, 1]  # exact 3.89, 2.33, .78
    assert unequal_sizes(31, 4) == [11, 9, 7, 4]  # 2 each, 23 left as 9.2, 6.9, 4.6, 2.3
    assert unequal_sizes(3, 2) == [2, 1]
    assert unequal_sizes(1, 1) == [1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"sites": 0}, "sites is 0"),
        ({"sites": 100}, "sites is 100"),
        ({"sites": 4, "by": "size"}, "use institution, iid or dirichlet"),
        ({"sites": 4, "by": "dirichlet"}, "alpha is None"),
        ({"sites": 4, "by": "dirichlet", "alpha": 0.0}, "alpha is 0"),
        ({"sites": 4, "by": "dirichlet", "alpha": -1.0}, "alpha is -1"),
        ({"sites": 4, "by": "dirichlet", "alpha": float("nan")}, "alpha is nan"),
        ({"sites": 4, "alpha": 0.5}, "alpha has no meaning for institution"),
        ({"sites": 4, "fold": 0}, "fold is 0"),
        ({"sites": 4, "fold": 6}, "fold is 6: give a number from 1 to 5"),
        ({"sites": 4, "folds": 1}, "folds is 1"),
        ({"sites": 4, "server_patients": -1}, "server_patients is -1"),
    ],
)
def test_settings_out_of_range_are_refused(values, reason):
    with pytest.raises(UsageError, match=reason):
        PartitionSettings(**values)


@pytest.mark.parametrize(
    ("counts", "chosen", "reason"),
    [
        (SAMPLE, PartitionSettings(4), "4 hospitals cannot hold one institution each: there are 5"),
        ({"CS": 3}, PartitionSettings(4), "3 patients are left for 4 hospitals"),
        ({"CS": 3}, PartitionSettings(1, fold=1), "3 patients cannot fill 5 folds"),
        ({"CS": 5}, PartitionSettings(1, server_patients=5), "5 server patients are more than the 4"),
        ({}, PartitionSettings(1), "0 patients are left"),
    ],
)
def test_too_few_patients_or_hospitals_are_refused(counts, chosen, reason):
    with pytest.raises(UsageError, match=reason):
        make_plan(patients_of(counts), chosen)
