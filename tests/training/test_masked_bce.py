"""Cross entropy over the known labels, against a plain loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedward.training.masked_bce import known_labels, masked_bce

LABEL = st.sampled_from([0.0, 1.0, math.nan])
ENTRIES = st.lists(st.tuples(st.floats(-30, 30, width=32), LABEL), min_size=1, max_size=24)


def slow(entries):
    """Mean of -log p(label) over the known labels; 0 without any."""
    known = [(x, y) for x, y in entries if not math.isnan(y)]
    return sum(math.log1p(math.exp(-x if y else x)) for x, y in known) / max(len(known), 1)


@settings(max_examples=60)
@given(ENTRIES)
def test_it_equals_a_plain_loop_and_unknown_labels_have_no_gradient(entries):
    logits = torch.tensor([[x for x, _ in entries]], requires_grad=True)
    target = torch.tensor([[y for _, y in entries]])
    loss = masked_bce(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(slow(entries), rel=1e-5, abs=1e-6)
    count = sum(not math.isnan(y) for _, y in entries)
    assert known_labels(target) == count
    for (x, y), gradient in zip(entries, logits.grad[0].tolist(), strict=True):
        expected = 0.0 if math.isnan(y) else (1 / (1 + math.exp(-x)) - y) / count
        assert gradient == pytest.approx(expected, abs=1e-6)


def test_by_hand():
    loss = masked_bce(torch.tensor([[0.0, 5.0], [0.0, -5.0]]), torch.tensor([[1.0, math.nan], [0.0, math.nan]]))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_a_batch_without_any_known_label_costs_nothing_and_moves_nothing():
    logits = torch.randn(3, 4, requires_grad=True)
    loss = masked_bce(logits, torch.full((3, 4), math.nan))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(3, 4))


@pytest.mark.parametrize("wild", [math.nan, math.inf, -math.inf])
def test_a_wild_logit_of_an_unknown_label_does_no_harm(wild):
    logits = torch.tensor([[wild, 1.0]], requires_grad=True)
    loss = masked_bce(logits, torch.tensor([[math.nan, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1)), rel=1e-6)
    assert logits.grad[0, 0] == 0


def test_half_precision_logits_give_a_float32_loss():
    logits = torch.tensor([[0.5]], dtype=torch.bfloat16)
    assert masked_bce(logits, torch.tensor([[1.0]])).dtype == torch.float32


def test_the_loss_of_two_batches_is_their_mean_by_known_labels():
    logits, target = torch.randn(8, 3), (torch.rand(8, 3) < 0.5).float()
    target[torch.rand(8, 3) < 0.5] = math.nan
    parts = [(masked_bce(logits[s], target[s]), known_labels(target[s])) for s in (slice(0, 3), slice(3, 8))]
    pooled = sum(loss * count for loss, count in parts) / max(sum(count for _, count in parts), 1)
    assert pooled.item() == pytest.approx(masked_bce(logits, target).item(), rel=1e-5)
