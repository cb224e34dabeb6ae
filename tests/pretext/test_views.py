"""Random views: what each number does, against slow references; and that nothing but the generator decides."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from fedward.pretext.augmentation import (
    MEAN,
    NUMBERS,
    STD,
    augmented,
    blur,
    centre_crop,
    classification_view,
    crop,
    draw,
    jitter,
    normalise,
    one_view,
    random_box,
    rotate_quarter,
    two_views,
)
from fedward.pretext.contact_sheet import unchanged
from fedward.pretext.settings import pretext_settings

SETTINGS = pretext_settings("frid", crop_size=32)
NOTHING = pretext_settings(
    "byol", crop_size=40, min_crop=1.0, flip=False, rotation=0.0, jitter=0.0, blur=0.0, edge=False
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=6, size=40, seed=0):
    """Smooth random images, uint8 (B, 1, S, S)."""
    small = torch.rand(count, 1, 5, 5, generator=generator(seed))
    return (interpolate(small, size=(size, size), mode="bicubic").clamp(0, 1) * 255).round().to(torch.uint8)


def grey(view):
    """A normalised view back as grey in [0, 1]: (B, c, c)."""
    return view[:, 0] * STD[0] + MEAN[0]


def slow_crop(image, box, angle, mirror, size):
    """One (S, S) image, pixel by pixel: box turned about its middle, bilinear, nearest border outside."""
    edge = len(image)
    left, top, width, height = (float(part) * edge for part in box)
    result = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            u = ((j + 0.5) / size - 0.5) * width * (-1 if mirror else 1)
            v = ((i + 0.5) / size - 0.5) * height
            x = left + width / 2 + math.cos(angle) * u - math.sin(angle) * v - 0.5
            y = top + height / 2 + math.sin(angle) * u + math.cos(angle) * v - 0.5
            x, y = min(max(x, 0), edge - 1), min(max(y, 0), edge - 1)
            x0, y0 = min(int(x), edge - 2), min(int(y), edge - 2)
            fx, fy = x - x0, y - y0
            upper = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
            lower = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
            result[i, j] = upper * (1 - fy) + lower * fy
    return result


def test_two_views_are_normalised_pictures_of_the_size_asked_for():
    first, second = two_views(pictures(), SETTINGS, generator())
    for view in (first, second):
        assert view.shape == (6, 3, 32, 32)
        assert view.dtype == torch.float32
        channels = view * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
        assert torch.allclose(channels[:, 0], channels[:, 1], atol=1e-6)
        assert torch.allclose(channels[:, 0], channels[:, 2], atol=1e-6)
        assert channels.min() >= -1e-6
        assert channels.max() <= 1 + 1e-6
    assert not torch.equal(first, second)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_generator_alone_decides(seed):
    torch.manual_seed(seed)
    expected = torch.rand(1)
    torch.manual_seed(seed)
    first = two_views(pictures(), SETTINGS, generator(3))
    assert torch.equal(torch.rand(1), expected)  # the global numbers were not touched
    torch.manual_seed(99)
    again = two_views(pictures(), SETTINGS, generator(3))
    other = two_views(pictures(), SETTINGS, generator(4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_each_image_has_its_own_numbers():
    same = pictures(1).repeat(4, 1, 1, 1)
    for view in two_views(same, SETTINGS, generator()):
        for i in range(3):
            assert not torch.allclose(view[i], view[i + 1], atol=1e-3)


@pytest.mark.parametrize("parts", [(2, 4), (1, 1, 4), (5, 1)])
def test_views_made_in_parts_equal_the_whole_batch(parts):
    images = pictures(6)
    whole = two_views(images, SETTINGS, generator(7))
    source = generator(7)
    pieces = [two_views(part, SETTINGS, source) for part in images.split(parts)]
    for k in range(2):
        assert torch.allclose(whole[k], torch.cat([piece[k] for piece in pieces]), atol=1e-6)


def test_settings_that_switch_everything_off_give_the_image_itself():
    images = pictures()
    for view in (*two_views(images, NOTHING, generator()), one_view(images, NOTHING, generator())):
        assert torch.allclose(grey(view), images[:, 0] / 255, atol=1e-5)


def test_switching_one_augmentation_off_leaves_the_others():
    images = pictures()
    plain = replace(SETTINGS, edge=False)
    edged, second = two_views(images, SETTINGS, generator(1))
    without, second_again = two_views(images, plain, generator(1))
    assert torch.equal(second, second_again)  # only the first view may be an edge view
    changed = [not torch.equal(a, b) for a, b in zip(edged, without, strict=True)]
    assert 0 < sum(changed) < len(changed)  # some with probability one half
    assert (edged - without).min() > -1e-5  # edges are added


def test_one_view_is_never_an_edge_view():
    always = replace(SETTINGS, edge_probability=1.0)
    assert torch.equal(
        one_view(pictures(), always, generator()), one_view(pictures(), replace(always, edge=False), generator())
    )


def test_mixed_precision_of_the_caller_does_not_reach_the_views():
    plain = two_views(pictures(), SETTINGS, generator())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = two_views(pictures(), SETTINGS, generator())
    assert all(torch.equal(a, b) for a, b in zip(plain, inside, strict=True))


def test_a_box_resampled_in_twice_its_resolution_equals_interpolation():
    image = pictures(1).float() / 255
    large = interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    box = torch.tensor([[6.0, 11.0, 16.0, 16.0]]) / 40
    still = torch.zeros(1)
    view = crop(image, box, still, still.bool(), 32)
    assert torch.allclose(view, large[..., 22:54, 12:44], atol=1e-5)
    assert torch.allclose(crop(image, box, still, ~still.bool(), 32), view.flip(-1), atol=1e-6)


def test_crop_equals_a_slow_reference():
    images = pictures(4)
    drawn = draw(torch.rand(4, NUMBERS, generator=generator(5)), replace(SETTINGS, rotation=44))
    assert drawn.mirror.any()
    assert not drawn.mirror.all()
    fast = crop(images.float() / 255, drawn.box, drawn.angle, drawn.mirror, 20)
    for i in range(4):
        slow = slow_crop(images[i, 0].numpy() / 255, drawn.box[i], float(drawn.angle[i]), bool(drawn.mirror[i]), 20)
        assert np.abs(fast[i, 0].numpy() - slow).max() < 1e-4


def test_boxes_lie_inside_with_the_area_and_ratio_asked_for():
    area, ratio, x, y = torch.rand(4, 5000, generator=generator())
    left, top, width, height = random_box(area, ratio, x, y, 0.2).unbind(1)
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= 1 + 1e-6
    assert torch.allclose(width * height, 0.2 + 0.8 * area, atol=1e-5)
    shape = width / height
    assert 3 / 4 - 1e-4 <= shape.min() < 0.76
    assert 1.32 < shape.max() <= 4 / 3 + 1e-4
    assert abs(float(shape.log().mean())) < 0.01
    whole = random_box(area, ratio, x, y, 1.0)
    assert torch.allclose(whole, torch.tensor([0.0, 0.0, 1.0, 1.0]).expand_as(whole), atol=1e-6)


def test_numbers_become_what_the_settings_allow():
    drawn = draw(torch.rand(4000, NUMBERS, generator=generator()), pretext_settings("frid"))
    assert 9.9 < drawn.angle.abs().max().rad2deg() <= 10
    for factor in (drawn.brightness, drawn.contrast):
        assert 0.6 <= factor.min() < 0.61
        assert 1.39 < factor.max() <= 1.4
    for happened in (drawn.mirror, drawn.blur > 0, drawn.edge > 0):
        assert 0.46 < happened.float().mean() < 0.54
    assert 0.1 <= drawn.blur[drawn.blur > 0].min() < drawn.blur.max() <= 2
    assert 0.49 < drawn.edge.max() < 0.5
    small = draw(torch.rand(4000, NUMBERS, generator=generator()), pretext_settings("frid", crop_size=56))
    assert torch.allclose(small.blur * 4, drawn.blur)  # the same blur of a smaller view


def test_the_draws_that_change_nothing_change_nothing():
    images = pictures()
    assert torch.allclose(augmented(images, unchanged(6), 40), images / 255, atol=1e-5)


def test_jitter_by_hand():
    images = torch.tensor([[0.2, 0.4], [0.6, 0.8]]).expand(2, 1, 2, 2)
    changed = jitter(images, torch.tensor([1.0, 0.5]), torch.tensor([2.0, 0.5]))
    assert torch.allclose(changed[0, 0], torch.tensor([[0.0, 0.3], [0.7, 1.0]]), atol=1e-6)  # mean .5, clipped
    assert torch.allclose(changed[1, 0], torch.tensor([[0.175, 0.225], [0.275, 0.325]]), atol=1e-6)  # mean .25


def test_blur_equals_a_slow_reference():
    images = torch.rand(3, 1, 24, 24, generator=generator())
    sigmas = torch.tensor([0.02, 0.15, 0.21])
    radius = math.ceil(3 * 2 * 24 / 224)
    for image, sigma, fast in zip(images[:, 0].numpy(), sigmas.tolist(), blur(images, sigmas)[:, 0], strict=True):
        weights = np.array([math.exp(-((i / sigma) ** 2) / 2) for i in range(-radius, radius + 1)])
        weights /= weights.sum()
        padded = np.pad(image, radius, mode="reflect")
        slow = np.zeros_like(image)
        for i in range(24):
            for j in range(24):
                slow[i, j] = weights @ padded[i : i + 2 * radius + 1, j : j + 2 * radius + 1] @ weights
        assert np.abs(fast.numpy() - slow).max() < 1e-5


def test_normalise_by_hand():
    value = normalise(torch.full((1, 1, 1, 1), 0.5)).flatten()
    assert torch.allclose(value, torch.tensor([0.015 / 0.229, 0.044 / 0.224, 0.094 / 0.225]), atol=1e-6)


def test_a_classification_view_is_an_exact_crop_anywhere_in_the_image():
    image = torch.arange(100, dtype=torch.uint8).view(1, 1, 10, 10)
    views = classification_view(image.repeat(400, 1, 1, 1), 8, True, generator())
    assert views.shape == (400, 3, 8, 8)
    corners, mirrored = set(), 0
    for view in (grey(views) * 255).round().long():
        flip = int(view[0, 0] > view[0, 1])
        view = view.flip(-1) if flip else view
        top, left = divmod(int(view[0, 0]), 10)
        assert torch.equal(view, image[0, 0, top : top + 8, left : left + 8].long())
        corners.add((top, left))
        mirrored += flip
    assert corners == {(i, j) for i in range(3) for j in range(3)}
    assert 160 < mirrored < 240


def test_classification_views_without_mirror_and_without_room():
    images = pictures()
    view = classification_view(images, 40, False, generator())
    assert torch.equal(view, normalise(images / 255))
    assert torch.equal(view, centre_crop(images, 40))
    mirrored = classification_view(images, 40, True, generator())
    kept = [torch.equal(a, b) for a, b in zip(mirrored, view, strict=True)]
    assert all(k or torch.equal(a, b.flip(-1)) for k, a, b in zip(kept, mirrored, view, strict=True))


def test_the_largest_random_number_stays_inside(monkeypatch):
    top = torch.full((1, 3), 1 - 2**-24)
    monkeypatch.setattr(torch, "rand", lambda *args, **kwargs: top)
    image = torch.zeros(1, 1, 65, 65, dtype=torch.uint8)
    image[0, 0, 33:, 33:] = 255
    assert (grey(classification_view(image, 32, True, generator())) > 0.999).all()


def test_centre_crop_is_the_middle():
    image = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6)
    assert (grey(centre_crop(image, 2)) * 255).round().long().tolist() == [[[14, 15], [20, 21]]]


@pytest.mark.parametrize("shape", [(1, 1, 20, 20), (1, 1, 40, 20)])
def test_a_crop_larger_than_the_image_is_refused(shape):
    image = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(ValueError, match="does not fit"):
        centre_crop(image, 24)
    with pytest.raises(ValueError, match="does not fit"):
        classification_view(image, 24, False, generator())


def test_quarter_turns_are_exact_and_one_image_each():
    images = torch.rand(8, 3, 6, 6, generator=generator())
    quarters = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
    turned = rotate_quarter(images, quarters)
    for image, k, result in zip(images, quarters.tolist(), turned, strict=True):
        assert np.array_equal(np.rot90(image.numpy(), k, axes=(1, 2)), result.numpy())
    assert torch.equal(rotate_quarter(turned, (4 - quarters) % 4), images)
