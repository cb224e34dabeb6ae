"""Shapes, sizes and normalisation of the U-Net."""

import pytest
import torch

from fedward.networks.initial import initial_parameters
from fedward.networks.registry import build_network


def parameters_by_hand(channels, classes, f, depth):
    """Two 3x3 convolutions without bias and two batch norms a block; 2x2 transposed convolutions; a 1x1 head."""

    def block(i, o):
        return 9 * i * o + 9 * o * o + 2 * 2 * o

    widths = [f * 2**level for level in range(depth + 1)]
    total = block(channels, widths[0]) + sum(block(widths[k], widths[k + 1]) for k in range(depth))
    for k in range(depth):
        total += 4 * widths[k + 1] * widths[k] + widths[k]  # up
        total += block(2 * widths[k], widths[k])  # decoder
    return total + f * classes + classes


@pytest.mark.parametrize(("channels", "classes", "features", "depth"), [(3, 1, 2, 2), (1, 4, 3, 1), (3, 1, 16, 4)])
def test_number_of_parameters(channels, classes, features, depth):
    arguments = {"in_channels": channels, "out_channels": classes, "features": features, "depth": depth}
    model = build_network("unet", arguments)
    assert sum(p.numel() for p in model.parameters()) == parameters_by_hand(channels, classes, features, depth)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 16), (48, 80)])
def test_logits_have_the_size_of_the_image(height, width):
    model = build_network("unet", {"in_channels": 3, "out_channels": 2, "features": 2, "depth": 3}).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, height, width)).shape == (2, 2, height, width)


def test_a_size_that_does_not_fit_is_named():
    model = build_network("unet", {"in_channels": 1, "features": 2, "depth": 3})
    with pytest.raises(ValueError, match=r"image size \(20, 16\) is not a multiple of 8"):
        model(torch.rand(1, 1, 20, 16))


def test_every_pixel_of_the_input_reaches_far():
    """A change in one corner is seen at the bottom of the U: the receptive field is wider than the skip's 5 pixels."""
    torch.manual_seed(0)
    model = build_network("unet", {"in_channels": 1, "features": 4, "depth": 3}, seed=1).eval()
    image = torch.rand(1, 1, 32, 32)
    moved = image.clone()
    moved[..., 0, 0] += 10
    with torch.no_grad():
        changed = (model(moved) - model(image)).abs()[0, 0] > 1e-7
    assert changed[:3, :3].all()
    assert changed[8:, 8:].any()


def test_initial_weights_depend_on_network_and_seed_alone():
    arguments = {"in_channels": 1, "features": 2, "depth": 1}
    before = torch.random.get_rng_state()
    first = initial_parameters("unet", arguments, 1)
    torch.rand(3)
    again, other = initial_parameters("unet", arguments, 1), initial_parameters("unet", arguments, 2)
    torch.random.set_rng_state(before)
    assert all(first[key].tobytes() == again[key].tobytes() for key in first)
    assert first["encoder.0.0.weight"].tobytes() != other["encoder.0.0.weight"].tobytes()


def test_building_leaves_the_global_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    build_network("unet", {"features": 2}, seed=3)
    assert torch.equal(torch.rand(2), expected)
