"""FRID's SR layer: the identity at the start, its formula, its kernel and its place."""

import math

import pytest
import torch

from fedward.networks.registry import build_network
from fedward.pretext.sr_layer import SRLayer


@pytest.fixture
def layer():
    torch.manual_seed(3)
    return SRLayer()


def slow_attention(feature_map, weight, kernel):
    """sigmoid of the cross-correlation with [mean_c F; max_c F], zeros outside, one number at a time."""
    channels, height, width = feature_map.shape
    pooled = [
        [
            [sum(feature_map[c][y][x].item() for c in range(channels)) / channels for x in range(width)]
            for y in range(height)
        ],
        [[max(feature_map[c][y][x].item() for c in range(channels)) for x in range(width)] for y in range(height)],
    ]
    start, half = (7 - kernel) // 2, kernel // 2
    out = torch.zeros(height, width)
    for y in range(height):
        for x in range(width):
            total = 0.0
            for p in range(2):
                for i in range(kernel):
                    for j in range(kernel):
                        yy, xx = y + i - half, x + j - half
                        if 0 <= yy < height and 0 <= xx < width:
                            total += weight[0, p, start + i, start + j].item() * pooled[p][yy][xx]
            out[y, x] = 1 / (1 + math.exp(-total))
    return out


@pytest.mark.parametrize(("height", "width", "kernel"), [(7, 7, 7), (8, 9, 7), (4, 4, 3), (6, 9, 3), (2, 2, 3)])
def test_it_is_its_formula(layer, height, width, kernel):
    feature_map = torch.randn(2, 5, height, width)
    layer.gain.data.fill_(0.7)
    for image, weighted in zip(feature_map, layer(feature_map), strict=True):
        attention = slow_attention(image, layer.weight, kernel)
        torch.testing.assert_close(weighted, image * (1 + 0.7 * attention), atol=1e-5, rtol=1e-5)


def test_it_starts_as_the_identity_and_learns(layer):
    feature_map = torch.randn(2, 5, 7, 7)
    out = layer(feature_map)
    assert torch.equal(out, feature_map)
    out.square().sum().backward()
    assert layer.gain.grad.abs() > 0


@pytest.mark.parametrize(("size", "late"), [(64, False), (96, False), (128, True), (160, True)])
def test_it_sits_a_stage_earlier_below_128_pixels(size, late):
    online = build_network("frid", {"growth_rate": 4, "sr_layer": 1}, 1).eval()
    seen = []
    online.projector.sr_layer.register_forward_hook(lambda module, given, out: seen.append(tuple(out.shape[1:])))
    with torch.no_grad():
        online(torch.rand(1, 3, size, size))
    channels = online.encoder.num_features if late else online.encoder.early_features
    side = size // 32 if late else size // 16
    assert seen == [(channels, side, side)]
