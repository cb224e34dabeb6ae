import numpy as np
import pytest
from PIL import Image

from fedward.errors import FedwardError
from fedward.reports.overlays import BOTH, BRIGHTEST, PREDICTION, TRUTH, outline, overlay, read_overlays, save_overlays


def square(size: int, low: int, high: int) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[low:high, low:high] = True
    return mask


def slow_outline(mask: np.ndarray) -> np.ndarray:
    """Foreground pixels with a 4-neighbour that is background or outside."""
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            outside = any(not (0 <= v < height and 0 <= u < width) or not mask[v, u] for v, u in around)
            edge[y, x] = mask[y, x] and outside
    return edge


def test_outline_agrees_with_its_definition():
    mask = np.random.default_rng(0).random((17, 13)) > 0.3
    np.testing.assert_array_equal(outline(mask), slow_outline(mask))
    assert outline(mask).any()
    assert outline(square(9, 2, 7), width=2).sum() == 25 - 1


def test_colours_of_truth_prediction_and_both():
    truth, prediction = square(12, 1, 7), square(12, 1, 9)
    picture = overlay(np.zeros((12, 12, 3)), truth, prediction)
    assert picture.dtype == np.uint8
    assert picture.shape == (12, 12, 3)
    assert tuple(picture[6, 4]) == TRUTH
    assert tuple(picture[8, 4]) == PREDICTION
    assert tuple(picture[1, 4]) == BOTH
    assert tuple(picture[4, 4]) == (0, 0, 0)  # inside both: the image stays visible


def test_channel_order_and_missing_truth():
    image = np.random.default_rng(1).random((8, 8, 3))
    empty = np.zeros((8, 8), dtype=bool)
    last = overlay(image, None, empty)
    np.testing.assert_array_equal(last, overlay(image.transpose(2, 0, 1), None, empty))
    np.testing.assert_array_equal(last[..., 0], np.rint(image[..., 1].astype(np.float32) * BRIGHTEST))  # FLAIR
    assert overlay(image[..., 0], None, empty, scale=3).shape == (24, 24, 3)


def test_values_outside_the_range_are_clipped():
    image = np.array([[-1.0, 2.0], [np.nan, np.inf]])
    picture = overlay(image, None, np.zeros((2, 2), dtype=bool))
    np.testing.assert_array_equal(picture[..., 0], [[0, BRIGHTEST], [0, BRIGHTEST]])


@pytest.mark.parametrize("shape", [(5, 5, 2), (5,), (2, 5, 5, 3)])
def test_an_image_of_another_shape_is_refused(shape):
    with pytest.raises(FedwardError, match=r"shape|must be"):
        overlay(np.zeros(shape), None, np.zeros((5, 5)))


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(FedwardError, match="truth mask has shape"):
        overlay(np.zeros((5, 5)), np.zeros((4, 5)), np.zeros((5, 5)))


def test_saved_overlays_keep_order_and_label(tmp_path):
    image = np.random.default_rng(2).random((3, 32, 32)).astype(np.float32)
    labels = ["best: TCGA_CS_1, Dice .91", "../../evil <b>", "über & „worst“"]
    save_overlays(tmp_path, [("old", image, None, square(32, 3, 9))] * 5)
    paths = save_overlays(tmp_path, [(label, image, square(32, 3, 9), square(32, 4, 9)) for label in labels])
    assert [p.parent for p in paths] == [tmp_path] * 3
    found = read_overlays(tmp_path)
    assert [label for label, _ in found] == labels
    with Image.open(paths[0]) as picture:
        assert picture.size == (2 * 384, 384)


def test_a_broken_png_is_left_out(tmp_path):
    (tmp_path / "01-x.png").write_bytes(b"no picture")
    assert read_overlays(tmp_path) == []
    assert read_overlays(tmp_path / "nowhere") == []
