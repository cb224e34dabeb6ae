"""MoCo on one device: batch normalisation must not tell which key belongs to a query."""

import pytest
import torch

from fedward.pretext import moco_v2


def peers(answer, view):
    """(B, B) bool: whether the answer for image i depends on image j."""
    before = answer(view)
    table = []
    for j in range(len(view)):
        changed = view.clone()
        changed[j] = 1 - changed[j]
        table.append((answer(changed) - before).abs().amax(dim=1) > 1e-7)
    return torch.stack(table, dim=1)


@pytest.mark.parametrize(("images", "micro_batch", "groups"), [(8, None, 2), (32, None, 2), (16, 4, 4)])
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


@pytest.mark.parametrize(("groups", "correlation"), [(1, 1.0), (2, 0.5), (8, 0.125)])
def test_the_batch_mean_gives_a_pair_away_the_less_the_more_groups(
    make_method, views, monkeypatch, groups, correlation
):
    if groups != 2:  # what is shipped
        monkeypatch.setattr(moco_v2, "GROUPS", groups)
    assert signature_correlation(make_method("moco_v2"), views) == pytest.approx(correlation, abs=0.12)
