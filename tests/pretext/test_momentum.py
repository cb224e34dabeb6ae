"""The slowly moving copy of the network, and BYOL's schedule for it."""

import math

import pytest
import torch

from fedward.pretext.momentum import copy_into, follow, momentum_copy, target_momentum


def test_the_update_is_exact(make_online):
    online, other = make_online("byol"), make_online("byol", seed=2)
    target = momentum_copy(online)
    before = {name: value.clone() for name, value in target.named_parameters()}
    follow(target, other, 0.9)
    for name, value in target.named_parameters():
        expected = 0.9 * before[name].double() + 0.1 * dict(other.named_parameters())[name].detach().double()
        torch.testing.assert_close(value.double(), expected, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(("momentum", "seed"), [(1.0, 1), (0.0, 2)])
def test_the_two_ends_are_exact(make_online, momentum, seed):
    target = momentum_copy(make_online("byol", seed=1))
    follow(target, make_online("byol", seed=2), momentum)
    expected = dict(make_online("byol", seed=seed).named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in target.named_parameters())


def test_statistics_are_those_of_the_copys_own_passes(make_online, views):
    online = make_online("byol")
    target = momentum_copy(online)
    for _ in range(3):
        online(views(4, 1)[0])
    buffers = {name: value.clone() for name, value in target.named_buffers()}
    follow(target, online, 0.5)
    assert all(torch.equal(value, buffers[name]) for name, value in target.named_buffers())
    target.train()(views(4, 2)[0])
    first = target.encoder.first
    seen = first[0](views(4, 2)[0]).mean(dim=(0, 2, 3))
    torch.testing.assert_close(first[1].running_mean, 0.9 * buffers["encoder.first.1.running_mean"] + 0.1 * seen)


def test_a_copy_shares_nothing_and_has_no_gradient(make_online):
    online = make_online("byol")
    target = momentum_copy(online)
    assert target.predictor is None
    assert not any(p.requires_grad for p in target.parameters())
    assert {p.data_ptr() for p in target.parameters()}.isdisjoint(p.data_ptr() for p in online.parameters())
    assert all(p.requires_grad for p in online.parameters())


def test_copy_into_takes_buffers_too(make_online, views):
    online = make_online("byol")
    target = momentum_copy(make_online("byol", seed=2))
    online(views(4)[0])
    copy_into(target, online)
    source = online.state_dict()
    assert all(torch.equal(value, source[key]) for key, value in target.state_dict().items())


def test_the_sr_layer_follows(make_online):
    online = make_online("frid", sr_layer=1)
    target = momentum_copy(online)
    online.projector.sr_layer.gain.data.fill_(1)
    follow(target, online, 0.75)
    assert target.projector.sr_layer.gain.item() == 0.25


def test_byols_schedule():
    assert target_momentum(0.996, 0.5) == pytest.approx(0.998, abs=1e-12)
    assert target_momentum(0.99, 0) == pytest.approx(0.99)
    assert target_momentum(0.99, 1) == 1
    assert target_momentum(0.99, 1.2) == 1  # rounding may pass the end
    values = [target_momentum(0.99, step / 20) for step in range(21)]
    assert values == sorted(values)
    assert target_momentum(0.9, 0.25) == pytest.approx(1 - 0.1 * (1 + math.cos(math.pi / 4)) / 2)
