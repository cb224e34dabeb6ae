import numpy as np
import pytest
import torch
from PIL import Image

from fedward.errors import FedwardError
from fedward.networks.densenet import DenseNet121
from fedward.reports.overlays import read_overlays
from fedward.reports.saliency_pictures import OPACITY, colours, legend, map_size, saliency_overlay, save_saliency

IMAGE = np.linspace(0, 1, 48 * 40).reshape(48, 40)


def test_without_heat_it_is_the_grey_image():
    picture = saliency_overlay(IMAGE, np.zeros_like(IMAGE))
    assert np.array_equal(picture, np.rint(255 * IMAGE[..., None]).astype(np.uint8).repeat(3, axis=2))


def test_colour_is_mixed_in_proportion_to_the_heat():
    for heat in (0.25, 1.0):
        pixel = saliency_overlay(np.full((1, 1), 0.5), np.full((1, 1), heat))[0, 0]
        share = OPACITY * heat
        expected = 255 * ((1 - share) * 0.5 + share * colours(np.array(heat)))
        assert np.abs(pixel - expected).max() <= 0.5


def test_the_key_has_the_colours_of_the_map():
    assert len(legend()) == 11
    assert legend()[-1] == "#{:02x}{:02x}{:02x}".format(*np.rint(255 * colours(np.array(1.0))).astype(int))
    brightness = [sum(int(c[i : i + 2], 16) * w for i, w in ((1, 0.3), (3, 0.6), (5, 0.1))) for c in legend()]
    assert brightness == sorted(brightness)  # told apart without colour too


def test_values_out_of_range_and_not_finite_do_no_harm():
    picture = saliency_overlay(np.array([[np.nan, 2.0, -1.0]]), np.array([[0.0, np.nan, -np.inf]]))
    assert picture.tolist() == [[[0] * 3, [255] * 3, [0] * 3]]


@pytest.mark.parametrize("heat", [np.zeros((40, 48)), np.zeros((48, 40, 1)), np.zeros(48)])
def test_other_shapes_are_refused(heat):
    with pytest.raises(FedwardError, match="both the same"):
        saliency_overlay(IMAGE, heat)


def test_pairs_are_saved_with_their_titles(tmp_path):
    save_saliency(tmp_path, [("old", IMAGE, IMAGE)] * 3)
    paths = save_saliency(tmp_path, [("Mass, probability 0.81", IMAGE, IMAGE), ("Hernia", IMAGE, 0 * IMAGE)])
    assert [p.name for p in paths] == ["01-Mass-probability-0-81.png", "02-Hernia.png"]
    assert sorted(tmp_path.iterdir()) == paths
    assert [label for label, _ in read_overlays(tmp_path)] == ["Mass, probability 0.81", "Hernia"]
    with Image.open(paths[0]) as picture:
        assert picture.size == (640, 384)
        left, right = np.split(np.asarray(picture), 2, axis=1)
    assert (left[..., 0] == left[..., 2]).all()
    assert (right[..., 0] != right[..., 2]).mean() > 0.5


@pytest.mark.parametrize("crop", [32, 35, 56, 61, 63, 64, 100, 112, 224])
def test_size_of_the_map(crop):
    with torch.inference_mode():
        features = DenseNet121(out_channels=0, growth_rate=4).eval().feature_map(torch.zeros(1, 3, crop, crop))
    assert features.shape[-2:] == (map_size(crop), map_size(crop))
