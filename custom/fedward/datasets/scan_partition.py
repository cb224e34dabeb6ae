"""Who holds which patient's scans: all of a patient's frames go together.

The original of ACDC is sorted by disease in blocks, so a plan that cuts it in order would give each hospital one
disease. Orders come from hashes, as in `partition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fedward.datasets.base import Split
from fedward.datasets.partition import (
    Plan,
    check_enough,
    check_numbers,
    deal_dirichlet,
    deal_shuffled,
    fold_patients,
    grouped,
    set_apart,
    shuffled,
    site_name,
    split_hospitals,
    train_only_warnings,
    without,
)
from fedward.errors import UsageError

By = Literal["stratified", "iid", "dirichlet"]


@dataclass(frozen=True)
class ScanPartitionSettings:
    """How the patients of a set of scans are dealt.

    sites    number of hospitals, 1 to 99
    by       "stratified": each disease is dealt round and round, so that hospitals, and their shares of each disease,
             differ by at most one patient; "iid": shuffled, equal sizes; "dirichlet": each disease's patients are
             spread by proportions drawn from Dirichlet(alpha) (Hsu et al. 2019, arXiv 1909.06335)
    alpha    concentration, for "dirichlet" only; small means that a disease keeps together
    fold     1 to `folds`: this fold's test patients are set apart, in proportion to the diseases
    test_patients    number of patients set apart for tests, in proportion to the diseases; not together with `fold`
    server_patients  number of patients set apart for validation on the server
    validation_patients  number of each hospital's patients that validate, 0 for none; None: about 15 %
    seed     the job's seed; folds of the same seed never share a test patient

    Raises UsageError where a value is out of range.
    """

    sites: int = 10
    by: By = "stratified"
    alpha: float | None = None
    fold: int | None = None
    folds: int = 5
    test_patients: int = 0
    server_patients: int = 0
    validation_patients: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("stratified", "iid", "dirichlet"):
            raise UsageError(f"by is {self.by!r}: use stratified, iid or dirichlet")
        if self.test_patients < 0:
            raise UsageError(f"test_patients is {self.test_patients}: give 0 or more")
        if self.test_patients and self.fold is not None:
            raise UsageError("a fold and a number of test patients exclude each other: ask for one of them")
        if self.validation_patients is not None and self.validation_patients < 0:
            raise UsageError(f"validation_patients is {self.validation_patients}: give 0 or more")
        check_numbers(self.sites, self.by, self.alpha, self.fold, self.folds, self.server_patients)


def make_scan_plan(group_of: Mapping[str, str], settings: ScanPartitionSettings) -> Plan:
    """Deal the patients, given as patient -> disease ("" where unknown). Patients are sorted by name in every place.

    Raises UsageError where there are too few patients, or no disease is known to deal by.
    """
    s = settings
    if s.by != "iid" and not any(group_of.values()):
        raise UsageError(f"{s.by} deals by disease, and no patient's is known: use iid")
    if s.fold is not None:
        test = fold_patients(group_of, s.fold, s.folds, s.seed)
    else:
        test = set_apart(group_of, s.test_patients, s.seed, "disease", "test") if s.test_patients else ()
    rest = without(group_of, test)
    server = set_apart(rest, s.server_patients, s.seed, "disease") if s.server_patients else ()
    rest = without(rest, server)
    check_enough(len(rest), s.sites, len(test), len(server))
    if s.by == "stratified":
        hospitals = deal_in_turn(rest, s.sites, s.seed)
    elif s.by == "iid":
        hospitals = deal_shuffled(rest, s.sites, s.seed)
    else:
        hospitals = deal_dirichlet(rest, s.sites, s.alpha or 1.0, s.seed)
    if s.validation_patients is None:
        sites = split_hospitals(hospitals, s.seed)
        return Plan(sites, test, server, tuple(train_only_warnings(sites)))
    sites = {
        site_name(i): split_off(site_name(i), patients, s.validation_patients, s.seed)
        for i, patients in enumerate(hospitals, start=1)
    }
    return Plan(sites, test, server, ())


def deal_in_turn(group_of: Mapping[str, str], sites: int, seed: int) -> list[list[str]]:
    """One disease after the other, its shuffled patients round and round: each share differs by at most one."""
    ordered = [patient for group in grouped(group_of, seed, "hospitals").values() for patient in group]
    return [ordered[i::sites] for i in range(sites)]


def split_off(site: str, patients: list[str], validation: int, seed: int) -> Split:
    """`validation` of a hospital's patients validate, the others train; UsageError where nobody would train."""
    if validation >= len(patients):
        raise UsageError(
            f"{site} has {len(patients)} patients, and validation_patients is {validation}: nobody would train; "
            "ask for fewer, or for fewer sites"
        )
    ordered = shuffled(patients, seed, "validation")
    return Split(train=tuple(sorted(ordered[validation:])), validation=tuple(sorted(ordered[:validation])))
