"""MoCo on one device: batch normalisation must not tell which key belongs to a query."""

import pytest
import torch

from fedward.pretext import moco_v2
from fedward.pretext.moco_v2 import group_count


@pytest.mark.parametrize(
    ("images", "groups"), [(4, 2), (16, 2), (31, 2), (32, 2), (63, 2), (64, 4), (127, 4), (128, 8), (256, 8)]
)
def test_groups_have_sixteen_images_where_the_batch_allows(images, groups):
    assert group_count(images) == groups


def peers(answer, view):
    """(B, B) bool: whether the answer for image i depends on image j."""
    before = answer(view)
    table = []
    for j in range(len(view)):
        changed = view.clone()
        changed[j] = 1 - changed[j]
        table.append((answer(changed) - before).abs().amax(dim=1) > 1e-7)
    return torch.stack(table, dim=1)


@pytest.mark.parametrize(("images", "micro_batch", "groups"), [(16, None, 2), (64, None, 4), (16, 4, 4)])
@torch.no_grad()
def test_query_and_key_meet_one_in_so_many_of_the_same_images(make_method, views, images, micro_batch, groups):
    method = make_method("moco_v2", micro_batch=micro_batch)
    first, second = views(images)
    method.keys(second)  # a step begins with its keys
    queries = peers(
        lambda view: torch.cat([method.outputs(part)[0] for part in view.split(micro_batch or images)]), first
    )
    keys = peers(method.keys, second)
    size = images // groups
    assert queries.sum(dim=1).tolist() == [size] * images
    assert keys.sum(dim=1).tolist() == [size] * images
    assert (queries & keys).sum(dim=1).tolist() == [size // groups] * images
    assert queries.diagonal().all()
    assert keys.diagonal().all()


def signature_correlation(method, make_views, steps=60):
    """How well the batch mean that normalised an image's query predicts the one that normalised its key."""
    means = {"query": [], "key": []}
    layers = {"query": method.online.encoder.first[0], "key": method.target.encoder.first[0]}
    for kind, layer in layers.items():
        layer.register_forward_hook(
            lambda module, given, out, kind=kind: means[kind].append(out.mean(dim=(0, 2, 3))[0].repeat(len(out)))
        )
    per_image = {"query": [], "key": []}
    for number in range(steps):
        for kind in means:
            means[kind].clear()
        view = make_views(64, number)[0]
        with torch.no_grad():
            prepared = method.prepare(view, view)
            method.outputs(*prepared)
        per_image["query"].append(torch.cat(means["query"]))
        groups = len(means["key"])
        key = torch.empty(64)
        for first, part in enumerate(means["key"]):
            key[first::groups] = part
        per_image["key"].append(key)
    pair = torch.stack([torch.cat(per_image["query"]), torch.cat(per_image["key"])])
    return torch.corrcoef(pair)[0, 1].item()


def test_the_batch_mean_gives_a_pair_away_without_groups_and_hardly_with_them(make_method, views, monkeypatch):
    grouped = signature_correlation(make_method("moco_v2"), views)
    monkeypatch.setattr(moco_v2, "group_count", lambda images: 1)
    whole = signature_correlation(make_method("moco_v2"), views)
    assert whole == pytest.approx(1, abs=1e-3)
    assert grouped == pytest.approx(1 / 4, abs=0.12)
