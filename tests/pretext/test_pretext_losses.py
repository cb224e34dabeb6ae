"""Each formula against a slow plain version, the worked numbers of docs/methods.md, and what must always hold."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fedward.pretext.byol import byol_loss
from fedward.pretext.moco_v2 import info_nce
from fedward.pretext.rotation import rotation_loss, turned
from fedward.pretext.simclr import nt_xent


def vectors(count, size, seed):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def slow_nt_xent(first, second, temperature):
    rows = first.tolist() + second.tolist()
    n, losses = len(first), []
    for i, row in enumerate(rows):
        others = [math.exp(cosine(row, other) / temperature) for j, other in enumerate(rows) if j != i]
        losses.append(-math.log(math.exp(cosine(row, rows[(i + n) % (2 * n)]) / temperature) / sum(others)))
    return sum(losses) / len(losses)


def slow_info_nce(query, key, negatives, temperature):
    losses = []
    for q, k in zip(query.tolist(), key.tolist(), strict=True):
        positive = math.exp(cosine(q, k) / temperature)
        losses.append(-math.log(positive / (positive + sum(math.exp(cosine(q, n) / temperature) for n in negatives))))
    return sum(losses) / len(losses)


def slow_byol(prediction, target):
    parts = [2 - 2 * cosine(p, t) for p, t in zip(prediction.tolist(), target.tolist(), strict=True)]
    return sum(parts) / len(parts)


def slow_cross_entropy(logits, turns):
    rows = zip(logits.tolist(), turns.tolist(), strict=True)
    return sum(math.log(sum(map(math.exp, row))) - row[turn] for row, turn in rows) / len(logits)


shapes = {"count": st.integers(1, 6), "size": st.integers(2, 9), "seed": st.integers(0, 999)}
temperatures = st.floats(0.05, 5)


@settings(max_examples=30)
@given(**shapes, temperature=temperatures)
def test_nt_xent_is_its_formula(count, size, seed, temperature):
    first, second = vectors(count, size, seed), vectors(count, size, seed + 1)
    loss = nt_xent(first, second, temperature)
    assert loss.item() == pytest.approx(slow_nt_xent(first, second, temperature), abs=1e-9)
    assert nt_xent(second, first, temperature).item() == pytest.approx(loss.item(), abs=1e-12)


@settings(max_examples=30)
@given(**shapes, queue=st.integers(1, 8), temperature=temperatures)
def test_info_nce_is_its_formula(count, size, seed, queue, temperature):
    query, key = (normalize(vectors(count, size, seed + k), dim=1) for k in range(2))
    negatives = normalize(vectors(queue, size, seed + 2), dim=1)
    loss = info_nce(query, key, negatives, temperature)
    assert loss.item() == pytest.approx(slow_info_nce(query, key, negatives.tolist(), temperature), abs=1e-9)


@settings(max_examples=30)
@given(**shapes)
def test_byol_is_its_formula(count, size, seed):
    prediction, target = vectors(count, size, seed), vectors(count, size, seed + 1)
    assert byol_loss(prediction, target).item() == pytest.approx(slow_byol(prediction, target), abs=1e-9)
    assert 0 <= byol_loss(prediction, target).item() <= 4


@settings(max_examples=30)
@given(count=st.integers(1, 9), seed=st.integers(0, 999))
def test_rotation_is_its_formula(count, seed):
    logits, turns = vectors(count, 4, seed), torch.arange(count) % 4
    assert rotation_loss(logits, turns).item() == pytest.approx(slow_cross_entropy(logits, turns), abs=1e-9)


def test_worked_numbers():
    assert byol_loss(torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0.0]])).item() == pytest.approx(0.8, abs=1e-6)
    first, second = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.8, 0.6], [0.6, 0.8]])
    assert nt_xent(first, second, 0.5).item() == pytest.approx(0.870714, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_embeddings_that_are_all_equal(count):
    """A collapsed network guesses: log of the number of candidates, whatever the temperature."""
    same = torch.tensor([[0.6, 0.8]]).repeat(count, 1)
    assert nt_xent(same, same, 0.1).item() == pytest.approx(math.log(2 * count - 1), abs=1e-5)
    queue = same[:1].repeat(5, 1)
    assert info_nce(same, same, queue, 0.2).item() == pytest.approx(math.log(5 + 1), abs=1e-5)
    assert byol_loss(same, same).item() == pytest.approx(0, abs=1e-6)
    assert rotation_loss(torch.zeros(count, 4), torch.zeros(count, dtype=torch.int64)).item() == pytest.approx(
        math.log(4), abs=1e-6
    )


def test_length_plays_no_part():
    first, second = vectors(4, 5, 1), vectors(4, 5, 2)
    assert nt_xent(7 * first, 0.1 * second, 0.2).item() == pytest.approx(nt_xent(first, second, 0.2).item(), abs=1e-12)
    assert byol_loss(7 * first, second).item() == pytest.approx(byol_loss(first, second).item(), abs=1e-12)


def test_small_temperatures_stay_finite():
    first, second = vectors(4, 5, 1).float().requires_grad_(), vectors(4, 5, 2).float()
    loss = nt_xent(first, second, 1e-3)
    loss.backward()
    assert loss.isfinite()
    assert first.grad.isfinite().all()


def test_each_image_is_turned_by_its_place():
    image = torch.arange(2 * 3 * 3, dtype=torch.float32).reshape(2, 3, 3).repeat(6, 1, 1, 1)
    images, turns = turned(image)
    assert turns.tolist() == [0, 1, 2, 3, 0, 1]
    for i, k in enumerate(turns.tolist()):
        expected = image[i]
        for _ in range(k):  # a quarter turn anticlockwise: columns from the right become rows from the top
            expected = torch.stack([expected[:, :, -1 - c] for c in range(3)], dim=1)
        assert torch.equal(images[i], expected)
    assert torch.equal(image[1], image[0])  # the view itself is left alone
