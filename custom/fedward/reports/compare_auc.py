"""Classification runs side by side: one row a method, with paired differences over the same test patients."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedward.errors import UsageError
from fedward.progress import map_in_processes
from fedward.reports.initialisations import group_by_initialisation
from fedward.reports.methods import mean_steps, median_rounds, notes_on_runs, notes_on_steps
from fedward.reports.metrics import bytes_received, bytes_sent, number, rounds_to_reach
from fedward.reports.predictions import Predictions, read_predictions
from fedward.reports.run_data import Run
from fedward.rounds.record import global_curve
from fedward.training.auc import DRAWS, auc_per_finding, bootstrap_auc, draw_means, interval

MUCH = 20_000_000  # labels in all draws of all models from which processes are worth their start

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over patients; None where it has none."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AucRow:
    """One method over all its seeds and draws of labels; `received`, `sent` (by the server) and `steps` are a run's.

    findings   AUC of each finding, None where the test patients have one class only
    rounds     median rounds until the validation mean AUC reaches the target; None where that was not reached
    """

    title: str
    runs: int
    mean: Estimate | None
    findings: tuple[float | None, ...]
    difference: Estimate | None
    rounds: float | None
    received: float
    sent: float


@dataclass(frozen=True)
class AucComparison:
    """`model` is "best" or "last"; `curves`: method -> (rounds completed, validation mean AUC) of each run.

    `target` is a validation mean AUC, None where there is none; `positives` are those of the test images.
    """

    model: str
    data_set: str
    patients: int
    images: int
    findings: tuple[str, ...]
    positives: tuple[int, ...]
    reference: str
    target: float | None
    rows: tuple[AucRow, ...]
    curves: dict[str, list[list[tuple[int, float]]]]
    notes: tuple[str, ...]


def compare_classifications(
    runs: Sequence[Run], model: str = "best", reference: Run | None = None, target: float | None = None
) -> AucComparison:
    """Compare methods on the same test images; seeds and draws of labels of one method are averaged.

    Differences are to the method that `reference` belongs to, the first run unless given. `target` is the validation
    mean AUC that rounds are counted to, unless given the mean of the reference's last models.

    Raises UsageError where the runs cannot be compared (other data, other test images), FedwardError where one has no
    test result.
    """
    if not runs:
        raise UsageError("name at least one run folder to compare")
    predictions = [read_predictions(run, model) for run in runs]
    _check_same_images(runs, predictions)
    methods = group_by_initialisation(runs)
    own = next(title for title, group in methods.items() if any(run is (reference or runs[0]) for run in group))
    first = predictions[0]
    by_run = {id(run): drawn for run, drawn in zip(runs, _bootstrap(predictions), strict=True)}
    averaged = {title: _average([by_run[id(run)] for run in group]) for title, group in methods.items()}
    target = _last_auc(methods[own]) if target is None else target
    rows = []
    for title, group in methods.items():
        values, drawn = averaged[title]
        difference = None if title == own else _estimate(values - averaged[own][0], drawn - averaged[own][1])
        reached = [None if target is None else rounds_to_reach(run.records, target) for run in group]
        rows.append(
            AucRow(
                title=title,
                runs=len(group),
                mean=_estimate(values, drawn),
                findings=tuple(None if np.isnan(value) else float(value) for value in values),
                difference=difference,
                rounds=median_rounds(reached),
                received=statistics.fmean(bytes_received(run.records) if run.federated else 0 for run in group),
                sent=statistics.fmean(bytes_sent(run.records) if run.federated else 0 for run in group),
            )
        )
    return AucComparison(
        model=model,
        data_set=first.data_set,
        patients=len(set(first.patients)),
        images=len(first.labels),
        findings=first.findings,
        positives=tuple(int(n) for n in (first.labels == 1).sum(axis=0)),
        reference=own,
        target=target,
        rows=tuple(sorted(rows, key=lambda row: row.title != own)),
        curves={title: [_curve(run) for run in group] for title, group in methods.items()},
        notes=(*notes_on_runs(runs), *notes_on_steps([mean_steps(group) for group in methods.values()])),
    )


def _check_same_images(runs: Sequence[Run], predictions: Sequence[Predictions]) -> None:
    for run, other in zip(runs, predictions, strict=True):
        first = predictions[0]
        if other.data_set != first.data_set:
            raise UsageError(
                f"the runs are about different data sets ({first.data_set}, {other.data_set}): compare them separately"
            )
        if (other.images, other.patients, other.findings) != (first.images, first.patients, first.findings):
            raise UsageError(
                f"{runs[0].folder.root} and {run.folder.root} were tested on different images: compare runs of one "
                "partition, one fold at a time"
            )
        if not np.array_equal(other.labels, first.labels, equal_nan=True):
            raise UsageError(
                f"{runs[0].folder.root} and {run.folder.root} were tested with different labels: compare runs that "
                "treat uncertain labels in the same way"
            )


def _bootstrap(predictions: Sequence[Predictions]) -> list[tuple[Floats, Floats]]:
    """Of each run (C,) AUCs and (draws, C) drawn ones, the means over its models; all share the draws of patients."""
    models = [scores for p in predictions for scores in p.scores]
    labels, patients = predictions[0].labels, predictions[0].patients
    much = labels.size * len(models) * DRAWS > MUCH
    drawn = map_in_processes(partial(_drawn, labels=labels, patients=patients), models, "Drawing", 0 if much else 1)
    found = []
    for prediction in predictions:
        parts = [next(drawn) for _ in prediction.scores]
        found.append(_average(parts))
    return found


def _drawn(scores: NDArray[np.float32], labels: NDArray[np.float32], patients: Sequence[str]) -> tuple[Floats, Floats]:
    return auc_per_finding(scores, labels).values, bootstrap_auc(scores, labels, patients)


def _average(parts: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    return np.mean([values for values, _ in parts], axis=0), np.mean([drawn for _, drawn in parts], axis=0)


def _estimate(values: Floats, drawn: Floats) -> Estimate | None:
    """Mean over the findings that have both classes, in each draw over those that it has both classes of."""
    if np.isnan(values).all():
        return None
    value, *limits = interval(float(np.nanmean(values)), draw_means(drawn))
    low, high = (None if np.isnan(limit) else limit for limit in limits)
    return Estimate(value, low, high)


def _curve(run: Run) -> list[tuple[int, float]]:
    return [(done, auc) for done, e in global_curve(run.records) if (auc := number(e.get("quality"))) is not None]


def _last_auc(group: Sequence[Run]) -> float | None:
    """Validation mean AUC of the last global model, mean over the runs; None where one was not measured."""
    curves = [_curve(run) for run in group]
    return statistics.fmean(curve[-1][1] for curve in curves) if all(curves) else None
