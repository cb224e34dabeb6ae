"""Can an outsider tell whether a volume took part? Scores of volumes, and how well they tell (membership inference).

Both attacks know the final encoder. A model is surer of what it was trained on: two views of a slice lie nearer to
each other (EncoderMI, Liu et al. 2021, arXiv 2108.11023). And a volume that took part has a slice near each of its
exchanged features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import cosine_similarity

from fedward.contrast.neighbours import similarities
from fedward.training.auc import auc_intervals


def alignment_scores(first: Tensor, second: Tensor, scan: Tensor) -> Tensor:
    """Mean cosine of the features (N, D) of two views of each slice, over the slices of each scan: (scans,) float64."""
    return _scan_means(cosine_similarity(first.double(), second.double(), dim=1), scan)


def nearness_scores(features: Tensor, exchanged: Tensor, scan: Tensor) -> Tensor:
    """Mean cosine of a scan's features, of (N, D), and the nearest exchanged ones, of (M, D): (scans,) float64."""
    nearest = torch.cat([part.amax(dim=1) for part in similarities(features, exchanged)])
    return _scan_means(nearest.double(), scan)


def membership_auc(scores: ArrayLike, member: ArrayLike, patients: Sequence[str]) -> dict[str, Any]:
    """How well scores (V,) of volumes tell members from others: AUC with a 95 % interval over patients, and the counts.

    .5 is chance, 1 tells every one. Values are None where there are volumes of one kind only.
    """
    member = np.asarray(member, bool)
    found = auc_intervals(np.asarray(scores, np.float64)[:, None], member[:, None].astype(np.float64), patients).mean
    values = {key: float(v) if np.isfinite(v) else None for key, v in zip(("auc", "low", "high"), found, strict=True)}
    return {**values, "members": int(member.sum()), "others": int((~member).sum())}


def _scan_means(values: Tensor, scan: Tensor) -> Tensor:
    """Mean of values (N,) over the slices of each scan; every scan 0, 1, ... has a slice."""
    values, scan = values.cpu(), scan.cpu()
    sums = torch.zeros(int(scan.max()) + 1, dtype=torch.float64).index_add(0, scan, values)
    return sums / torch.bincount(scan)
