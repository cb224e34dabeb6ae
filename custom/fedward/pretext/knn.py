"""k-nearest-neighbour probe: how well an encoder's features tell findings apart, without training anything."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from fedward.errors import FedwardError
from fedward.training.auc import auc_per_finding

NEIGHBOURS, TEMPERATURE = 20, 0.07  # temperature of Wu 2018; fewer neighbours than its 200, for smaller sets
ROWS_AT_ONCE = 1024  # x 86,524 images in the bank x 4 bytes: 354 MB


def knn_probabilities(features: Tensor, bank: Tensor, labels: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Probability of each finding from the most similar images of a bank: (Q, C) in [0, 1] (Wu 2018, arXiv 1805.01978).

    features (Q, D), bank (N, D) with labels (N, C): 1, 0 or NaN, unknown. For each finding the `neighbours` most
    similar images with a known label vote with weight exp(cosine / .07); NaN where none is known.
    """
    if bank.shape != (len(labels), features.shape[1]):
        raise FedwardError(
            f"k-NN: a bank of {tuple(bank.shape)} does not fit features of {tuple(features.shape)} and labels of "
            f"{tuple(labels.shape)}"
        )
    features, bank = normalize(features.float()), normalize(bank.float())
    labels = labels.to(features.device)
    known = ~labels.isnan()
    result = torch.full((len(features), labels.shape[1]), torch.nan, device=features.device)
    patterns, pattern_of = torch.unique(known, dim=1, return_inverse=True)  # mostly one: all labels known
    for number, pattern in enumerate(patterns.unbind(1)):
        findings = (pattern_of == number).nonzero()[:, 0]
        rows = pattern.nonzero()[:, 0]
        if not len(rows):
            continue
        voters, votes = bank[rows], labels[rows][:, findings].float()
        for start in range(0, len(features), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            similarity, nearest = (features[part] @ voters.T).topk(min(neighbours, len(rows)), dim=1)
            weight = (similarity / TEMPERATURE).softmax(dim=1)  # exp(s / tau) over its sum, without overflow
            result[part, findings] = torch.einsum("qk,qkc->qc", weight, votes[nearest])
    return result.clamp(0, 1)


def knn_auc(features: Tensor, labels: Tensor, bank: Tensor, bank_labels: Tensor) -> float | None:
    """Mean AUC of the probe over the findings that have both classes among `labels`; None where there is none.

    features (Q, D) with labels (Q, C); bank (N, D) with bank_labels (N, C). The bank must hold other patients than the
    features. A finding without any known label in the bank is left out.
    """
    probabilities: NDArray[np.float32] = knn_probabilities(features, bank, bank_labels).cpu().numpy()
    judged = ~np.isnan(probabilities).any(axis=0)
    return auc_per_finding(probabilities[:, judged], labels.cpu().numpy()[:, judged]).mean
