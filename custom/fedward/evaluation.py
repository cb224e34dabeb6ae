"""What a validation measures, and how measurements of several sites are pooled."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fedward.weighting.claims import MAX_COST


@dataclass(frozen=True)
class Evaluation:
    """One model measured on one set of images.

    cost     mean loss over all pixels (binary cross entropy, natural logarithm, >= 0) or None
    quality  the metric weighting uses, in [0, 1]: hard Dice at .5 pooled over the images, or None
    images, patients  how many images (slices) and patients stand behind the numbers
    true_positive, false_positive, false_negative  pixel counts; IoU and Dice of several sites are pooled from them
    """

    cost: float | None
    quality: float | None
    images: int
    patients: int
    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0

    @property
    def iou(self) -> float | None:
        """Pooled intersection over union, or None where neither truth nor prediction has a foreground pixel."""
        union = self.true_positive + self.false_positive + self.false_negative
        return self.true_positive / union if union else None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def pooled_dice(true_positive: int, false_positive: int, false_negative: int) -> float | None:
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
    quality = pooled_dice(true_positive, false_positive, false_negative)
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
    )
