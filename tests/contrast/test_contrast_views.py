"""Views of slices: what the settings switch off stays, and what instance normalisation would take away is not done."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedward.contrast.settings import ContrastSettings
from fedward.contrast.view_sheet import view_sheet
from fedward.contrast.views import bend, draw, random_views

STILL = ContrastSettings(min_crop=1.0, rotation=0.0, gamma=0.0)


def images(count, seed=0):
    return torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_without_changes_a_view_is_the_slice():
    for view in random_views(images(3), STILL, torch.Generator().manual_seed(1), 2):
        assert torch.allclose(view, images(3), atol=1e-5)


def test_views_differ_and_are_repeatable():
    first, second = random_views(images(4), ContrastSettings(), torch.Generator().manual_seed(1), 2)
    again = random_views(images(4), ContrastSettings(), torch.Generator().manual_seed(1), 2)
    assert first.shape == (4, 1, 16, 16)
    assert not torch.equal(first, second)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])


@given(st.integers(0, 10_000))
def test_a_draw_keeps_to_the_settings(seed):
    settings = ContrastSettings(min_crop=0.4, rotation=20.0, gamma=0.5)
    drawn = draw(torch.rand(9, 6, generator=torch.Generator().manual_seed(seed)), settings)
    assert (drawn.box[:, :2] >= 0).all()
    assert (drawn.box[:, :2] + drawn.box[:, 2:] <= 1 + 1e-6).all()
    assert ((drawn.box[:, 2] * drawn.box[:, 3]) >= 0.4 - 1e-6).all()
    assert (drawn.angle.rad2deg().abs() <= 20 + 1e-4).all()
    assert (drawn.gamma >= 1 / 1.5 - 1e-6).all()
    assert (drawn.gamma <= 1.5 + 1e-6).all()


def test_bending_keeps_the_ends_the_order_and_a_slice_of_one_value():
    image = images(2)
    bent = bend(image, torch.tensor([0.5, 2.0]))
    for before, after in zip(image, bent, strict=True):
        assert after.min() == pytest.approx(float(before.min()), abs=1e-5)
        assert after.max() == pytest.approx(float(before.max()), abs=1e-5)
        assert torch.equal(before.flatten().argsort(), after.flatten().argsort())
    assert (bent[0] - image[0]).max() > 0.2
    assert (bent[1] - image[1]).min() < -0.2
    flat = torch.full((1, 1, 4, 4), -1.5)
    assert torch.equal(bend(flat, torch.tensor([2.0])), flat)


def test_the_sheet_shows_each_partition_and_says_where_one_holds_no_slice(scans):
    columns = view_sheet(scans([9, 3]), ContrastSettings(), torch.Generator().manual_seed(1))
    titles = [column.title for column in columns]
    assert titles[:4] == [f"partition {n} of 4" for n in (1, 2, 3, 4)]
    assert titles[4:] == ["random crop", "rotation", "gamma", "first view", "second view"]
    assert [column.captions[1] for column in columns[:4]] == ["slice 1 of 3", "slice 2 of 3", "slice 3 of 3", "none"]
    assert all(column.images.shape == (2, 16, 16) for column in columns)
    assert all(column.images.min() >= 0 and column.images.max() <= 1 for column in columns)
    assert (columns[3].images[1] == 0).all()
    rotation = ContrastSettings(method="rotation", exchange=False, gamma=0.0, partitions=40)
    columns = view_sheet(scans([9]), rotation, torch.Generator().manual_seed(1))
    assert len(columns) == 8 + 3
    assert columns[-1].title == "whole view"
