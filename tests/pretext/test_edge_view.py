"""The edge view against a pixel-by-pixel Sobel filter, and its limits."""

import numpy as np
import pytest
import torch

from fedward.pretext.edge import edge_view, sobel

KERNEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def slow_edge_view(image, strength):
    """I' = clip(I + lambda |grad I| / max(|grad I|, 1e-6), 0, 1), the border replicated."""
    padded = np.pad(image, 1, mode="edge")
    length = np.zeros_like(image)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            window = padded[i : i + 3, j : j + 3]
            length[i, j] = np.sqrt((window * KERNEL).sum() ** 2 + (window * KERNEL.T).sum() ** 2)
    return np.clip(image + strength * length / max(length.max(), 1e-6), 0, 1)


@pytest.fixture
def images():
    return torch.rand(4, 1, 9, 12, generator=torch.Generator().manual_seed(0))


def test_it_equals_the_slow_reference_with_one_strength_an_image(images):
    strength = torch.tensor([0.1, 0.25, 0.5, 0.0])
    view = edge_view(images, strength)
    assert view.shape == images.shape
    for image, s, result in zip(images[:, 0].double().numpy(), strength.tolist(), view[:, 0], strict=True):
        assert np.abs(slow_edge_view(image, s) - result.numpy()).max() < 1e-5


def test_strength_zero_is_the_image_itself(images):
    assert torch.equal(edge_view(images, torch.zeros(4)), images)


def test_the_result_is_clipped_and_never_darker(images):
    view = edge_view(images, torch.ones(4))
    assert view.max() == 1
    assert (view >= images).all()


def test_an_even_image_has_no_edges_not_even_at_the_border():
    even = torch.full((2, 1, 8, 8), 0.3)
    assert sobel(even).max() < 1e-6
    assert torch.allclose(edge_view(even, torch.full((2,), 0.5)), even, atol=1e-6)


def test_faint_noise_is_not_raised_to_full_strength():
    noise = 0.5 + 1e-9 * torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert (edge_view(noise, torch.tensor([0.5])) - noise).abs().max() < 0.02


def test_a_step_by_hand():
    """Columns 0 0 1 1: the length is 4 beside the step, 0 elsewhere, so only there lambda is added."""
    step = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 4, 4)
    assert sobel(step)[0, 0, 0].tolist() == [0, 4, 4, 0]
    assert edge_view(step, torch.tensor([0.5]))[0, 0, 0].tolist() == [0, 0.5, 1, 1]
