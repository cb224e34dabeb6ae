"""What a validation measures, and how measurements of several sites are pooled."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from fedward.weighting.claims import MAX_COST

PER_FINDING = ("auc", "positives", "negatives")
PIXELS = ("true_positive", "false_positive", "false_negative")
DICE = "dice."
PER_STRUCTURE = ("dice", *PIXELS)
ADDED = tuple(f"{group}." for group in ("positives", "negatives", *PIXELS))  # counts: any other detail is averaged
MEAN_AUC_LIMITS = ("auc.low", "auc.high")
OTHERS = (*MEAN_AUC_LIMITS, "features.std", "features.rank", "knn.auc", "knn.partition")


@cache
def detail_names() -> frozenset[str]:
    """Every name that the details of an evaluation may have."""
    from fedward.datasets.registry import DATA_SETS

    findings = {finding for data_set in DATA_SETS.values() for finding in getattr(data_set, "findings", ())}
    structures = {name for data_set in DATA_SETS.values() for name in getattr(data_set, "structures", ())}
    return (
        frozenset(OTHERS)
        | {f"{group}.{finding}" for group in PER_FINDING for finding in findings}
        | {f"{group}.{structure}" for group in PER_STRUCTURE for structure in structures}
    )


@dataclass(frozen=True)
class Evaluation:
    """One model measured on one set of images.

    cost     mean loss over all pixels or known labels (cross entropy, natural logarithm, >= 0), or None
    quality  the metric weighting uses, in [0, 1], or None: hard Dice at .5 pooled over the images, its mean over
             several structures; for classification the mean AUC over the findings that have both classes; for a
             pretext the AUC of a k-NN probe
    images, patients  how many images (slices) and patients stand behind the numbers
    true_positive, false_positive, false_negative  pixel counts; IoU and Dice of several sites are pooled from them
    details  by name, see `detail_names`: auc.F, positives.F and negatives.F of a finding F (no auc where one class is
             missing), auc.low and auc.high of the mean over the findings, the limits of its 95 % interval (of one
             site's patients, so they are not pooled); features.std, features.rank and knn.auc of a pretext,
             knn.partition of a contrastive one; dice.S and pixel counts true_positive.S, false_positive.S,
             false_negative.S of a structure S (no dice where neither truth nor prediction has it)
    """

    cost: float | None
    quality: float | None
    images: int
    patients: int
    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    details: dict[str, float] = field(default_factory=dict)

    @property
    def iou(self) -> float | None:
        """Pooled intersection over union, or None where neither truth nor prediction has a foreground pixel."""
        union = self.true_positive + self.false_positive + self.false_negative
        return self.true_positive / union if union else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; without details where there are none, as in segmentation."""
        values = asdict(self)
        if not self.details:
            del values["details"]
        return values


def pooled_dice(true_positive: float, false_positive: float, false_negative: float) -> float | None:
    """2TP / (2TP + FP + FN); None where truth and prediction are both empty."""
    total = 2 * true_positive + false_positive + false_negative
    return 2 * true_positive / total if total else None


def pool(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """Pool the sites' evaluations of the same model: counts are added, the cost is weighted by images.

    Costs and qualities that are missing or cannot be true are left out. None where nothing is left.
    """
    parts = [e for e in evaluations if e.images > 0]
    if not parts:
        return None
    true_positive = sum(e.true_positive for e in parts)
    false_positive = sum(e.false_positive for e in parts)
    false_negative = sum(e.false_negative for e in parts)
    costs = [(e.cost, e.images) for e in parts if e.cost is not None and 0 <= e.cost <= MAX_COST]
    details = _pool_details(parts)
    quality = pooled_dice(true_positive, false_positive, false_negative)
    if quality is None:
        quality = mean_dice(details)
    if quality is None:  # no pixel counts: a metric that cannot be pooled exactly is averaged over images
        known = [(e.quality, e.images) for e in parts if e.quality is not None and 0 <= e.quality <= 1]
        quality = sum(q * n for q, n in known) / sum(n for _, n in known) if known else None
    return Evaluation(
        cost=sum(c * n for c, n in costs) / sum(n for _, n in costs) if costs else None,
        quality=quality,
        images=sum(e.images for e in parts),
        patients=sum(e.patients for e in parts),
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=false_negative,
        details=details,
    )


def structure_details(counts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Details of structures from their pixel counts, (true positive, false positive, false negative) of each."""
    details: dict[str, float] = {}
    for structure, pixels in counts.items():
        details |= {f"{group}.{structure}": count for group, count in zip(PIXELS, pixels, strict=True)}
        if (dice := pooled_dice(*pixels)) is not None:
            details[DICE + structure] = dice
    return details


def mean_dice(details: Mapping[str, float]) -> float | None:
    """Mean of the Dice of all structures that have one; None where none has."""
    values = [value for name, value in details.items() if name.startswith(DICE)]
    return sum(values) / len(values) if values else None


def _pool_details(parts: list[Evaluation]) -> dict[str, float]:
    """Counts are added, and a structure's Dice follows from them; any other is the mean weighted by its images."""
    pooled = {}
    for name in sorted({name for part in parts for name in part.details}.difference(MEAN_AUC_LIMITS)):
        known = [(part.details[name], part.images) for part in parts if name in part.details]
        if name.startswith(ADDED):
            pooled[name] = sum(value for value, _ in known)
        else:
            pooled[name] = sum(value * n for value, n in known) / sum(n for _, n in known)
    structures = {name.partition(".")[2] for name in pooled if name.startswith(f"{PIXELS[0]}.")}
    for structure in sorted(structures):
        pooled.pop(DICE + structure, None)
        dice = pooled_dice(*(pooled.get(f"{group}.{structure}", 0) for group in PIXELS))
        if dice is not None:
            pooled[DICE + structure] = dice
    return dict(sorted(pooled.items()))
