"""Micro-batches give the gradient of the whole batch, up to the statistics of batch normalisation."""

import pytest
import torch

from fedward.pretext.method import split
from fedward.pretext.settings import METHODS


def gradients(method, views):
    method.zero_grad(set_to_none=True)
    loss = method.backward(*views[: method.views])
    return loss.item(), {name: p.grad.clone() for name, p in method.online.named_parameters()}


@pytest.mark.parametrize("images", [8, 7])
@pytest.mark.parametrize("micro_batch", [2, 3, 4, 8, 100])
@pytest.mark.parametrize("name", METHODS)
def test_loss_and_gradients_are_those_of_the_whole_batch(make_method, views, freeze, name, micro_batch, images):
    whole, parts = make_method(name), make_method(name, micro_batch=micro_batch)
    parts.load_state_dict(whole.state_dict())
    for method in (whole, parts):
        freeze(method)
    pair = views(images)
    loss, expected = gradients(whole, pair)
    own_loss, own = gradients(parts, pair)
    assert own_loss == pytest.approx(loss, abs=1e-5)
    for key, value in expected.items():
        torch.testing.assert_close(own[key], value, atol=1e-5, rtol=1e-5)
    for method in (whole, parts):
        method.after_step(0.5)
    if name == "moco_v2":  # the queue has the keys of the whole step, in the same order
        torch.testing.assert_close(parts.queue.keys, whole.queue.keys)
        assert parts.queue.oldest == images


@pytest.mark.parametrize("name", METHODS)
def test_no_more_images_than_a_micro_batch_have_a_graph(make_method, views, name):
    method = make_method(name, micro_batch=4)
    seen = []

    def look(module, given, out):
        if torch.is_grad_enabled():
            seen.append(len(out))

    method.online.encoder.first.register_forward_hook(look)
    method.backward(*views(16)[: method.views])
    assert seen == [4 * (2 if name == "simclr" else 1)] * (4 * (2 if name in ("byol", "frid") else 1))


def test_simclrs_first_pass_leaves_the_statistics_alone(make_method, views):
    """As many updates as micro-batches, and those of the passes that have a gradient."""
    method, other = make_method("simclr", micro_batch=4), make_method("simclr")
    pair = views(8)
    method.backward(*pair)
    norm = method.online.encoder.first[1]
    assert norm.num_batches_tracked == 2
    assert norm.track_running_stats
    with torch.no_grad():
        for part in zip(*(view.split(4) for view in pair), strict=True):
            other.outputs(*part)
    torch.testing.assert_close(norm.running_mean, other.online.encoder.first[1].running_mean)


def test_the_gradient_cache_works_in_low_precision(make_online, views, freeze):
    """Weights cast in a pass without a graph must not be used in the pass with one."""
    from fedward.pretext.methods import build_method
    from fedward.pretext.settings import pretext_settings

    results = []
    for micro_batch in (None, 4):
        settings = pretext_settings("simclr", crop_size=32, micro_batch=micro_batch)
        method = build_method(make_online("simclr"), settings, lambda: torch.autocast("cpu", dtype=torch.bfloat16))
        freeze(method.train())
        _, own = gradients(method, views(8))
        results.append(torch.cat([value.flatten() for value in own.values()]))
    assert torch.cosine_similarity(*results, dim=0) > 0.99
    assert results[1].norm().item() == pytest.approx(results[0].norm().item(), rel=0.05)


@pytest.mark.parametrize(
    ("items", "size", "lengths"), [(8, 4, [4, 4]), (9, 4, [3, 3, 3]), (3, 2, [3]), (5, 2, [3, 2]), (1, 4, [1])]
)
def test_no_part_is_a_single_image(items, size, lengths):
    assert [len(part) for part in split(torch.zeros(items), size)] == lengths
