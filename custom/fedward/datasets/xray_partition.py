"""Who holds which patient's X-rays: a plan by patient over several findings an image.

A patient goes with the rarest finding in any of its images; a patient without any goes with No Finding. Hospital
sizes count images, and as patients stay whole, a size may differ from what was asked by a patient's images. Orders
come from hashes, as in `partition`, so a plan depends on the set of rows and not on their order.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedward.datasets.image_table import ImageTable
from fedward.datasets.partition import (
    Plan,
    check_enough,
    check_numbers,
    fill_empty,
    fold_patients,
    grouped,
    set_apart,
    shuffled,
    split_hospitals,
    train_only_warnings,
    without,
)
from fedward.errors import UsageError
from fedward.seeds import derive_seed

NO_FINDING = "No Finding"
LEAST_SHARE = 0.25
By = Literal["iid", "non_iid", "dirichlet"]


@dataclass(frozen=True)
class XrayPartitionSettings:
    """How the patients of an image data set are dealt.

    sites    number of hospitals, 1 to 99
    by       "iid": shuffled, equal sizes; "non_iid": unequal sizes, the rarest finding dealt to one hospital until it
             is full, then to the next, and so on up to the most frequent (Kong & Kim 2022, doi
             10.13088/jiis.2022.28.4.027); "dirichlet": the patients of each rarest finding are spread by proportions
             drawn from Dirichlet(alpha) (Hsu et al. 2019, arXiv 1909.06335)
    alpha    concentration, for "dirichlet" only; small means that a finding keeps together
    no_finding  for "non_iid": "proportional" deals patients without finding first, in proportion to the hospitals'
             sizes; "literal" deals them last, so that the last hospitals may see no finding at all
    fold     1 to `folds`: this fold's test patients are set apart, in proportion to the rarest findings
    official_test    the data set's own test patients are set apart; not together with `fold`
    server_patients  number of patients set apart for validation on the server
    seed     the job's seed; folds of the same seed never share a test patient

    Raises UsageError where a value is out of range.
    """

    sites: int = 10
    by: By = "non_iid"
    alpha: float | None = None
    no_finding: Literal["proportional", "literal"] = "proportional"
    fold: int | None = None
    folds: int = 5
    official_test: bool = False
    server_patients: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("iid", "non_iid", "dirichlet"):
            raise UsageError(f"by is {self.by!r}: use iid, non_iid or dirichlet")
        if self.no_finding not in ("proportional", "literal"):
            raise UsageError(f"no_finding is {self.no_finding!r}: use proportional or literal")
        if self.no_finding == "literal" and self.by != "non_iid":
            raise UsageError(f"no_finding has no meaning for {self.by}: leave it out or use non_iid")
        if self.official_test and self.fold is not None:
            raise UsageError("a fold and the official test list exclude each other: ask for one of them")
        check_numbers(self.sites, self.by, self.alpha, self.fold, self.folds, self.server_patients)


@dataclass(frozen=True)
class Cohort:
    """Patients as they are dealt.

    images   patient -> number of images
    finding  patient -> the rarest finding in its images, or No Finding
    order    findings by number of images, rarest first (ties by name), No Finding last
    """

    images: dict[str, int]
    finding: dict[str, str]
    order: tuple[str, ...]


def cohort(table: ImageTable) -> Cohort:
    """The patients of a table. Unknown labels (NaN) count as absent."""
    columns = [i for i, name in enumerate(table.findings) if name != NO_FINDING]
    present = table.labels[:, columns] == 1
    names = [table.findings[i] for i in columns]
    order = sorted(range(len(names)), key=lambda i: (int(present[:, i].sum()), names[i]))
    # The first True of a row, with the columns rarest first and an always-True last one for No Finding.
    ranked = np.column_stack([present[:, order], np.ones(len(table), np.bool_)])
    rank_of: dict[str, int] = {}
    for patient, rank in zip(table.patients, ranked.argmax(axis=1).tolist(), strict=True):
        rank_of[patient] = min(rank, rank_of.get(patient, rank))
    ordered = (*(names[i] for i in order), NO_FINDING)
    finding = {patient: ordered[rank] for patient, rank in rank_of.items()}
    return Cohort(dict(Counter(table.patients)), finding, ordered)


def make_xray_plan(people: Cohort, settings: XrayPartitionSettings, official: Collection[str] = ()) -> Plan:
    """Deal the patients; `official` names the data set's own test patients. Patients are sorted by name in every place.

    Raises UsageError where there are too few patients, no finding to deal by, or nobody of the official list is here.
    """
    s = settings
    if s.by != "iid" and len(people.order) == 1:
        raise UsageError(f"{s.by} deals by finding, and these images have no labels: use iid")
    test: tuple[str, ...] = ()
    if s.official_test:
        test = tuple(sorted(set(official) & people.finding.keys()))
        if not test:
            raise UsageError("none of these patients is on the official test list: use a fold, or give the whole set")
    elif s.fold is not None:
        test = fold_patients(people.finding, s.fold, s.folds, s.seed)
    rest = without(people.finding, test)
    server = set_apart(rest, s.server_patients, s.seed, "finding") if s.server_patients else ()
    rest = without(rest, server)
    check_enough(len(rest), s.sites, len(test), len(server))
    deal = {"iid": _iid, "non_iid": _non_iid, "dirichlet": _dirichlet}[s.by]
    sites = split_hospitals(fill_empty(deal(people, rest, s)), s.seed)
    return Plan(sites, test, server, tuple(train_only_warnings(sites)))


def unequal_shares(sites: int, seed: int) -> NDArray[np.float64]:
    """Each hospital's share of all images, (sites,) float64, sum 1, each at least a quarter of an equal share.

    What is above that least share is uniform over all ways to divide it: Dirichlet(1, ..., 1).
    """
    least = LEAST_SHARE / sites
    rng = np.random.default_rng(derive_seed(seed, "shares"))
    shares: NDArray[np.float64] = least + (1 - LEAST_SHARE) * rng.dirichlet(np.ones(sites))
    return shares


def deal_whole(patients: Sequence[str], images: Mapping[str, int], ends: ArrayLike) -> list[list[str]]:
    """Cut a sequence of patients into hospitals: after hospital i, about `ends[i]` images (not falling) are dealt.

    Each cut lies between two patients, as near as possible to what was asked, so at most half a patient's images off.
    """
    totals = np.cumsum([0, *(images[p] for p in patients)])
    wanted = np.clip(np.asarray(ends, np.float64)[:-1], 0, totals[-1])
    after = np.searchsorted(totals, wanted)
    before = np.maximum(after - 1, 0)
    cuts = np.where(wanted - totals[before] <= totals[after] - wanted, before, after).tolist()
    bounds = [0, *cuts, len(patients)]
    return [list(patients[a:b]) for a, b in pairwise(bounds)]


def _iid(people: Cohort, rest: Mapping[str, str], s: XrayPartitionSettings) -> list[list[str]]:
    patients = shuffled(rest, s.seed, "hospitals")
    ends = np.arange(1, s.sites + 1) * (_count(people, patients) / s.sites)
    return deal_whole(patients, people.images, ends)


def _non_iid(people: Cohort, rest: Mapping[str, str], s: XrayPartitionSettings) -> list[list[str]]:
    groups = grouped(rest, s.seed, "hospitals")
    without_finding = groups.get(NO_FINDING, [])
    by_rarity = [p for finding in people.order[:-1] for p in groups.get(finding, [])]
    ends = np.cumsum(unequal_shares(s.sites, s.seed))
    sizes = ends * _count(people, rest)
    if s.no_finding == "literal":
        return deal_whole(by_rarity + without_finding, people.images, sizes)
    first = deal_whole(without_finding, people.images, ends * _count(people, without_finding))
    # What is left of each size, from the start on; it must not fall where a patient was larger than a hospital.
    left = np.maximum.accumulate(sizes - np.cumsum([_count(people, part) for part in first]))
    second = deal_whole(by_rarity, people.images, left)
    return [a + b for a, b in zip(first, second, strict=True)]


def _dirichlet(people: Cohort, rest: Mapping[str, str], s: XrayPartitionSettings) -> list[list[str]]:
    rng = np.random.default_rng(derive_seed(s.seed, "dirichlet"))
    hospitals: list[list[str]] = [[] for _ in range(s.sites)]
    for patients in grouped(rest, s.seed, "hospitals").values():
        ends = np.cumsum(rng.dirichlet([s.alpha or 1.0] * s.sites)) * _count(people, patients)
        for hospital, part in zip(hospitals, deal_whole(patients, people.images, ends), strict=True):
            hospital += part
    return hospitals


def _count(people: Cohort, patients: Collection[str]) -> int:
    return sum(people.images[p] for p in patients)
