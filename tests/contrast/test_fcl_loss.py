"""The loss of FCL: the worked numbers, a slow double loop, and what must not change it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fedward.contrast.loss import fcl_loss, local_positives
from fedward.errors import UsageError

Q = torch.tensor([[1.0, 0.0]])
P = torch.tensor([[0.8, 0.6]])
NEGATIVES = torch.tensor([[0.0, 1.0], [0.6, 0.8], [0.96, 0.28]])
NONE = torch.zeros(1, 1, dtype=torch.bool)
LITERAL_LOCAL, LITERAL_REMOTE, MASKED_LOCAL, MASKED_REMOTE = 1.806435, 0.706750, 0.127223, 0.027023


def worked(formula, positive, remote, tau=0.1):
    return fcl_loss(Q, torch.tensor([0]), P, positive, NEGATIVES, torch.tensor([1, 2, 0]), tau, formula, remote)


@pytest.mark.parametrize(
    ("formula", "local", "remote"),
    [("literal", LITERAL_LOCAL, LITERAL_REMOTE), ("masked", MASKED_LOCAL, MASKED_REMOTE)],
)
def test_the_worked_numbers(formula, local, remote):
    assert float(worked(formula, ~NONE, False)[0]) == pytest.approx(local, abs=1e-6)
    assert float(worked(formula, NONE, True)[0]) == pytest.approx(remote, abs=1e-6)
    assert float(worked(formula, ~NONE, True)[0]) == pytest.approx(local + remote, abs=1e-6)
    assert worked(formula, NONE, False) == (0, 0)


def slow(query, partition, own, positive, negatives, negative_partition, tau, formula, remote):
    """The formula with plain loops and exponentials."""
    losses = []
    for i in range(len(query)):
        same = [bool(p == partition[i]) for p in negative_partition]
        allowed = [n for n, s in zip(negatives, same, strict=True) if formula == "literal" or not s]
        sets = [[own[j] for j in range(len(own)) if positive[i, j]]]
        if remote:
            sets.append([n for n, s in zip(negatives, same, strict=True) if s])
        terms = []
        for group in sets:
            if not group or not allowed:
                continue
            total = sum(math.exp(float(query[i] @ n) / tau) for n in allowed)
            each = [math.exp(float(query[i] @ p) / tau) for p in group]
            terms.append(-sum(math.log(e / (e + total)) for e in each) / len(each))
        if terms:
            losses.append(sum(terms))
    return sum(losses) / len(losses) if losses else 0.0, len(losses)


def case(seed, batch=5, own=7, negatives=9, parts=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def unit(count):
        return normalize(torch.randn(count, 6, generator=generator, dtype=dtype), dim=1)

    def part(count):
        return torch.randint(parts, (count,), generator=generator)

    positive = torch.rand(batch, own, generator=generator) < 0.4
    return unit(batch), part(batch), unit(own), positive, unit(negatives), part(negatives)


@given(
    st.integers(0, 10_000),
    st.integers(1, 6),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(1, 3),
    st.sampled_from(["literal", "masked"]),
    st.booleans(),
    st.sampled_from([0.07, 0.1, 1.0]),
)
@settings(max_examples=60)
def test_it_is_the_formula(seed, batch, own, negatives, parts, formula, remote, tau):
    values = case(seed, batch, own, negatives, parts)
    loss, counted = fcl_loss(*values, tau, formula, remote)
    expected, queries = slow(*values, tau, formula, remote)
    assert float(loss) == pytest.approx(expected, rel=1e-7, abs=1e-8)
    assert int(counted) == queries


@given(st.integers(0, 1000), st.sampled_from(["literal", "masked"]))
@settings(max_examples=20)
def test_the_order_of_features_changes_nothing(seed, formula):
    query, partition, own, positive, negatives, parts = case(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    a, b = (torch.randperm(len(x), generator=generator) for x in (own, negatives))
    first = fcl_loss(query, partition, own, positive, negatives, parts, 0.1, formula, True)[0]
    second = fcl_loss(query, partition, own[a], positive[:, a], negatives[b], parts[b], 0.1, formula, True)[0]
    assert float(first) == pytest.approx(float(second), rel=1e-12)


@pytest.mark.parametrize("formula", ["literal", "masked"])
def test_only_the_query_has_a_gradient_and_it_is_the_formulas(formula):
    query, partition, own, positive, negatives, parts = case(3)
    for tensor in (query, own, negatives):
        tensor.requires_grad_()
    fcl_loss(query, partition, own, positive, negatives, parts, 0.1, formula, True)[0].backward()
    assert own.grad is None
    assert negatives.grad is None
    with torch.no_grad():
        for i, j in ((0, 0), (2, 3), (4, 5)):
            moved, step = [query.clone(), query.clone()], 1e-5
            moved[0][i, j] += step
            moved[1][i, j] -= step
            up, down = (slow(m, partition, own, positive, negatives, parts, 0.1, formula, True)[0] for m in moved)
            assert float(query.grad[i, j]) == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("formula", ["literal", "masked"])
@pytest.mark.parametrize("alike", [False, True])
def test_a_small_temperature_and_equal_features_stay_finite(formula, alike):
    query, partition, own, positive, negatives, parts = case(1, dtype=torch.float32)
    if alike:  # a collapse: every feature is the same
        query, own, negatives = (x * 0 + query[0] for x in (query, own, negatives))
    query = query.clone().requires_grad_()
    loss, _ = fcl_loss(query, partition, own, positive, negatives, parts, 0.01, formula, True)
    loss.backward()
    assert loss.isfinite()
    assert query.grad.isfinite().all()
    wide = [x.double() if x.is_floating_point() else x for x in (query.detach(), partition, own, positive, negatives)]
    assert float(loss.detach()) == pytest.approx(slow(*wide, parts, 0.01, formula, True)[0], rel=1e-5)


@pytest.mark.parametrize(("own", "negatives"), [(0, 3), (3, 0), (0, 0), (3, 3)])
def test_where_a_set_is_empty_its_term_is_skipped_and_no_nan_reaches_the_gradient(own, negatives):
    query, partition, bank, positive, others, _ = case(2, own=own, negatives=negatives, parts=1)
    query.requires_grad_()
    loss, counted = fcl_loss(query, partition, bank, positive, others, partition[:negatives], 0.1, "masked", True)
    loss.backward()
    assert (loss, counted) == (0, 0)  # one partition: nothing is a negative
    assert (query.grad == 0).all()


def test_local_positives_are_of_the_partition_and_of_another_scan():
    found = local_positives(
        torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    )
    assert found.tolist() == [[False, True, False], [False, False, True]]


def test_an_unknown_formula_is_refused():
    with pytest.raises(UsageError, match="literal or masked"):
        worked("paper", NONE, True)
