from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedward.datasets.image_table import ImageTable
from fedward.datasets.partition import Plan
from fedward.datasets.xray_partition import (
    NO_FINDING,
    Cohort,
    XrayPartitionSettings,
    cohort,
    deal_whole,
    make_xray_plan,
    unequal_shares,
)
from fedward.errors import UsageError

FINDINGS = ("Mass", "Hernia", "Edema")


def table_of(images: list[tuple[str, str]], findings: tuple[str, ...] = FINDINGS) -> ImageTable:
    """A table from (patient, "Mass|Edema") a row; "?" marks a label unknown."""
    labels = np.zeros((len(images), len(findings)), np.float32)
    for row, (_, text) in enumerate(images):
        for name in filter(None, text.split("|")):
            labels[row, findings.index(name.strip("?"))] = np.nan if name.endswith("?") else 1
    paths = tuple(Path(f"{row}.png") for row in range(len(images)))
    return ImageTable(paths, tuple(patient for patient, _ in images), labels, findings)


def everybody(plan: Plan) -> list[str]:
    """Every patient named anywhere in the plan, as often as it is named."""
    named = [*plan.test, *plan.server]
    for split in plan.sites.values():
        named += [*split.train, *split.validation]
    return named


def hospitals(plan: Plan) -> list[tuple[str, ...]]:
    return [(*split.train, *split.validation) for split in plan.sites.values()]


def random_table(patients: int, most_images: int, seed: int) -> ImageTable:
    """Patients of 1 to `most_images` images, about half without a finding, Hernia rare and Edema frequent."""
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in range(patients) for _ in range(rng.integers(1, most_images + 1))]
    labels = (rng.random((len(names), 3)) < [0.15, 0.03, 0.4]).astype(np.float32)
    labels[rng.random(labels.shape) < 0.05] = np.nan
    return ImageTable(tuple(Path(f"{row}.png") for row in range(len(names))), tuple(names), labels, FINDINGS)


@st.composite
def xray_settings(draw) -> XrayPartitionSettings:
    by = draw(st.sampled_from(["iid", "non_iid", "dirichlet"]))
    folds = draw(st.integers(2, 6))
    return XrayPartitionSettings(
        sites=draw(st.integers(1, 12)),
        by=by,
        alpha=draw(st.floats(1e-3, 100)) if by == "dirichlet" else None,
        no_finding=draw(st.sampled_from(["proportional", "literal"])) if by == "non_iid" else "proportional",
        fold=draw(st.none() | st.integers(1, folds)),
        folds=folds,
        server_patients=draw(st.integers(0, 5)),
        seed=draw(st.integers(0, 2**32)),
    )


@settings(max_examples=150)
@given(patients=st.integers(1, 60), most=st.integers(1, 6), seed=st.integers(0, 99), chosen=xray_settings())
def test_every_patient_is_in_exactly_one_place_whatever_the_order_of_rows(patients, most, seed, chosen):
    table = random_table(patients, most, seed)
    try:
        plan = make_xray_plan(cohort(table), chosen)
    except UsageError:
        assume(False)  # too few patients for what was asked; tested below
    assert sorted(everybody(plan)) == sorted(set(table.patients))
    assert list(plan.sites) == [f"hospital-{i:02d}" for i in range(1, chosen.sites + 1)]
    assert len(plan.server) == chosen.server_patients
    assert bool(plan.test) == (chosen.fold is not None)
    for name, split in plan.sites.items():
        assert split.train
        alone = len(split.train) + len(split.validation) == 1
        assert bool(split.validation) != alone
        assert any(name in warning for warning in plan.warnings) == alone
    shuffled = table.select(np.random.default_rng(seed).permutation(len(table)))
    assert make_xray_plan(cohort(shuffled), chosen) == plan


@settings(max_examples=60)
@given(
    most=st.integers(1, 5),
    seed=st.integers(0, 999),
    sites=st.integers(2, 10),
    mode=st.sampled_from(["iid", "proportional", "literal"]),
)
def test_sizes_are_as_asked_within_one_patients_images(most, seed, sites, mode):
    people = cohort(random_table(400, most, seed))
    by = "iid" if mode == "iid" else "non_iid"
    chosen = XrayPartitionSettings(
        sites, by=by, seed=seed, no_finding="proportional" if mode == "iid" else mode, fold=1, folds=4
    )
    plan = make_xray_plan(people, chosen)
    sizes = [sum(people.images[p] for p in held) for held in hospitals(plan)]
    asked = np.full(sites, 1 / sites) if mode == "iid" else unequal_shares(sites, seed)
    assert np.abs(sizes - asked * sum(sizes)).max() <= max(people.images.values())


@given(
    images=st.lists(st.integers(1, 30), max_size=40),
    cuts=st.lists(st.floats(0, 1), max_size=8).map(sorted),
)
def test_whole_patients_are_dealt_as_a_plain_loop_deals_them(images, cuts):
    people = {f"p{i}": count for i, count in enumerate(images)}
    ends = [cut * sum(images) for cut in (*cuts, 1.0)]
    expected: list[list[str]] = [[] for _ in ends]
    hospital = dealt = 0
    for patient, count in people.items():
        # The next hospital's turn comes when less than half of this patient's images would still fit.
        while hospital < len(ends) - 1 and dealt + count / 2 >= ends[hospital]:
            hospital += 1
        expected[hospital].append(patient)
        dealt += count
    assert deal_whole(list(people), people, ends) == expected


@settings(max_examples=50)
@given(patients=st.integers(1, 30), most=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_patient_goes_with_its_rarest_finding_as_counted_one_by_one(patients, most, seed):
    table = random_table(patients, most, seed)
    number = {name: sum(row[i] == 1 for row in table.labels) for i, name in enumerate(FINDINGS)}
    people = cohort(table)
    assert list(people.order) == [*sorted(FINDINGS, key=lambda name: (number[name], name)), NO_FINDING]
    assert people.images == Counter(table.patients)
    for patient in set(table.patients):
        rows = [row for row, name in enumerate(table.patients) if name == patient]
        shown = [name for i, name in enumerate(FINDINGS) if any(table.labels[row, i] == 1 for row in rows)]
        assert people.finding[patient] == min(shown, key=people.order.index, default=NO_FINDING)


def test_a_cohort_by_hand():
    rows = [("a", "Mass|Edema"), ("a", ""), ("b", "Edema"), ("c", "Hernia?"), ("d", "Mass"), ("d", "Hernia")]
    expected = Cohort(
        images={"a": 2, "b": 1, "c": 1, "d": 2},
        finding={"a": "Edema", "b": "Edema", "c": NO_FINDING, "d": "Hernia"},  # Edema and Mass tie: by name
        order=("Hernia", "Edema", "Mass", NO_FINDING),
    )
    assert cohort(table_of(rows)) == expected


def test_a_column_no_finding_is_no_finding():
    table = table_of([("a", "No Finding"), ("b", "Fracture|No Finding"), ("c", "")], ("No Finding", "Fracture"))
    people = cohort(table)
    assert people.order == ("Fracture", NO_FINDING)
    assert people.finding == {"a": NO_FINDING, "b": "Fracture", "c": NO_FINDING}


def test_the_rarest_finding_fills_the_first_hospitals_and_no_finding_goes_to_all_by_size():
    people = cohort(random_table(600, 3, seed=1))
    plan = make_xray_plan(people, XrayPartitionSettings(6, seed=3))
    ranks = [[people.order.index(people.finding[p]) for p in held] for held in hospitals(plan)]
    last = len(people.order) - 1
    dealt = [rank for held in ranks for rank in sorted(rank for rank in held if rank < last)]
    assert dealt == sorted(dealt)  # hospital after hospital, rarest first
    shares = unequal_shares(6, 3)
    free = [sum(people.images[p] for p in held if people.finding[p] == NO_FINDING) for held in hospitals(plan)]
    assert np.abs(np.array(free) - shares * sum(free)).max() <= 3


def test_literally_no_finding_is_dealt_last():
    people = cohort(random_table(600, 3, seed=1))
    plan = make_xray_plan(people, XrayPartitionSettings(6, seed=3, no_finding="literal"))
    ranks = [[people.order.index(people.finding[p]) for p in held] for held in hospitals(plan)]
    dealt = [rank for held in ranks for rank in sorted(held)]
    assert dealt == sorted(dealt)
    assert set(ranks[-1]) == {len(people.order) - 1}


def test_a_small_alpha_keeps_a_finding_together():
    people = cohort(random_table(400, 2, seed=2))

    def largest_share(alpha: float) -> float:
        """Of each finding's patients, the part that the hospital with most of them holds; mean over draws."""
        parts = []
        for seed in range(8):
            plan = make_xray_plan(people, XrayPartitionSettings(5, by="dirichlet", alpha=alpha, seed=seed))
            counts = [Counter(people.finding[p] for p in held) for held in hospitals(plan)]
            parts += [max(c[f] for c in counts) / sum(c[f] for c in counts) for f in people.order]
        return float(np.mean(parts))

    assert largest_share(0.05) > 0.8
    assert largest_share(100.0) < 0.4


@given(sites=st.integers(1, 99), seed=st.integers(0, 10**6))
def test_shares_sum_to_one_and_none_is_below_a_quarter_of_an_equal_share(sites, seed):
    shares = unequal_shares(sites, seed)
    assert shares.shape == (sites,)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert shares.min() >= 0.25 / sites
    assert (shares == unequal_shares(sites, seed)).all()


def test_over_the_folds_every_patient_is_tested_once_with_the_rarest_finding_in_each():
    people = cohort(random_table(300, 2, seed=4))
    plans = [make_xray_plan(people, XrayPartitionSettings(4, fold=fold, seed=9)) for fold in range(1, 6)]
    assert sorted(p for plan in plans for p in plan.test) == sorted(people.images)
    rare = [sum(people.finding[p] == "Hernia" for p in plan.test) for plan in plans]
    assert min(rare) >= 1
    assert max(rare) - min(rare) <= 1


def test_the_official_test_patients_are_set_apart_and_strangers_on_the_list_do_not_matter():
    people = cohort(table_of([(f"p{i}", "Mass" if i % 2 else "") for i in range(12)]))
    plan = make_xray_plan(people, XrayPartitionSettings(3, official_test=True), ("p3", "p7", "somebody else"))
    assert plan.test == ("p3", "p7")
    assert sorted(everybody(plan)) == sorted(people.images)
    assert make_xray_plan(people, XrayPartitionSettings(3), ("p3",)).test == ()


def test_another_seed_deals_otherwise():
    people = cohort(random_table(100, 2, seed=5))
    plans = [make_xray_plan(people, XrayPartitionSettings(5, seed=seed)) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"sites": 0}, "sites is 0"),
        ({"by": "institution"}, "use iid, non_iid or dirichlet"),
        ({"by": "dirichlet"}, "alpha is None"),
        ({"alpha": 0.5}, "alpha has no meaning for non_iid"),
        ({"no_finding": "last"}, "use proportional or literal"),
        ({"by": "iid", "no_finding": "literal"}, "no_finding has no meaning for iid"),
        ({"fold": 6}, "fold is 6: give a number from 1 to 5"),
        ({"fold": 1, "official_test": True}, "exclude each other"),
        ({"server_patients": -1}, "server_patients is -1"),
    ],
)
def test_settings_out_of_range_are_refused(values, reason):
    with pytest.raises(UsageError, match=reason):
        XrayPartitionSettings(**values)


@pytest.mark.parametrize(
    ("chosen", "official", "reason"),
    [
        (XrayPartitionSettings(7), (), "6 patients are left for 7 hospitals"),
        (XrayPartitionSettings(6, fold=1), (), "4 patients are left for 6 hospitals"),
        (XrayPartitionSettings(2, official_test=True), ("x",), "none of these patients is on the official test list"),
        (XrayPartitionSettings(2, official_test=True), tuple("abcdef"), "0 patients are left"),
        (XrayPartitionSettings(1, server_patients=5), (), "5 server patients are more than the 4"),
        (XrayPartitionSettings(1, fold=1, folds=7), (), "6 patients cannot fill 7 folds"),
    ],
)
def test_too_few_patients_are_refused(chosen, official, reason):
    people = cohort(table_of([(name, "Mass" if name < "c" else "") for name in "abcdef"]))
    with pytest.raises(UsageError, match=reason):
        make_xray_plan(people, chosen, official)


def test_images_without_labels_are_dealt_by_iid_only():
    people = cohort(table_of([(name, "") for name in "abcd"], ()))
    assert sorted(everybody(make_xray_plan(people, XrayPartitionSettings(2, by="iid")))) == list("abcd")
    with pytest.raises(UsageError, match="these images have no labels: use iid"):
        make_xray_plan(people, XrayPartitionSettings(2))
