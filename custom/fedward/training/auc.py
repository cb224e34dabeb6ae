"""Area under the ROC curve for each finding, and how sure it is: bootstrap over patients.

scores (N, C) float, higher is more likely; labels (N, C): 1 present, 0 absent, NaN unknown (the row is left out for
that finding). A finding that has one class only has no AUC: NaN, never .5, and it is left out of the mean. Equal scores
count one half, as in the trapezoidal curve. Scores that are not finite raise FedwardError.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedward.errors import FedwardError
from fedward.seeds import derive_seed

DRAWS = 1000
SEED = 0  # of the draws: the same everywhere, so that a report and a comparison show the same interval
PERCENTILES = (2.5, 97.5)
DRAWS_AT_ONCE = 64  # x 25,596 images x 8 bytes: 13 MB an array

Floats = NDArray[np.float64]


class Auc(NamedTuple):
    """AUC of each finding, (C,) float64 with NaN where it has one class only, and its known labels of each class."""

    values: Floats
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]

    @property
    def mean(self) -> float | None:
        """Mean over the findings that have both classes; None where there is none."""
        return _mean(self.values)


class Interval(NamedTuple):
    """A value with the limits of its 95 % percentile interval; NaN, where it has none."""

    value: float
    low: float
    high: float


class AucIntervals(NamedTuple):
    """The mean AUC and the AUC of each of C findings, with intervals."""

    mean: Interval
    findings: tuple[Interval, ...]


def auc_per_finding(scores: ArrayLike, labels: ArrayLike) -> Auc:
    """AUC, positives and negatives of each finding."""
    from sklearn.metrics import roc_auc_score

    scores, labels = _checked(scores, labels)
    positives, negatives = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
    values = np.full(labels.shape[1], np.nan)
    for finding in np.flatnonzero((positives > 0) & (negatives > 0)):
        known = ~np.isnan(labels[:, finding])
        values[finding] = roc_auc_score(labels[known, finding], scores[known, finding])
    return Auc(values, positives, negatives)


def auc_intervals(
    scores: ArrayLike, labels: ArrayLike, patients: Sequence[str], seed: int = SEED, draws: int = DRAWS
) -> AucIntervals:
    """AUC with 95 % intervals: patients are drawn with replacement, all images of a patient together.

    A draw in which a finding has one class only is skipped for that finding, and that finding for the draw's mean, so
    the interval of a finding that one or two patients have says little. The order of rows does not matter.
    """
    auc = auc_per_finding(scores, labels)
    drawn = bootstrap_auc(scores, labels, patients, seed, draws)
    findings = tuple(interval(float(value), drawn[:, c]) for c, value in enumerate(auc.values))
    return AucIntervals(interval(np.nan if auc.mean is None else auc.mean, draw_means(drawn)), findings)


def auc_difference(
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    labels: ArrayLike,
    patients: Sequence[str],
    seed: int = SEED,
    draws: int = DRAWS,
) -> Interval:
    """Mean AUC of `first` minus that of `second` on the same images, with a paired 95 % interval over patients.

    first, second: scores (N, C) of one model or of several (one a seed, for instance), whose AUCs are averaged. Both
    are judged on the same draws. The intervals of two models may overlap where this one excludes 0.
    """
    sides = []
    for models in (first, second):
        if not len(models):
            raise FedwardError("a difference of AUCs needs at least one model on each side")
        aucs = [auc_per_finding(scores, labels).values for scores in models]
        drawn = [bootstrap_auc(scores, labels, patients, seed, draws) for scores in models]
        sides.append((np.mean(aucs, axis=0), np.mean(drawn, axis=0)))
    (value, drawn_value), (other, drawn_other) = sides
    mean = _mean(value - other)
    return interval(np.nan if mean is None else mean, draw_means(drawn_value - drawn_other))


def bootstrap_auc(
    scores: ArrayLike, labels: ArrayLike, patients: Sequence[str], seed: int = SEED, draws: int = DRAWS
) -> Floats:
    """AUC of each finding in each draw of patients with replacement: (draws, C), NaN where a class is missing.

    The same patients, seed and draws give the same draws, whatever the scores and the order of rows.
    """
    scores, labels = _checked(scores, labels)
    if len(patients) != len(labels):
        raise FedwardError(f"{len(patients)} patients were given for {len(labels)} images: there must be one an image")
    names, patient = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    orders = [_order(scores[:, c], labels[:, c]) for c in range(labels.shape[1])]
    values = np.full((draws, labels.shape[1]), np.nan)
    for start in range(0, draws if len(names) else 0, DRAWS_AT_ONCE):
        count = min(DRAWS_AT_ONCE, draws - start)
        picked = generator.integers(len(names), size=(count, len(names)))
        times = np.stack([np.bincount(row, minlength=len(names)) for row in picked]).astype(np.float64)
        for finding, order in enumerate(orders):
            positive = labels[order, finding] == 1
            weights = times[:, patient[order]]
            values[start : start + count, finding] = sorted_auc(scores[order, finding], positive, weights)
    return values


def sorted_auc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """AUC under each row of `weights` (D, N), how often each image counts; (D,), NaN without both classes.

    scores (N,) ascending, positive (N,). With P_g and N_g the weight of positives and negatives at the g-th distinct
    score: sum_g P_g (N_1 + ... + N_{g-1} + N_g / 2) / (P N), the Mann-Whitney statistic. Whole weights are summed
    exactly, so it equals the AUC of the images written out as often as they count.
    """
    firsts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]]) if len(scores) else np.empty(0, np.int64)
    ups, downs = weights * positive, weights * ~positive
    if len(firsts) < len(scores):
        ups, downs = np.add.reduceat(ups, firsts, axis=1), np.add.reduceat(downs, firsts, axis=1)
    total_up, total_down = ups.sum(axis=1), downs.sum(axis=1)
    below = np.cumsum(downs, axis=1)
    below -= downs / 2
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is wanted
        values: Floats = np.einsum("dn,dn->d", ups, below) / (total_up * total_down)
    return values


def _order(scores: Floats, labels: Floats) -> NDArray[np.intp]:
    """Rows with a known label, by ascending score."""
    known = np.flatnonzero(~np.isnan(labels))
    return known[np.argsort(scores[known], kind="stable")]


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise FedwardError(f"scores {scores.shape} and labels {labels.shape} must have the same two dimensions")
    if not np.isfinite(scores).all():
        raise FedwardError("scores that are not finite have no AUC: the model's parameters or its images are damaged")
    if not (np.isnan(labels) | (labels == 0) | (labels == 1)).all():
        raise FedwardError("labels must be 0, 1 or NaN (unknown)")
    return scores, labels


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def draw_means(drawn: Floats) -> Floats:
    """Mean of each draw over the findings that it has both classes of; NaN where there is none."""
    known = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(known, drawn, 0.0).sum(axis=1) / known.sum(axis=1)
    return means


def interval(value: float, drawn: Floats) -> Interval:
    """A value with the 95 % percentile interval of its draws, NaN among them left out."""
    known = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(known):
        return Interval(value, np.nan, np.nan)
    low, high = np.percentile(known, PERCENTILES)
    return Interval(value, float(low), float(high))
