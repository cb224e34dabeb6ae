"""Who holds which patient's scans: whole patients, every disease spread evenly; and the sites' folders."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_files import classes, voxels, write_nifti, write_patient, write_set

from fedward.datasets import acdc, nifti_folder
from fedward.datasets.layout import read_split
from fedward.datasets.scan_layout import describe_scans, lay_out_scans
from fedward.datasets.scan_partition import ScanPartitionSettings, make_scan_plan
from fedward.errors import UsageError

DISEASES = ("DCM", "HCM", "MINF", "NOR", "RV", "")


def blocks(*sizes):
    """Patients sorted by disease in blocks, as in the original."""
    names = [disease for disease, size in zip(DISEASES, sizes, strict=False) for _ in range(size)]
    return {f"patient{number:03d}": disease for number, disease in enumerate(names, start=1)}


ACDC = blocks(20, 20, 20, 20, 20)
SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(lambda sizes: sum(sizes[:5]) > 0)


def held(plan):
    return {name: (*split.train, *split.validation) for name, split in plan.sites.items()}


def counts(group_of, plan):
    return [Counter(group_of[patient] for patient in patients) for patients in held(plan).values()]


@settings(max_examples=60)
@given(SIZES, st.data())
def test_every_patient_is_in_one_place_whatever_the_order(sizes, data):
    group_of = blocks(*sizes)
    people = len(group_of)
    test = data.draw(st.integers(0, max(0, people - len(set(group_of.values())))), "test")
    sites = data.draw(st.integers(1, max(1, min(12, people - test))), "sites")
    by = data.draw(st.sampled_from(["stratified", "iid", "dirichlet"]), "by")
    if people - test < sites:
        return
    asked = ScanPartitionSettings(
        sites=sites, by=by, alpha=0.4 if by == "dirichlet" else None, test_patients=test, seed=sizes[0]
    )
    plan = make_scan_plan(group_of, asked)
    everybody = [*plan.test, *plan.server, *(p for patients in held(plan).values() for p in patients)]
    assert sorted(everybody) == sorted(group_of)
    assert len(plan.test) == test
    assert all(split.train for split in plan.sites.values())
    mixed = data.draw(st.permutations(list(group_of)), "order")
    assert make_scan_plan({p: group_of[p] for p in mixed}, asked) == plan


@settings(max_examples=60)
@given(SIZES, st.integers(1, 10), st.integers(0, 99))
def test_stratified_hospitals_and_their_shares_differ_by_one_patient_at_most(sizes, sites, seed):
    group_of = blocks(*sizes)
    if len(group_of) < sites:
        return
    plan = make_scan_plan(group_of, ScanPartitionSettings(sites=sites, seed=seed))
    mixes = counts(group_of, plan)
    totals = [mix.total() for mix in mixes]
    assert max(totals) - min(totals) <= 1
    for disease in set(group_of.values()):
        share = [mix[disease] for mix in mixes]
        assert max(share) - min(share) <= 1


def test_the_original_gives_ten_hospitals_two_patients_of_each_disease():
    plan = make_scan_plan(ACDC, ScanPartitionSettings())
    assert counts(ACDC, plan) == [Counter(dict.fromkeys(DISEASES[:5], 2))] * 10


def test_folds_test_everybody_once_with_the_same_mix():
    plans = [make_scan_plan(ACDC, ScanPartitionSettings(fold=fold)) for fold in range(1, 6)]
    assert sorted(p for plan in plans for p in plan.test) == sorted(ACDC)
    for plan in plans:
        assert Counter(ACDC[p] for p in plan.test) == Counter(dict.fromkeys(DISEASES[:5], 4))
        assert {len(patients) for patients in held(plan).values()} == {8}


def test_five_training_patients_each_and_the_rest_tested():
    """The shared set: 61 patients of unknown disease."""
    group_of = dict.fromkeys([f"patient{number:03d}" for number in range(1, 62)], "")
    asked = ScanPartitionSettings(by="iid", test_patients=11, validation_patients=0)
    plan = make_scan_plan(group_of, asked)
    assert [(len(split.train), len(split.validation)) for split in plan.sites.values()] == [(5, 0)] * 10
    assert (len(plan.test), plan.warnings) == (11, ())


def test_test_and_server_patients_are_in_proportion_to_the_diseases():
    plan = make_scan_plan(ACDC, ScanPartitionSettings(test_patients=10, server_patients=5, validation_patients=2))
    assert Counter(ACDC[p] for p in plan.test) == Counter(dict.fromkeys(DISEASES[:5], 2))
    assert Counter(ACDC[p] for p in plan.server) == Counter(dict.fromkeys(DISEASES[:5], 1))
    assert {len(split.validation) for split in plan.sites.values()} == {2}


def test_a_single_patient_trains_only():
    plan = make_scan_plan(blocks(3), ScanPartitionSettings(sites=3))
    assert plan.warnings == tuple(
        f"hospital-0{n} has one patient: it trains only, without validation" for n in (1, 2, 3)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "institution"}, "use stratified, iid or dirichlet"),
        ({"test_patients": -1}, "test_patients is -1"),
        ({"test_patients": 4, "fold": 1}, "exclude each other"),
        ({"validation_patients": -1}, "validation_patients is -1"),
        ({"sites": 0}, "sites is 0"),
        ({"alpha": 1.0}, "alpha has no meaning for stratified"),
        ({"server_patients": -1}, "server_patients is -1"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        ScanPartitionSettings(**options)


@pytest.mark.parametrize(
    ("group_of", "options", "message"),
    [
        (blocks(0, 0, 0, 0, 0, 20), {}, "no patient's is known: use iid"),
        (blocks(9), {"sites": 10}, "9 patients are left for 10 hospitals"),
        (blocks(9), {"sites": 3, "validation_patients": 3}, "hospital-01 has 3 patients.*nobody would train"),
        (blocks(5, 5), {"sites": 2, "test_patients": 9}, "9 test patients are more than the 8"),
        (blocks(4), {"sites": 1, "fold": 1}, "4 patients cannot fill 5 folds"),
    ],
)
def test_plans_that_cannot_be_made(group_of, options, message):
    with pytest.raises(UsageError, match=message):
        make_scan_plan(group_of, ScanPartitionSettings(**options))


def test_hospitals_are_laid_out_for_the_same_reader(tmp_path):
    root = write_set(tmp_path / "original" / "training", patients=5)
    write_patient(root, 6, frames=(4, 11), info="ED: 11\nES: 4\nGroup: RV\n")
    write_patient(root, 7, info=None)
    (root / "patient001" / "patient001_4d.nii.gz").write_bytes(b"the cine")
    scans = acdc.find_scans(tmp_path / "original")
    asked = ScanPartitionSettings(sites=2, test_patients=2, validation_patients=1)
    plan = make_scan_plan({scan.patient: scan.group for scan in scans}, asked)
    out = tmp_path / "sites"
    lay_out_scans("acdc", tmp_path / "original", scans, plan, out)
    found = {place: acdc.find_scans(out / place) for place in ("hospital-01", "hospital-02", "test")}
    original = {(scan.patient, scan.frame, scan.group): scan for scan in scans}
    laid = {(scan.patient, scan.frame, scan.group): scan for part in found.values() for scan in part}
    assert laid.keys() == original.keys()
    assert all(laid[key].image.samefile(scan.image) for key, scan in original.items())
    assert all(laid[key].labels.samefile(scan.labels) for key, scan in original.items())
    assert not list(out.rglob("*_4d*"))
    for site, split in plan.sites.items():
        assert read_split(out / site, {scan.patient for scan in found[site]}, seed=9) == split

    slices = {scan.image: 4 for scan in scans}
    partition = describe_scans("acdc", scans, slices, plan, asked)
    assert json.loads(json.dumps(partition)) == partition
    site = partition["sites"]["hospital-01"]
    train = plan.sites["hospital-01"].train
    assert site["patients"] == {"train": len(train), "validation": 1}
    assert site["scans"] == {"train": 2 * len(train), "validation": 2}
    assert site["slices"]["train"] == 8 * len(train)
    assert sum(site["groups"]["train"].values()) == len(train)
    assert (partition["test"]["patients"], partition["test"]["slices"], partition["server"]) == (2, 16, None)
    assert "patient00" not in json.dumps(partition)
    assert str(tmp_path) not in json.dumps(partition)


def test_a_folder_of_nifti_is_laid_out_as_it_was(tmp_path):
    root = tmp_path / "original"
    write_nifti(root / "anna" / "t0" / "a.nii.gz", voxels(1))
    write_nifti(root / "anna" / "t0" / "a_gt.nii.gz", classes(1))
    write_nifti(root / "bert.nii", voxels(2))
    scans = nifti_folder.find_scans(root)
    plan = make_scan_plan({scan.patient: "" for scan in scans}, ScanPartitionSettings(sites=2, by="iid"))
    lay_out_scans("nifti_folder", root, scans, plan, tmp_path / "sites")
    laid = [scan for site in plan.sites for scan in nifti_folder.find_scans(tmp_path / "sites" / site)]
    assert sorted((s.patient, s.frame, s.labels is None) for s in laid) == [
        ("anna", "t0__a", False),
        ("bert", "", True),
    ]
    partition = describe_scans(
        "nifti_folder", scans, {s.image: 4 for s in scans}, plan, ScanPartitionSettings(by="iid")
    )
    assert [warning.split(":")[0] for warning in partition["warnings"]] == [
        "hospital-01 has one patient",
        "hospital-02 has one patient",
        "hospital-01 has one training patient",
        "hospital-02 has one training patient",
    ]
