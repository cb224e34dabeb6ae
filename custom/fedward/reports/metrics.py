"""The numbers of the final table, from the test result and the round records. Pure functions."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedward.errors import FedwardError
from fedward.rounds.record import Record, global_curve, training_records

DEFINITIONS = {
    "pooled IoU": "TP / (TP + FP + FN) of tumour pixels, counted over all test images together (the paper's mIoU)",
    "pooled Dice": "2 TP / (2 TP + FP + FN) over the same pixels; equals 2 IoU / (1 + IoU)",
    "mean patient Dice": "Dice of each test patient's whole volume, averaged over patients; 1 where truth and "
    "prediction are both empty",
    "median patient Dice": "median over the same patients",
    "worst hospital": "the institution whose test patients have the lowest mean volume Dice",
    "bytes": "model updates that reached the server, all hospitals and rounds; what is sent out is about as much again",
    "cost": "mean binary cross entropy over all validation pixels",
}


@dataclass(frozen=True)
class FinalMetrics:
    """One model on the test patients. Fractions in [0, 1]; None where there is nothing to measure.

    `worst` is (institution, mean volume Dice, patients).
    """

    round: int | None
    iou: float | None
    dice: float | None
    mean: float | None
    median: float | None
    worst: tuple[str, float, int] | None
    patients: int
    images: int


def final_metrics(model: Mapping[str, Any]) -> FinalMetrics:
    """The final-table row of one entry of `test.json`'s "models".

    The pooled values come from the pixel counts, the others from the patients' volumes.
    """
    iou, dice = overlap(pixel_counts(model["evaluation"]))
    per_patient = patient_dice(model)
    values = list(per_patient.values())
    return FinalMetrics(
        round=model.get("round"),
        iou=iou,
        dice=dice,
        mean=statistics.fmean(values) if values else None,
        median=statistics.median(values) if values else None,
        worst=worst_institution(per_patient, institutions(model)),
        patients=len(values) or int(model["evaluation"].get("patients") or 0),
        images=int(model["evaluation"].get("images") or 0),
    )


def pixel_counts(evaluation: Mapping[str, Any]) -> tuple[float, float, float]:
    """True positive, false positive and false negative pixels of an evaluation."""
    tp, fp, fn = (float(evaluation.get(key) or 0) for key in ("true_positive", "false_positive", "false_negative"))
    return tp, fp, fn


def overlap(counts: tuple[float, float, float]) -> tuple[float | None, float | None]:
    """(IoU, Dice) of pixel counts; None where truth and prediction are both empty."""
    tp, fp, fn = counts
    union = tp + fp + fn
    return (tp / union, 2 * tp / (union + tp)) if union else (None, None)


def patient_dice(model: Mapping[str, Any]) -> dict[str, float]:
    """Volume Dice by patient; patients without a finite value are left out."""
    known = {patient: entry.get("dice") for patient, entry in model["per_patient"].items()}
    return {patient: float(dice) for patient, dice in known.items() if number(dice) is not None}


def institutions(model: Mapping[str, Any]) -> dict[str, str]:
    return {patient: str(entry.get("institution") or "?") for patient, entry in model["per_patient"].items()}


def number(value: Any) -> float | None:
    """`value` as a finite number, or None: what a record holds may be absent or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def worst_institution(dice: Mapping[str, float], institution: Mapping[str, str]) -> tuple[str, float, int] | None:
    """(name, mean volume Dice, patients) of the institution with the lowest mean; ties go to the first name."""
    groups: dict[str, list[float]] = {}
    for patient, value in dice.items():
        groups.setdefault(institution[patient], []).append(value)
    if not groups:
        return None
    name = min(sorted(groups), key=lambda n: statistics.fmean(groups[n]))
    return name, statistics.fmean(groups[name]), len(groups[name])


def representative_patients(dice: Mapping[str, float]) -> list[tuple[str, str]]:
    """[(label, patient)] of the best, the median and the worst patient, each once; fewer where there are fewer."""
    ranked = sorted(dice, key=lambda patient: (-dice[patient], patient))
    if not ranked:
        return []
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    rows: list[tuple[str, str]] = []
    for label, patient in chosen.items():
        if patient not in [p for _, p in rows]:
            rows.append((label, patient))
    return rows


def bytes_received(records: Iterable[Record]) -> int:
    """Bytes of model updates that reached the server, all sites and rounds."""
    answers = (a for r in records if r["kind"] == "training" for a in r["answers"].values())
    return int(sum(number(a.get("bytes")) or 0 for a in answers))


def bytes_sent(records: Sequence[Record]) -> int:
    """Bytes of parameters that the server sent out, all sites and rounds."""
    return sum(bytes_sent_to(site, records) for site in {site for r in records for site in r["answers"]})


def bytes_sent_to(site: str, records: Sequence[Record]) -> int:
    """Bytes of parameters that a site was sent in all rounds, with those that it made its features with."""
    trained = (r["answers"].get(site, {}).get("sent") for r in records)
    offered = (((r.get("exchange") or {}).get("models") or {}).get(site) for r in records)
    return int(sum(number(size) or 0 for size in (*trained, *offered)))


def images_trained(answer: Mapping[str, Any], batch_size: Any) -> float | None:
    """Images that a site trained on in a round, each as often as it did; None where that is not known.

    A step takes a batch, or all images of a site that has fewer: exact for a pretext, whose batches have one size.
    """
    size, steps, samples = number(batch_size), number(answer.get("steps")), number(answer.get("samples"))
    return steps * min(size, samples) if size and steps and samples else None


def images_per_second(answers: Iterable[Mapping[str, Any]], batch_size: Any) -> float | None:
    """Training images a site took a second over its answers; None where the batch size or the times are not known."""
    known = [
        (images, seconds)
        for a in answers
        if (images := images_trained(a, batch_size)) and (seconds := number(a.get("train_seconds")))
    ]
    seconds = sum(s for _, s in known)
    return sum(n for n, _ in known) / seconds if seconds > 0 else None


def mean_loss(record: Record) -> float | None:
    """Training loss of a round: the sites' mean losses, weighted by their training images."""
    pairs = [(number(a.get("loss")), number(a.get("samples")) or 0.0) for a in record["answers"].values()]
    known = [(loss, n) for loss, n in pairs if loss is not None and n > 0]
    return sum(loss * n for loss, n in known) / sum(n for _, n in known) if known else None


def detail(evaluation: Mapping[str, Any] | None, name: str) -> float | None:
    """A detail of an evaluation by name; None where it has none of that name."""
    details = (evaluation or {}).get("details")
    return number(details.get(name)) if isinstance(details, dict) else None


def evaluation_iou(evaluation: Mapping[str, Any] | None) -> float | None:
    """Pooled IoU of an evaluation, or None where it has no pixel counts."""
    return overlap(pixel_counts(evaluation or {}))[0]


def best_validation(records: list[Record]) -> tuple[int, float] | None:
    """(round, pooled validation Dice) of the best global model so far, the earliest of equals. Untrained is none."""
    curve = [(done, number(e.get("quality"))) for done, e in global_curve(records) if done > 0]
    known = [(done, dice) for done, dice in curve if dice is not None]
    return max(known, key=lambda pair: (pair[1], -pair[0])) if known else None


def rounds_to_reach(records: list[Record], dice: float) -> int | None:
    """Rounds until the global model's pooled validation Dice first reaches `dice`; None where it never does."""
    for done, evaluation in global_curve(records):
        value = number(evaluation.get("quality"))
        if value is not None and value >= dice:
            return done
    return None


def total_seconds(records: list[Record]) -> float:
    return sum(number(r.get("seconds")) or 0.0 for r in training_records(records))


def paired_bootstrap(
    a: Mapping[str, float], b: Mapping[str, float], draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean difference a - b over patients, and its 95 % percentile bootstrap interval (difference, low, high).

    Patients are drawn with replacement; both methods are always compared on the same draw (Efron and Tibshirani 1993,
    chapter 13). The result does not depend on the order of the patients.

    Raises FedwardError where a and b are not about the same patients, or about none.
    """
    if not a or a.keys() != b.keys():
        other = sorted(a.keys() ^ b.keys())
        raise FedwardError(
            "a paired comparison needs the same test patients on both sides: "
            + (f"{len(other)} are on one side only (first: {other[0]})" if other else "there are none")
        )
    differences = np.array([a[patient] - b[patient] for patient in sorted(a)], dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = differences[rng.integers(0, len(differences), (draws, len(differences)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(differences.mean()), float(low), float(high)
