"""Image and mask move together, and only the generator decides how."""

import math

import pytest
import torch

from fedward.training import augmentation
from fedward.training.augmentation import augment


def disc(size=64, radius=14, at=(0.15, 0.2)):
    """A bright disc on black, off centre, and its mask: (1, 1, size, size)."""
    y, x = torch.meshgrid(*[torch.arange(size)] * 2, indexing="ij")
    mask = ((x - size * (0.5 + at[0])) ** 2 + (y - size * (0.5 + at[1])) ** 2 < radius**2).float()
    return mask.clone()[None, None], mask[None, None]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def many(count=200, **changes):
    image, mask = disc(**changes)
    return augment(image.repeat(count, 1, 1, 1), mask.repeat(count, 1, 1, 1), generator())


def centre(mask):
    """Mean x and y of the foreground relative to the middle, in pixels: (N, 2)."""
    size = mask.shape[-1]
    line = torch.arange(size) - (size - 1) / 2
    weight = mask[:, 0] / mask.sum(dim=(1, 2, 3))[:, None, None]
    return torch.stack([(weight * line).sum(dim=(1, 2)), (weight * line[:, None]).sum(dim=(1, 2))], dim=1)


def test_without_rotation_and_scale_each_image_is_itself_or_its_mirror_image(monkeypatch):
    monkeypatch.setattr(augmentation, "MAX_ROTATION", 0.0)
    monkeypatch.setattr(augmentation, "MAX_SCALE", 0.0)
    image = torch.rand(40, 3, 16, 16, generator=generator(1))
    mask = (torch.rand(40, 1, 16, 16, generator=generator(2)) > 0.5).float()
    moved, moved_mask = augment(image, mask, generator())
    flipped = 0
    for i in range(40):
        mirrored = torch.allclose(moved[i], image[i].flip(-1), atol=1e-5)
        assert mirrored or torch.allclose(moved[i], image[i], atol=1e-5)
        assert torch.equal(moved_mask[i], mask[i].flip(-1) if mirrored else mask[i])
        flipped += mirrored
    assert 10 <= flipped <= 30


def test_without_a_mirror_nothing_is_flipped_and_the_rest_stays(monkeypatch):
    image, mask = torch.rand(40, 1, 16, 16), torch.ones(40, 1, 16, 16)
    turned = augment(image, mask, generator(), mirror=False)[0]
    mirrored = augment(image, mask, generator())[0]
    same = sum(torch.equal(one, other) for one, other in zip(turned, mirrored, strict=True))
    assert 10 <= same <= 30  # the same turns and scalings; the others are flipped
    monkeypatch.setattr(augmentation, "MAX_ROTATION", 0.0)
    monkeypatch.setattr(augmentation, "MAX_SCALE", 0.0)
    assert torch.allclose(augment(image, mask, generator(), mirror=False)[0], image, atol=1e-5)


def test_the_mask_stays_binary_and_the_shapes_stay():
    moved, mask = many()
    assert moved.shape == mask.shape == (200, 1, 64, 64)
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_image_and_mask_move_together():
    """The image is its own mask, so after moving both they may differ on the edge alone."""
    moved, mask = many()
    assert ((moved > 0.5) != mask.bool()).float().mean() < 0.005
    assert (centre(moved) - centre(mask)).abs().max() < 0.4


def test_the_disc_moves_as_far_as_rotation_and_scale_allow():
    _, mask = many()
    x, y = centre(mask).T
    distance = torch.hypot(x, y)
    still_x, still_y = centre(disc()[1])[0]
    assert (distance / math.hypot(still_x, still_y) - 1).abs().max() < 0.05 + 0.02
    turned = torch.atan2(y, x.abs()) - math.atan2(still_y, abs(still_x))
    assert turned.abs().max() < math.radians(15) + 0.02
    assert turned.abs().max() > math.radians(12)
    assert 60 < (x < 0).sum() < 140  # mirrored
    area = mask.sum(dim=(1, 2, 3)) / disc()[1].sum()
    assert 0.9 - 0.02 < area.min() < 0.95
    assert 1.05 < area.max() < 1.1025 + 0.03


def test_a_disc_in_the_middle_stays_there():
    _, mask = many(at=(-0.5 / 64, -0.5 / 64))
    assert centre(mask).abs().max() < 0.2


def test_the_same_generator_gives_the_same_and_another_something_else():
    image, mask = disc()
    first, again, other = (augment(image, mask, generator(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_each_image_moves_in_its_own_way():
    moved, _ = many(count=3)
    assert not torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[1], moved[2])


def test_what_comes_from_outside_is_black():
    moved, mask = augment(torch.ones(50, 1, 32, 32), torch.ones(50, 1, 32, 32), generator())
    assert moved.min() == 0
    assert mask.min() == 0
    assert (moved[:, :, 8:24, 8:24] > 0.999).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_global_random_numbers_are_not_touched(seed):
    torch.manual_seed(seed)
    expected = torch.rand(1)
    torch.manual_seed(seed)
    many(count=2)
    assert torch.equal(torch.rand(1), expected)
