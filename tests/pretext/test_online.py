"""The network that travels: its keys, its sizes, and FRID as BYOL with parts added."""

import pytest
import torch

from fedward.errors import UsageError
from fedward.networks.registry import build_network
from fedward.pretext.methods import build_method
from fedward.pretext.online import build_online
from fedward.pretext.settings import METHODS, pretext_settings

SMALL = {"growth_rate": 4}
SIZES = {"rotation": 4, "simclr": 128, "moco_v2": 128, "byol": 256, "frid": 256}


@pytest.mark.parametrize("method", METHODS)
def test_keys_are_encoder_projector_and_predictor_only(method):
    settings = pretext_settings(method, **({"queue_size": 8} if method == "moco_v2" else {}))
    online = build_network(method, SMALL, 1)
    before = list(online.state_dict())
    build_method(online, settings)
    keys = list(online.state_dict())
    assert keys == before
    assert {key.split(".")[0] for key in keys} == {"encoder", "projector"} | (
        {"predictor"} if method in ("byol", "frid") else set()
    )
    encoder = build_network("densenet121", {"out_channels": 0, **SMALL}, 1).state_dict()
    assert [key.removeprefix("encoder.") for key in keys if key.startswith("encoder.")] == list(encoder)


@pytest.mark.parametrize("method", METHODS)
def test_sizes(method):
    online = build_network(method, SMALL, 1)
    assert online(torch.rand(2, 3, 64, 64)).shape == (2, SIZES[method])
    assert online.features(torch.rand(2, 3, 64, 64)).shape == (2, online.encoder.num_features)


def test_heads_at_the_default_width_are_as_published():
    with torch.device("meta"):
        byol, simclr = build_online("byol"), build_online("simclr")
    assert [tuple(p.shape) for p in byol.projector.parameters() if p.dim() == 2] == [(4096, 1024), (256, 4096)]
    assert [tuple(p.shape) for p in byol.predictor.parameters() if p.dim() == 2] == [(4096, 256), (256, 4096)]
    assert [tuple(p.shape) for p in simclr.projector.parameters() if p.dim() == 2] == [(1024, 1024), (128, 1024)]


def test_frid_at_its_start_is_byol_bit_for_bit():
    byol, frid = build_online("byol", **SMALL), build_online("frid", sr_layer=1, **SMALL)
    missing = frid.load_state_dict(byol.state_dict(), strict=False)
    assert sorted(missing.missing_keys) == ["projector.sr_layer.gain", "projector.sr_layer.weight"]
    assert not missing.unexpected_keys
    changes = {"crop_size": 32, "edge": False}
    methods = [
        build_method(online, pretext_settings(name, **changes)).train()
        for name, online in (("byol", byol), ("frid", frid))
    ]
    views = torch.rand(2, 4, 3, 64, 64).unbind()
    losses = [method.backward(*views) for method in methods]
    assert losses[0].item() == losses[1].item()
    for name, parameter in byol.named_parameters():
        assert torch.equal(parameter.grad, dict(frid.named_parameters())[name].grad), name
    assert frid.projector.sr_layer.gain.grad.abs() > 0


def test_the_sr_layer_has_no_part_in_the_features():
    frid = build_network("frid", {"sr_layer": 1, **SMALL}, 1).eval()
    view = torch.rand(2, 3, 64, 64)
    before = frid.features(view), frid(view)
    frid.projector.sr_layer.gain.data.fill_(2)
    assert torch.equal(frid.features(view), before[0])
    assert not torch.equal(frid(view), before[1])


def test_bad_arguments():
    with pytest.raises(UsageError, match="swav"):
        build_online("swav")
    with pytest.raises(UsageError, match="byol has no SR layer"):
        build_online("byol", sr_layer=1)
