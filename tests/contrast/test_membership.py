"""What tells an outsider that a volume took part: constructed cases with a known answer."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from fedward.contrast.membership import alignment_scores, membership_auc, nearness_scores


def unit(count, seed):
    return normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_scores_are_means_over_the_slices_of_a_scan():
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    scan = torch.tensor([0, 0, 1])
    assert alignment_scores(first, second, scan).tolist() == pytest.approx([0.5, 0.8])
    assert nearness_scores(second, first, scan).tolist() == pytest.approx([1.0, 0.8])


def test_an_encoder_that_knows_its_members_gives_them_away_and_one_that_does_not_does_not():
    scan, member = torch.arange(60).repeat_interleave(5), np.arange(60) < 30
    patients = [f"p{i // 2}" for i in range(60)]
    first = unit(300, 1)
    spread = torch.where(torch.from_numpy(member)[scan], 0.1, 1.0)[:, None]
    overfitted = alignment_scores(first, first + spread * unit(300, 2), scan)
    found = membership_auc(overfitted.numpy(), member, patients)
    assert found == {"auc": 1.0, "low": 1.0, "high": 1.0, "members": 30, "others": 30}
    even = membership_auc(alignment_scores(first, first + unit(300, 2), scan).numpy(), member, patients)
    assert even["low"] < 0.5 < even["high"]


def test_exchanged_features_give_their_volumes_away_until_there_is_noise():
    scan, member = torch.arange(60).repeat_interleave(5), np.arange(60) < 30
    patients = [f"p{i // 2}" for i in range(60)]
    features = unit(300, 1)
    aucs = []
    for noise in (0.0, 5.0):
        generator = torch.Generator().manual_seed(3)
        exchanged = normalize(features[:150] + noise * torch.randn(150, 16, generator=generator), dim=1)
        aucs.append(membership_auc(nearness_scores(features, exchanged, scan).numpy(), member, patients))
    assert aucs[0]["auc"] == 1.0
    assert aucs[1]["low"] < 0.5 < aucs[1]["high"]


def test_both_frames_of_a_patient_belong_together_and_one_kind_alone_has_no_auc():
    generator = np.random.default_rng(1)
    scores = np.repeat(generator.normal(size=20), 2)
    member = np.repeat(np.arange(20) % 2 == 0, 2)
    together = membership_auc(scores, member, [f"p{i // 2}" for i in range(40)])
    apart = membership_auc(scores, member, [f"p{i}" for i in range(40)])
    assert together["auc"] == apart["auc"]
    assert together["high"] - together["low"] > 1.2 * (apart["high"] - apart["low"])
    assert membership_auc(scores, np.ones(40), ["p"] * 40)["auc"] is None
