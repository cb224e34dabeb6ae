"""The k-NN probe against a slow vote, with unknown labels."""

import math

import numpy as np
import pytest
import torch

from fedward.errors import FedwardError
from fedward.pretext import knn
from fedward.pretext.knn import knn_auc, knn_probabilities


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels_of(count, findings, seed=0, unknown=0.0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, findings, generator=generator) < 0.4).float()
    labels[torch.rand(count, findings, generator=generator) < unknown] = torch.nan
    return labels


def slow_probability(feature, bank, labels, neighbours):
    """One image and one finding: votes of the nearest images whose label is known."""
    known = [i for i in range(len(bank)) if not math.isnan(labels[i])]
    cosine = {i: float(feature @ bank[i] / np.linalg.norm(feature) / np.linalg.norm(bank[i])) for i in known}
    nearest = sorted(known, key=lambda i: -cosine[i])[:neighbours]
    weights = {i: math.exp(cosine[i] / 0.07) for i in nearest}
    return sum(weights[i] * labels[i] for i in nearest) / sum(weights.values())


@pytest.mark.parametrize("unknown", [0.0, 0.5])
def test_probabilities_equal_a_slow_vote(unknown):
    features, bank, labels = random(5, 6), random(40, 6, seed=1), labels_of(40, 3, unknown=unknown)
    found = knn_probabilities(features, bank, labels, neighbours=7)
    for q in range(5):
        for c in range(3):
            slow = slow_probability(features[q].numpy(), bank.numpy(), labels[:, c].tolist(), 7)
            assert float(found[q, c]) == pytest.approx(slow, abs=1e-5)


def test_by_hand():
    """Two neighbours at cosine 1 and .93: weights 1 and e^-1."""
    bank = torch.tensor([[2.0, 0.0], [0.93, math.sqrt(1 - 0.93**2)], [-1.0, 0.0]])
    found = knn_probabilities(torch.tensor([[5.0, 0.0]]), bank, torch.tensor([[1.0], [0.0], [1.0]]), neighbours=2)
    assert float(found) == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-5)


def test_the_scale_of_features_and_the_size_of_chunks_do_not_matter(monkeypatch):
    features, bank, labels = random(10, 6), random(30, 6, seed=1), labels_of(30, 3)
    whole = knn_probabilities(features, bank, labels)
    monkeypatch.setattr(knn, "ROWS_AT_ONCE", 3)
    assert torch.allclose(knn_probabilities(7 * features, bank / 9, labels), whole, atol=1e-6)


def test_a_bank_smaller_than_k_and_a_finding_that_nobody_knows():
    labels = torch.tensor([[1.0, torch.nan], [0.0, torch.nan]])
    found = knn_probabilities(random(4, 3), random(2, 3, seed=1), labels)
    assert ((found[:, 0] > 0) & (found[:, 0] < 1)).all()
    assert found[:, 1].isnan().all()


def test_features_that_show_a_finding_have_a_high_auc_and_others_none():
    """Finding 0 moves the features, 1 is a coin, 2 is unknown in the bank, 3 has one class among the tested."""

    def sample(count, seed):
        labels = labels_of(count, 4, seed=seed)
        features = random(count, 8, seed=seed + 50)
        features[:, 0] += 5 * labels[:, 0]
        return features, labels

    features, labels = sample(300, 1)
    bank, bank_labels = sample(400, 2)
    bank_labels[:, 2] = torch.nan
    labels[:, 3] = 0
    both = [knn_auc(features, labels[:, [c]], bank, bank_labels[:, [c]]) for c in range(4)]
    assert both[0] > 0.95
    assert 0.4 < both[1] < 0.6
    assert both[2:] == [None, None]
    assert knn_auc(features, labels, bank, bank_labels) == pytest.approx((both[0] + both[1]) / 2)


def test_a_bank_that_does_not_fit_is_refused():
    with pytest.raises(FedwardError, match="does not fit"):
        knn_probabilities(random(4, 3), random(5, 2), labels_of(5, 1))
    with pytest.raises(FedwardError, match="does not fit"):
        knn_probabilities(random(4, 3), random(5, 3), labels_of(4, 1))
