"""Steps of each pretext: gradients, private state, the order of a step, and what evaluation may depend on."""

import copy

import pytest
import torch

from fedward.errors import FedwardError
from fedward.pretext.methods import build_method
from fedward.pretext.settings import METHODS, pretext_settings

TWO_VIEWS = [name for name in METHODS if name != "rotation"]
WITH_TARGET = ["moco_v2", "byol", "frid"]


def given(method, views):
    return views[: method.views]


def step(method, optimizer, views, progress=0.5):
    optimizer.zero_grad(set_to_none=True)
    loss = method.backward(*given(method, views))
    optimizer.step()
    method.after_step(progress)
    return loss.item()


@pytest.mark.parametrize("name", METHODS)
def test_gradients_reach_all_that_travels_and_nothing_private(make_method, views, name):
    method = make_method(name)
    before = method.private_state()
    loss = method.backward(*given(method, views(8)))
    assert loss.isfinite()
    assert not loss.requires_grad
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.online.parameters())
    private = [p for key, p in method.named_parameters() if not key.startswith("online.")]
    assert all(p.grad is None and not p.requires_grad for p in private)
    after = method.private_state()  # but for the statistics of the target's own passes
    assert all(torch.equal(after[key], before[key]) for key in before if "running" not in key and "num_b" not in key)


def test_byols_gradient_is_that_with_a_constant_target(make_method, views, freeze):
    """Against finite differences of the loss with the target's answers held fixed."""
    method = make_method("byol")
    freeze(method)
    method.target.encoder = method.online.encoder  # the very network that learns: still no gradient through it
    first, second = views(4)
    prepared = method.prepare(first, second)
    method.loss(first, second).backward()
    bias = method.online.encoder.second[0].bias
    slopes = []
    for sign in (1, -1):
        with torch.no_grad():
            bias[0] += sign * 5e-3
            slopes.append(method.criterion(method.outputs(*prepared), prepared).item())
            bias[0] -= sign * 5e-3
    assert bias.grad[0].item() == pytest.approx((slopes[0] - slopes[1]) / 1e-2, rel=1e-2)


def test_no_gradient_reaches_keys_targets_or_queue():
    from fedward.pretext.byol import byol_loss
    from fedward.pretext.moco_v2 import info_nce

    leaves = [torch.rand(3, 4, requires_grad=True) for _ in range(5)]
    (info_nce(*leaves[:3], 0.2) + byol_loss(*leaves[3:])).backward()
    assert [leaf.grad is not None for leaf in leaves] == [True, False, False, True, False]


@pytest.mark.parametrize("name", ["simclr", "byol", "frid"])
def test_views_may_change_places(make_method, views, name):
    method = make_method(name)
    first, second = views(6)
    assert method.loss(first, second).item() == pytest.approx(method.loss(second, first).item(), abs=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_private_state_is_no_part_of_what_travels(make_method, name):
    method = make_method(name, sr_layer=int(name == "frid"))
    private = method.private_state()
    assert bool(private) == (name in WITH_TARGET)
    assert not set(private) & set(method.online.state_dict())
    assert set(method.state_dict()) == set(private) | {f"online.{key}" for key in method.online.state_dict()}
    assert {key.split(".")[0] for key in private} <= {"target", "queue"}


@pytest.mark.parametrize("name", METHODS)
def test_a_kept_state_goes_on_bit_for_bit(make_method, views, name):
    method = make_method(name)
    optimizer = torch.optim.SGD(method.online.parameters(), lr=0.05, momentum=0.9)
    for number in range(3):
        step(method, optimizer, views(8, number))
    kept = copy.deepcopy((method.online.state_dict(), method.private_state(), optimizer.state_dict()))

    other = make_method(name, seed=5)
    other.online.load_state_dict(kept[0])
    other.load_private_state(kept[1])
    other_optimizer = torch.optim.SGD(other.online.parameters(), lr=0.05, momentum=0.9)
    other_optimizer.load_state_dict(kept[2])
    for number in range(3, 6):
        losses = {step(m, o, views(8, number)) for m, o in ((method, optimizer), (other, other_optimizer))}
        assert len(losses) == 1
    expected = other.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in method.state_dict().items())
    assert any(not torch.equal(value, kept[0][key]) for key, value in method.online.state_dict().items())


def test_a_kept_state_is_a_copy(make_method, views):
    method = make_method("moco_v2")
    kept = method.private_state()
    before = {key: value.clone() for key, value in kept.items()}
    method.fill(views(8, 3)[0])
    assert all(torch.equal(kept[key], before[key]) for key in kept)


@pytest.mark.parametrize(("kept", "taken"), [("byol", "moco_v2"), ("rotation", "byol"), ("byol", "simclr")])
def test_the_state_of_another_method_is_refused(make_method, kept, taken):
    with pytest.raises(FedwardError, match="begin the run anew"):
        make_method(taken).load_private_state(make_method(kept).private_state())


def test_the_state_of_another_queue_is_refused(make_method):
    with pytest.raises(FedwardError, match=r"queue\.keys"):
        make_method("moco_v2", queue_size=24).load_private_state(make_method("moco_v2").private_state())


@pytest.mark.parametrize("name", WITH_TARGET)
def test_reset_makes_the_target_the_online_network(make_method, views, name):
    method = make_method(name)
    optimizer = torch.optim.SGD(method.online.parameters(), lr=0.1)
    for number in range(2):
        step(method, optimizer, views(8, number))
    method.reset()
    source = method.online.state_dict()
    assert all(torch.equal(value, source[key]) for key, value in method.target.state_dict().items())
    if name == "moco_v2":
        assert method.missing_keys == 16
        with pytest.raises(FedwardError, match="16 keys of the queue are missing"):
            method.loss(*views(8))


def test_mocos_keys_enter_the_queue_after_the_step_only(make_method, views):
    method = make_method("moco_v2")
    before = method.queue.keys.clone()
    first, second = views(8)
    keys = method.keys(second)
    method.backward(first, second)
    assert torch.equal(method.queue.keys, before)
    method.after_step(0.5)
    torch.testing.assert_close(method.queue.keys[:8], keys)
    assert torch.equal(method.queue.keys[8:], before[8:])
    torch.testing.assert_close(method.queue.keys.norm(dim=1), torch.ones(16))


@pytest.mark.parametrize(("name", "progress", "momentum"), [("moco_v2", 0.5, 0.999), ("byol", 0.5, 0.995)])
def test_a_step_moves_the_target_by_the_momentum_of_its_time(make_method, views, name, progress, momentum):
    method = make_method(name)
    with torch.no_grad():
        for parameter in method.online.parameters():
            parameter += 1
    before = {key: value.clone() for key, value in method.target.named_parameters()}
    method.after_step(progress)
    for key, value in method.target.named_parameters():
        torch.testing.assert_close(value - before[key], torch.full_like(value, 1 - momentum), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_in_evaluation_only_network_and_views_count(make_method, views, name):
    method, other = make_method(name), make_method(name)
    optimizer = torch.optim.SGD(other.online.parameters(), lr=0.1)
    for number in range(2):
        step(other, optimizer, views(8, number))
    other.online.load_state_dict(method.online.state_dict())  # the same network, another history
    method.eval()
    other.eval()
    with torch.no_grad():
        losses = [m.loss(*given(m, views(8, 9))).item() for m in (method, other)]
    assert losses[0] == losses[1]
    state = method.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in make_method(name).state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_it_learns(make_method, views, name):
    method = make_method(name)
    optimizer = torch.optim.SGD(method.online.parameters(), lr=0.05, momentum=0.9)
    pattern = views(8, 1)[0]
    # two views of an image: the same with little noise
    pairs = [tuple(pattern + 0.05 * noise for noise in views(8, number)) for number in range(40)]

    def loss():
        method.eval()
        with torch.no_grad():
            value = method.loss(*given(method, pairs[0])).item()
        method.train()
        return value

    before = loss()
    for number, pair in enumerate(pairs):
        step(method, optimizer, pair, number / len(pairs))
    assert loss() < 0.7 * before


@pytest.mark.parametrize("name", METHODS)
def test_low_precision_is_for_the_network_only(make_online, views, name):
    settings = pretext_settings(name, crop_size=32, **({"queue_size": 8} if name == "moco_v2" else {}))
    losses = []
    for precision in (None, torch.bfloat16):
        context = {} if precision is None else {"autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16)}
        method = build_method(make_online(name), settings, **context).train()
        if method.missing_keys:
            method.fill(views(8, 3)[0])
        seen = []
        method.criterion = lambda out, prepared, f=method.criterion, s=seen: (
            s.extend(o.dtype for o in out),
            f(out, prepared),
        )[1]
        losses.append(method.backward(*given(method, views(8))).item())
        assert set(seen) == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.1)
