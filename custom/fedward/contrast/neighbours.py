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


def knn_partition(
    features: Tensor, partition: Tensor, patient: Tensor, bank: tuple[Tensor, Tensor] | None = None
) -> float | None:
    """Share of slices whose nearest neighbour in another patient lies in the same partition.

    features (N, D) float, compared by cosine; partition and patient (N,) int64. `bank` are features (M, D) of yet other
    patients and their partition (M,), which may be neighbours too. None where there is no other patient. Another frame
    of the same heart does not count: an untrained encoder finds it by its grey values (.9 on ACDC, where chance is
    about 1 / S). None, too, where all that are judged lie in one partition: nothing could be told apart.
    """
    alone = bank is None and len(patient) > 0 and bool((patient == patient[0]).all())
    if len(patient) == 0 or alone or bool((partition == partition[0]).all()):
        return None
    partition, patient = partition.to(features.device), patient.to(features.device)
    among, parts, owners = features, partition, patient
    if bank is not None:
        among, parts = torch.cat([features, bank[0]]), torch.cat([partition, bank[1].to(features.device)])
        owners = torch.cat([patient, patient.new_full((len(bank[0]),), -1)])  # nobody among those who are judged
    nearest = [
        similarity.masked_fill(own[:, None] == owners[None, :], -torch.inf).argmax(dim=1)
        for similarity, own in zip(similarities(features, among), patient.split(ROWS_AT_ONCE), strict=True)
    ]
    return float((parts[torch.cat(nearest)] == partition).double().mean())
