"""Segmentations into structures side by side: one row a method, with paired differences over the test patients."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedward.errors import UsageError
from fedward.reports.compare_auc import Estimate
from fedward.reports.initialisations import group_by_initialisation
from fedward.reports.methods import check_tested, mean_steps, notes_on_runs, notes_on_steps, tested_patients
from fedward.reports.metrics import bytes_received, number
from fedward.reports.run_data import Run
from fedward.training.patient_bootstrap import mean_with_interval
from fedward.training.scan_scores import mean_known

Values = dict[str, float]  # patient -> the mean over the patient's scans that have a value
Place = tuple[str, str, str]  # patient, frame, structure


@dataclass(frozen=True)
class Scores:
    """What is told of the mean over the structures, or of one of them.

    dice, hd95 (mm)  means over patients with their intervals; difference: of Dice, to the reference; None without any
    """

    dice: Estimate | None
    hd95: Estimate | None
    difference: Estimate | None


@dataclass(frozen=True)
class StructuresRow:
    """One method over all its seeds and draws of labelled patients; `received` are the server's bytes in a run."""

    title: str
    runs: int
    mean: Scores
    structures: tuple[Scores, ...]
    received: float


@dataclass(frozen=True)
class StructuresComparison:
    """`model` is "best" or "last"; differences are to the method called `reference`."""

    model: str
    data_set: str
    patients: int
    scans: int
    structures: tuple[str, ...]
    reference: str
    rows: tuple[StructuresRow, ...]
    notes: tuple[str, ...]


def compare_structures(runs: Sequence[Run], model: str = "best", reference: Run | None = None) -> StructuresComparison:
    """Compare methods on the same test scans; seeds and draws of labelled patients of one method are averaged.

    Differences are to the method that `reference` belongs to, the first run unless given. Both frames of a patient go
    together everywhere. HD95 is over the structures of scans that have one in every run.

    Raises UsageError where the runs cannot be compared (other data, other test scans), FedwardError where one has no
    test result.
    """
    if not runs:
        raise UsageError("name at least one run folder to compare")
    for run in runs:
        check_tested(run, model)
    _check_same_scans(runs, model)
    methods = group_by_initialisation(runs)
    own = next(title for title, group in methods.items() if any(run is (reference or runs[0]) for run in group))
    test: Any = runs[0].test
    names = tuple(str(name) for name in test["structures"])
    judged, known = _with_distance(runs, model)
    rows = [
        StructuresRow(
            title=title,
            runs=len(group),
            mean=_scores(group, methods[own], model, names, judged),
            structures=tuple(_scores(group, methods[own], model, (name,), judged) for name in names),
            received=statistics.fmean(bytes_received(run.records) if run.federated else 0 for run in group),
        )
        for title, group in methods.items()
    ]
    return StructuresComparison(
        model=model,
        data_set=str(test.get("data_set")),
        patients=len(tested_patients(runs[0])),
        scans=len(test["models"][model]["per_scan"]),
        structures=names,
        reference=own,
        rows=tuple(sorted(rows, key=lambda row: row.title != own)),
        notes=(
            *notes_on_runs(runs),
            *notes_on_steps([mean_steps(group) for group in methods.values()]),
            *_notes_on_distances(len(judged), len(known)),
        ),
    )


def _with_distance(runs: Sequence[Run], model: str) -> tuple[set[Place], set[Place]]:
    """Structures of scans that have an HD95 in every run: a method that misses one must not gain by it; and in any."""
    found = [
        {
            (str(scan["patient"]), str(scan["frame"]), str(name))
            for scan in _scans(run, model)
            for name, scores in scan["structures"].items()
            if number(scores.get("hd95")) is not None
        }
        for run in runs
    ]
    return found[0].intersection(*found[1:]), found[0].union(*found[1:])


def _notes_on_distances(judged: int, known: int) -> list[str]:
    if judged == known:
        return []
    return [
        f"HD95 is over the {judged:,} of {known:,} structures of scans that every run found: one that is missed has "
        "no distance."
    ]


def _scores(
    group: Sequence[Run], reference: Sequence[Run], model: str, names: tuple[str, ...], judged: set[Place]
) -> Scores:
    """Of one structure, or of the mean over all of a scan that have a value."""

    def dice_of(scan: Mapping[str, Any]) -> float | None:
        return number((scan["structures"][names[0]] if len(names) == 1 else scan).get("dice"))

    def hd95_of(scan: Mapping[str, Any]) -> float | None:
        return mean_known(
            [
                number(scan["structures"][name].get("hd95"))
                for name in names
                if (str(scan["patient"]), str(scan["frame"]), name) in judged
            ]
        )

    dice, hd95 = _averaged(group, model, dice_of), _averaged(group, model, hd95_of)
    difference = None
    if group is not reference:
        other = _averaged(reference, model, dice_of)
        difference = _estimate({patient: dice[patient] - other[patient] for patient in dice.keys() & other.keys()})
    return Scores(_estimate(dice), _estimate(hd95), difference)


def _averaged(group: Sequence[Run], model: str, value_of: Callable[[Mapping[str, Any]], float | None]) -> Values:
    """Each patient's value, mean over scans, then over the runs; patients who have one in every run."""
    tables = []
    for run in group:
        by_patient: dict[str, list[float]] = {}
        for scan in _scans(run, model):
            if (value := value_of(scan)) is not None:
                by_patient.setdefault(str(scan["patient"]), []).append(value)
        tables.append({patient: statistics.fmean(values) for patient, values in by_patient.items()})
    common = set(tables[0]).intersection(*tables[1:])
    return {patient: statistics.fmean(table[patient] for table in tables) for patient in common}


def _estimate(values: Values) -> Estimate | None:
    if not values:
        return None
    value, *limits = mean_with_interval(np.array([values[patient] for patient in sorted(values)]))
    low, high = (float(limit) if np.isfinite(limit) else None for limit in limits)
    return Estimate(value, low, high)


def _scans(run: Run, model: str) -> list[dict[str, Any]]:
    assert run.test is not None  # check_tested
    scans: list[dict[str, Any]] = run.test["models"][model]["per_scan"]
    return scans


def _check_same_scans(runs: Sequence[Run], model: str) -> None:
    first = runs[0]
    for run in runs:
        tests: list[Any] = [first.test, run.test]
        sets = [test.get("data_set") for test in tests]
        if sets[0] != sets[1]:
            raise UsageError(f"the runs are about different data sets ({sets[0]}, {sets[1]}): compare them separately")
        held = [sorted((scan["patient"], scan["frame"]) for scan in _scans(each, model)) for each in (first, run)]
        if held[0] != held[1] or tests[0].get("structures") != tests[1].get("structures"):
            raise UsageError(
                f"{first.folder.root} and {run.folder.root} were tested on different scans or structures: compare runs "
                "of one partition, one fold at a time"
            )
