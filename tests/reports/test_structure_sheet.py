"""The picture of a segmented scan: which slices, which part of them, and outlines in the structures' colours."""

import numpy as np
import pytest

from fedward.errors import FedwardError
from fedward.reports.structure_sheet import BRIGHTEST, COLOURS, COLUMNS, GAP, LINE, structure_sheet

NAMES = ("right_ventricle", "myocardium")


def scan(depth=5, size=120):
    image = np.random.default_rng(0).normal(size=(depth, size, size)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[1:4, 60:70, 40:60], labels[1:4, 60:70, 60:70] = 1, 2
    return image, labels


def colours(part):
    return {tuple(colour) for colour in part.reshape(-1, 3).tolist()}


def rows(sheet, count):
    """The rows of slices, without the lines of text over them and the key below."""
    height = (len(sheet) - LINE) // count - LINE
    return [sheet[n * (height + LINE) + LINE : (n + 1) * (height + LINE)] for n in range(count)]


def test_truth_and_prediction_in_colour_below_the_bare_image():
    image, truth = scan()
    prediction = np.where(truth == 2, 0, truth).astype(np.uint8)
    sheet = structure_sheet(image, truth, prediction, NAMES)
    bare, above, below = rows(sheet, 3)
    assert sheet.dtype == np.uint8
    assert not colours(bare) & set(COLOURS)
    assert set(COLOURS[:2]) <= colours(above)
    assert COLOURS[0] in colours(below)
    assert COLOURS[1] not in colours(below)
    assert set(COLOURS[:2]) <= colours(sheet[-LINE:])  # the key
    assert bare.max() <= BRIGHTEST


def test_slices_with_a_structure_enlarged_around_it():
    image, labels = scan()
    (row, _) = rows(structure_sheet(image, None, labels, NAMES), 2)
    side = 4 * 48  # 30 pixels with margins are 45: the smallest window, four times as large
    assert row.shape == (side, 3 * side + 2 * GAP, 3)


def test_of_many_slices_some_and_of_none_all():
    image, labels = scan(depth=30)
    labels[:] = labels[2]
    row, _ = rows(structure_sheet(image, None, labels, NAMES), 2)
    assert row.shape[1] == COLUMNS * 192 + (COLUMNS - 1) * GAP
    row, _ = rows(structure_sheet(image[:2], None, 0 * labels[:2], NAMES), 2)
    assert row.shape == (120, 2 * 120 + GAP, 3)


def test_a_structure_at_the_edge_and_a_constant_image():
    labels = np.zeros((1, 20, 64), np.uint8)
    image = np.zeros((1, 20, 64), np.float32)
    labels[0, :4, :3] = 1
    assert structure_sheet(image, labels, labels, NAMES).shape[2] == 3


def test_shapes_must_agree():
    image, labels = scan()
    with pytest.raises(FedwardError, match="the prediction has shape"):
        structure_sheet(image, labels, labels[:2], NAMES)
