"""MoCo on one device: batch normalisation must not tell which key belongs to a query."""

import pytest
import torch

from fedward.pretext import moco_v2
from fedward.pretext.moco_v2 import key_groups
from fedward.pretext.momentum import momentum_copy


@pytest.mark.parametrize(
    ("images", "micro_batch", "groups"),
    [(64, None, 4), (64, 32, 4), (64, 8, 8), (64, 2, 32), (7, None, 3), (4, None, 2), (2, None, 1), (1, None, 1)],
)
def test_four_groups_or_more_of_two_images_or_more(images, micro_batch, groups):
    assert key_groups(images, micro_batch) == groups


@pytest.mark.parametrize("micro_batch", [None, 2, 4, 6, 7, 16])
@pytest.mark.parametrize("images", [4, 9, 16, 18])
def test_keys_are_those_of_a_pass_for_each_group(make_method, views, images, micro_batch):
    """A pass of the network on every G-th image, by a network with ordinary layers: keys and running statistics."""
    method = make_method("moco_v2", micro_batch=micro_batch)
    plain = momentum_copy(method.online).train()
    plain.load_state_dict(method.target.state_dict())
    view = views(images)[0]
    seen = []
    method.target.encoder.first.register_forward_hook(lambda module, given, out: seen.append(len(out)))
    keys = method.keys(view)
    groups = key_groups(images, micro_batch)
    for first in range(groups):
        torch.testing.assert_close(keys[first::groups], method._embed(plain, view[first::groups]))
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(method.target.state_dict()[key], value, msg=key)
    assert sum(seen) == images
    assert max(seen) <= max(3, micro_batch or images)  # three images in parts of at most two are one part
    assert list(method.target.state_dict()) == list(plain.state_dict())


def normalising_means(layer, answer):
    """What `answer()` normalised with in `layer`, in the layer's order: images (B, -1), mean of channel 0 (B,).

    The layer gives (x - mean) / deviation, so that the mean is x where its line through the answer crosses zero.
    """
    images, means = [], []

    def look(module, given, out):
        x, y = given[0][:, 0].flatten(1), out[:, 0].flatten(1)
        slope = ((x - x.mean(1, True)) * y).sum(1) / ((y - y.mean(1, True)) * y).sum(1)
        means.append(x.mean(1) - slope * y.mean(1))
        images.append(x.clone())

    handle = layer.register_forward_hook(look)
    with torch.no_grad():
        answer()
    handle.remove()
    return torch.cat(images), torch.cat(means)


def leak(method, make_views, images=64, steps=60):
    """Correlation of the batch mean that normalised an image's query with the one that normalised its key."""
    pairs = []
    size = method.settings.micro_batch or images
    for number in range(steps):
        view = make_views(images, number)[0]
        given, query = normalising_means(
            method.online.encoder.first[1], lambda view=view: [method.outputs(part) for part in view.split(size)]
        )
        others, key = normalising_means(method.target.encoder.first[1], lambda view=view: method.keys(view))
        pairs.append(torch.stack([query, key[torch.cdist(given, others).argmin(dim=1)]]))
    return torch.corrcoef(torch.cat(pairs, dim=1))[0, 1].item()


@pytest.mark.parametrize(
    ("groups", "micro_batch", "correlation"),
    [(1, None, 1.0), (4, None, 0.5), (16, None, 0.25), (4, 16, 0.25)],
)
def test_the_batch_mean_gives_a_pair_away_half_as_much_as_in_one_group(
    make_method, views, monkeypatch, groups, micro_batch, correlation
):
    """Images that a query and its key share, over the root of the product of how many each was normalised with."""
    if groups != 4:  # what is shipped
        monkeypatch.setattr(moco_v2, "KEY_GROUPS", groups)
    method = make_method("moco_v2", micro_batch=micro_batch)
    assert leak(method, views) == pytest.approx(correlation, abs=0.12)
