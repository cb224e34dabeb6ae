"""Nearest neighbours among features: do slices of one position lie together?"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

ROWS_AT_ONCE = 1024  # x 40,960 features x 4 bytes: 168 MB


def similarities(features: Tensor, others: Tensor) -> Iterator[Tensor]:
    """Cosines of features (N, D) and others (M, D), some rows (R, M) after the other."""
    features, others = normalize(features.float()), normalize(others.float())
    return (part @ others.T for part in features.split(ROWS_AT_ONCE))


def knn_partition(features: Tensor, partition: Tensor, patient: Tensor) -> float | None:
    """Share of slices whose nearest neighbour in another patient lies in the same partition; None with one patient.

    features (N, D) float, compared by cosine; partition and patient (N,) int64. Another frame of the same heart does
    not count: an untrained encoder finds it by its grey values (.9 on ACDC, where chance is about 1 / S).
    """
    if len(patient) == 0 or bool((patient == patient[0]).all()):
        return None
    partition, patient = partition.to(features.device), patient.to(features.device)
    nearest = [
        similarity.masked_fill(own[:, None] == patient[None, :], -torch.inf).argmax(dim=1)
        for similarity, own in zip(similarities(features, features), patient.split(ROWS_AT_ONCE), strict=True)
    ]
    return float((partition[torch.cat(nearest)] == partition).double().mean())
