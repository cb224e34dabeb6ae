"""Several runs side by side: one row a method, with paired differences over the test patients."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedward.errors import UsageError
from fedward.reports.methods import (
    CENTRAL,
    CONTROL,
    REFERENCE,
    Methods,
    check_tested,
    folds,
    group_by_method,
    mean_steps,
    median_rounds,
    notes_on_runs,
    notes_on_steps,
    tested_patients,
)
from fedward.reports.metrics import (
    best_validation,
    bytes_received,
    institutions,
    overlap,
    paired_bootstrap,
    patient_dice,
    pixel_counts,
    rounds_to_reach,
    worst_institution,
)
from fedward.reports.run_data import Run

TARGET = 0.95
ORDER = (CENTRAL, REFERENCE, "costw", "costw_ce", "dcew", CONTROL, "uniform", "fedpid", "local")
TITLES = {
    CENTRAL: "centralised",
    REFERENCE: "FedAvg",
    "costw": "FedCostWAvg",
    "costw_ce": "CostW+CE",
    "dcew": "DCEW",
    CONTROL: "half/half (control)",
    "uniform": "uniform",
    "fedpid": "FedPIDAvg",
    "local": "each hospital alone",
}


@dataclass(frozen=True)
class Difference:
    """Mean per-patient Dice of one method minus another's, with the 95 % interval of a paired bootstrap."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        return self.low > 0


@dataclass(frozen=True)
class MethodRow:
    """One method over all its folds and seeds. Fractions in [0, 1]; `bytes` and `steps` are means per run.

    worst   (institution, mean volume Dice, patients)
    rounds  median rounds until 95 % of the centralised validation Dice; None where that was not reached or not known
    gap     share of the gap between FedAvg and centralised training that is closed; None where there is no clear gap
    """

    method: str
    title: str
    runs: int
    iou: float | None
    dice: float | None
    mean: float
    median: float
    worst: tuple[str, float, int]
    rounds: float | None
    bytes: float
    steps: float
    against_reference: Difference | None
    against_control: Difference | None
    gap: float | None


@dataclass(frozen=True)
class Comparison:
    """`model` is "best" or "last"; `notes` are sentences a reader must know."""

    model: str
    data_set: str
    patients: int
    folds: int
    rows: tuple[MethodRow, ...]
    notes: tuple[str, ...]


def compare_runs(runs: Sequence[Run], model: str = "best") -> Comparison:
    """Compare methods on the same test patients: folds are put together, seeds of one fold are averaged.

    Runs of one scheme that differ in their settings are different methods.

    Raises UsageError where runs cannot be compared (other data, other test patients), FedwardError where one has no
    test result.
    """
    if not runs:
        raise UsageError("name at least one run folder to compare")
    for run in runs:
        check_tested(run, model)
    data_sets = sorted({str(run.test.get("data_set")) for run in runs if run.test})
    if len(data_sets) > 1:
        raise UsageError(f"the runs are about different data sets ({', '.join(data_sets)}): compare them separately")
    methods = group_by_method(runs)
    dice = {label: averaged_dice(group, model) for label, group in methods.items()}
    gap = _difference(dice, CENTRAL, REFERENCE)
    rows = [_row(label, methods, dice, gap, model) for label in methods]
    return Comparison(
        model=model,
        data_set=data_sets[0],
        patients=len(next(iter(dice.values()))),
        folds=len(folds(next(iter(methods.values())))),
        rows=tuple(sorted(rows, key=_position)),
        notes=tuple(_notes(methods, gap)),
    )


def averaged_dice(group: Sequence[Run], model: str) -> dict[str, float]:
    """Each test patient's volume Dice, averaged over the seeds of its fold."""
    averaged: dict[str, float] = {}
    for fold in folds(group):
        tables = [patient_dice(entry) for entry in _entries(fold, model)]
        averaged |= {patient: statistics.fmean(table[patient] for table in tables) for patient in sorted(tables[0])}
    return averaged


def _entries(runs: Sequence[Run], model: str) -> list[dict[str, dict[str, object]]]:
    return [run.test["models"][model] for run in runs if run.test]


def _row(
    label: str, methods: Methods, dice: Mapping[str, dict[str, float]], gap: Difference | None, model: str
) -> MethodRow:
    group, own = methods[label], dice[label]
    counts = [0.0, 0.0, 0.0]  # folds count by their pixels, the seeds of a fold equally
    names: dict[str, str] = {}
    for fold in folds(group):
        entries = _entries(fold, model)
        for i, values in enumerate(zip(*(pixel_counts(e["evaluation"]) for e in entries), strict=True)):
            counts[i] += statistics.fmean(values)
        names |= institutions(entries[0])
    iou, pooled = overlap((counts[0], counts[1], counts[2]))
    worst = worst_institution(own, names)
    assert worst is not None  # check_tested: there are patients
    method = group[0].method
    mean = statistics.fmean(own.values())
    closable = gap is not None and gap.above_zero and label not in (CENTRAL, REFERENCE)
    return MethodRow(
        method=method,
        title=TITLES.get(method, method) + label.removeprefix(method),
        runs=len(group),
        iou=iou,
        dice=pooled,
        mean=mean,
        median=statistics.median(own.values()),
        worst=worst,
        rounds=_rounds(group, methods.get(CENTRAL, [])),
        bytes=statistics.fmean(bytes_received(r.records) if r.federated else 0 for r in group),
        steps=mean_steps(group),
        against_reference=_difference(dice, label, REFERENCE),
        against_control=_difference(dice, label, CONTROL),
        gap=(mean - statistics.fmean(dice[REFERENCE].values())) / gap.value if gap and closable else None,
    )


def _difference(dice: Mapping[str, dict[str, float]], label: str, other: str) -> Difference | None:
    if label not in dice or other not in dice or label == other:
        return None
    return Difference(*paired_bootstrap(dice[label], dice[other]))


def _rounds(group: list[Run], central: list[Run]) -> float | None:
    """Median rounds until 95 % of the best validation Dice of centralised training on the same fold (mean of seeds)."""
    reached: list[int | None] = []
    for run in group:
        same_fold = [best_validation(c.records) for c in central if tested_patients(c) == tested_patients(run)]
        best = [pair[1] for pair in same_fold if pair]
        reached.append(rounds_to_reach(run.records, TARGET * statistics.fmean(best)) if best else None)
    return median_rounds(reached)


def _position(row: MethodRow) -> tuple[int, str]:
    return (ORDER.index(row.method) if row.method in ORDER else len(ORDER), row.title)


def _notes(methods: Methods, gap: Difference | None) -> list[str]:
    """What makes the runs less comparable than they look, and why a column is empty."""
    notes = notes_on_runs([run for group in methods.values() for run in group])
    notes += notes_on_steps([mean_steps(group) for group in methods.values()])
    if CENTRAL not in methods:
        notes.append("Without a centralised run there are no rounds to 95 % and no share of the gap.")
    if REFERENCE not in methods:
        notes.append("Without a FedAvg run there are no differences to FedAvg and no share of the gap.")
    if gap and not gap.above_zero:
        notes.append(
            "Centralised training is not clearly better than FedAvg: there is no gap to give a closed share of."
        )
    return notes
