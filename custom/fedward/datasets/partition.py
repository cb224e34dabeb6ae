"""Who holds which patient: a plan that deals patients, never slices, to test, server and hospitals.

Every order comes from a hash of seed, purpose and patient, so a plan depends on the set of patients and not on the
order of a directory. Test patients are set apart first, then the server's, then the hospitals' are dealt and each
hospital splits its own into training and validation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Literal

import numpy as np

from fedward.datasets.base import Split
from fedward.errors import UsageError
from fedward.seeds import derive_seed

VALIDATION_SHARE = 0.15
By = Literal["institution", "iid", "dirichlet"]


@dataclass(frozen=True)
class PartitionSettings:
    """How patients are dealt.

    sites    number of hospitals, 1 to 99
    by       "institution": each hospital holds patients of exactly one institution, and an institution's hospitals
             differ in size (1:2:3:...); "iid": shuffled, equal sizes; "dirichlet": each institution's patients are
             spread by proportions drawn from Dirichlet(alpha) (Hsu et al. 2019, arXiv 1909.06335)
    alpha    concentration, for "dirichlet" only; small means that institutions keep together
    fold     1 to `folds`: this fold's test patients are set apart; None: no test patients
    server_patients  number of patients set apart for validation on the server
    seed     the job's seed; folds of the same seed never share a test patient

    Raises UsageError where a value is out of range.
    """

    sites: int
    by: By = "institution"
    alpha: float | None = None
    fold: int | None = None
    folds: int = 5
    server_patients: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("institution", "iid", "dirichlet"):
            raise UsageError(f"by is {self.by!r}: use institution, iid or dirichlet")
        check_numbers(self.sites, self.by, self.alpha, self.fold, self.folds, self.server_patients)


def check_numbers(sites: int, by: str, alpha: float | None, fold: int | None, folds: int, server_patients: int) -> None:
    """Raise UsageError where one of these settings is out of range."""
    if not 1 <= sites <= 99:
        raise UsageError(f"sites is {sites}: give a number from 1 to 99")
    if by == "dirichlet" and (alpha is None or not isfinite(alpha) or not 1e-3 <= alpha <= 1e6):
        raise UsageError(f"alpha is {alpha}: dirichlet needs a number from 0.001 to 1000000, e.g. 0.5")
    if by != "dirichlet" and alpha is not None:
        raise UsageError(f"alpha has no meaning for {by}: leave it out or use dirichlet")
    if folds < 2:
        raise UsageError(f"folds is {folds}: give 2 or more")
    if fold is not None and not 1 <= fold <= folds:
        raise UsageError(f"fold is {fold}: give a number from 1 to {folds}")
    if server_patients < 0:
        raise UsageError(f"server_patients is {server_patients}: give 0 or more")


@dataclass(frozen=True)
class Plan:
    """Each patient in exactly one place: a hospital's training or validation, the test set, or the server."""

    sites: dict[str, Split]
    test: tuple[str, ...]
    server: tuple[str, ...]
    warnings: tuple[str, ...]


def make_plan(institution_of: Mapping[str, str], settings: PartitionSettings) -> Plan:
    """Deal the patients, given as patient -> institution. Patients are sorted by name in every place.

    Raises UsageError where there are too few patients or, by institution, fewer hospitals than institutions.
    """
    s = settings
    test = fold_patients(institution_of, s.fold, s.folds, s.seed) if s.fold is not None else ()
    rest = without(institution_of, test)
    server = set_apart(rest, s.server_patients, s.seed) if s.server_patients else ()
    rest = without(rest, server)
    check_enough(len(rest), s.sites, len(test), len(server))
    if s.by == "institution":
        hospitals = _by_institution(rest, s)
    elif s.by == "iid":
        hospitals = deal_shuffled(rest, s.sites, s.seed)
    else:
        hospitals = deal_dirichlet(rest, s.sites, s.alpha or 1.0, s.seed)
    sites = split_hospitals(hospitals, s.seed)
    gone = sorted(set(institution_of.values()) - set(rest.values()))
    warnings = [
        f"institution {code} is in no hospital: all its patients are set apart; "
        "the hospitals are dealt among the other institutions"
        for code in gone
    ]
    return Plan(sites, test, server, (*warnings, *train_only_warnings(sites)))


def check_enough(left: int, sites: int, test: int, server: int) -> None:
    """Raise UsageError where fewer patients are left than there are hospitals."""
    if left < sites:
        raise UsageError(
            f"{left} patients are left for {sites} hospitals ({test} test, {server} server): "
            "ask for fewer sites, or give more patients"
        )


def split_hospitals(hospitals: list[list[str]], seed: int) -> dict[str, Split]:
    """hospital-01, hospital-02, ... with the default split of their patients."""
    return {site_name(i): default_split(patients, seed) for i, patients in enumerate(hospitals, start=1)}


def train_only_warnings(sites: Mapping[str, Split]) -> list[str]:
    """A sentence for each hospital without validation patients."""
    return [
        f"{name} has one patient: it trains only, without validation"
        for name, split in sites.items()
        if not split.validation
    ]


def site_name(number: int) -> str:
    """hospital-01, hospital-02, ..."""
    return f"hospital-{number:02d}"


def default_split(patients: Iterable[str], seed: int) -> Split:
    """About 15 % of the patients validate, at least one of two or more; a single patient trains."""
    ordered = shuffled(patients, seed, "validation")
    count = max(1, int(VALIDATION_SHARE * len(ordered) + 0.5)) if len(ordered) >= 2 else 0
    return Split(train=tuple(sorted(ordered[count:])), validation=tuple(sorted(ordered[:count])))


def fold_patients(institution_of: Mapping[str, str], fold: int, folds: int, seed: int) -> tuple[str, ...]:
    """Test patients of a fold (1 to `folds`): over the folds every patient is tested exactly once.

    Institutions are dealt one after the other, round and round over the folds, so that folds differ by at most one
    patient, and an institution's shares in them too. An institution's only patient is tested in one fold as well; it
    then is in no hospital of that fold.
    """
    if len(institution_of) < folds:
        raise UsageError(f"{len(institution_of)} patients cannot fill {folds} folds: use fewer folds")
    ordered = [patient for group in grouped(institution_of, seed, "folds").values() for patient in group]
    return tuple(sorted(ordered[fold - 1 :: folds]))


def set_apart(
    institution_of: Mapping[str, str], count: int, seed: int, group: str = "institution", purpose: str = "server"
) -> tuple[str, ...]:
    """`count` patients in proportion to the institutions, leaving each institution at least one."""
    groups = grouped(institution_of, seed, purpose)
    spare = [len(group) - 1 for group in groups.values()]
    if count > sum(spare):
        raise UsageError(
            f"{count} {purpose} patients are more than the {sum(spare)} that can be set apart "
            f"(each {group} keeps one): ask for fewer"
        )
    counts = apportion(count, spare)
    return tuple(sorted(p for group, n in zip(groups.values(), counts, strict=True) for p in group[:n]))


def apportion(total: int, weights: Iterable[float]) -> list[int]:
    """Whole numbers in proportion to `weights` (not all zero) that sum to `total` (largest remainder, ties: first)."""
    shares = np.asarray(list(weights), dtype=np.float64)
    shares = total * shares / shares.sum() if total else 0 * shares
    counts = np.floor(shares).astype(int)
    order = np.argsort(-(shares - counts), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return [int(n) for n in counts]


def _by_institution(institution_of: Mapping[str, str], settings: PartitionSettings) -> list[list[str]]:
    groups = grouped(institution_of, settings.seed, "hospitals")
    if settings.sites < len(groups):
        raise UsageError(
            f"{settings.sites} hospitals cannot hold one institution each: there are {len(groups)} "
            f"({', '.join(groups)}); ask for {len(groups)} sites or more, or use iid or dirichlet"
        )
    # The next hospital goes to the institution with most patients a hospital after it got it (D'Hondt).
    number = dict.fromkeys(groups, 1)
    for _ in range(settings.sites - len(groups)):
        open_to = [code for code in groups if number[code] < len(groups[code])]
        number[max(open_to, key=lambda code: len(groups[code]) / (number[code] + 1))] += 1
    hospitals = []
    for code, patients in groups.items():
        hospitals += _cut(patients, unequal_sizes(len(patients), number[code]))
    return hospitals


def unequal_sizes(patients: int, hospitals: int) -> list[int]:
    """Sizes near h : ... : 2 : 1, largest first, each at least 2 where there are enough patients (else at least 1)."""
    least = 2 if patients >= 2 * hospitals else 1
    extra = apportion(patients - least * hospitals, range(hospitals, 0, -1))
    return [least + n for n in extra]


def deal_shuffled(patients: Iterable[str], sites: int, seed: int) -> list[list[str]]:
    """Shuffled patients in parts that differ by at most one."""
    ordered = shuffled(patients, seed, "hospitals")
    return _cut(ordered, apportion(len(ordered), [1] * sites))


def deal_dirichlet(institution_of: Mapping[str, str], sites: int, alpha: float, seed: int) -> list[list[str]]:
    """Each institution's patients spread by proportions drawn from Dirichlet(alpha); no hospital stays empty."""
    rng = np.random.default_rng(derive_seed(seed, "dirichlet"))
    hospitals: list[list[str]] = [[] for _ in range(sites)]
    for patients in grouped(institution_of, seed, "hospitals").values():
        shares = rng.dirichlet([alpha] * sites)
        for hospital, part in zip(hospitals, _cut(patients, apportion(len(patients), shares)), strict=True):
            hospital += part
    return fill_empty(hospitals)


def fill_empty(hospitals: list[list[str]]) -> list[list[str]]:
    """The same hospitals; one that a draw left empty takes a patient of the largest."""
    for hospital in hospitals:
        if not hospital:
            hospital.append(max(hospitals, key=len).pop())
    return hospitals


def without(institution_of: Mapping[str, str], patients: tuple[str, ...]) -> dict[str, str]:
    gone = set(patients)
    return {patient: code for patient, code in institution_of.items() if patient not in gone}


def grouped(institution_of: Mapping[str, str], seed: int, purpose: str) -> dict[str, list[str]]:
    """Institution -> its patients, shuffled; institutions in order of name."""
    counts = Counter(institution_of.values())
    return {
        code: shuffled((p for p, c in institution_of.items() if c == code), seed, purpose) for code in sorted(counts)
    }


def shuffled(patients: Iterable[str], seed: int, purpose: str) -> list[str]:
    return sorted(patients, key=lambda patient: (derive_seed(seed, purpose, patient), patient))


def _cut(patients: list[str], sizes: list[int]) -> list[list[str]]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [patients[a:b] for a, b in pairwise(ends)]
