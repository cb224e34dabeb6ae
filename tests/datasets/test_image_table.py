import numpy as np
import pytest

from fedward.datasets.image_table import ImageTable, finding_counts, image_names
from fedward.datasets.selection import SelectionSettings
from fedward.errors import UsageError


@pytest.fixture
def table(tmp_path):
    labels = np.array([[1, 0], [0, 0], [np.nan, 0], [1, np.nan]], np.float32)
    return ImageTable(tuple(tmp_path / f"{n}.png" for n in "abcd"), ("p", "p", "q", "r"), labels, ("A", "B"))


def test_rows_are_selected_by_number_and_by_mask_in_the_order_asked_for(table):
    some = table.select([3, 0])
    assert [path.stem for path in some.paths] == ["d", "a"]
    assert some.patients == ("r", "p")
    np.testing.assert_array_equal(some.labels, np.array([[1, np.nan], [1, 0]], np.float32))
    assert some.findings == ("A", "B")
    assert table.select(np.array([False, True, True, False])).patients == ("p", "q")
    assert len(table.select([])) == len(table.select(np.zeros(4, bool))) == 0


def test_rows_of_patients_keep_the_order_of_the_table(table):
    assert [path.stem for path in table.of_patients(["r", "p"]).paths] == ["a", "b", "d"]
    assert len(table.of_patients([])) == 0


def test_unknown_labels_count_neither_as_a_finding_nor_as_no_finding(table):
    assert finding_counts(table) == {"A": 2, "B": 0, "No Finding": 1}


def test_a_column_called_no_finding_is_counted_as_it_stands():
    table = ImageTable((), (), np.empty((0, 1), np.float32), ("No Finding",))
    assert finding_counts(table) == {"No Finding": 0}


@pytest.mark.parametrize("labels", [np.zeros((3, 2), np.float32), np.zeros((4, 1), np.float32), np.zeros((4, 2))])
def test_parts_that_do_not_belong_together_are_refused(table, labels):
    with pytest.raises(ValueError, match="do not belong together"):
        ImageTable(table.paths, table.patients, labels, table.findings)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"uncertain": "drop"}, "uncertain 'drop' is not known: use one of ignore, zeros, ones"),
        ({"views": "lateral"}, "views 'lateral' is not known"),
        ({"label_fraction": 0}, "label_fraction 0 must be"),
        ({"label_fraction": 1.01}, "label_fraction 1.01"),
        ({"label_fraction": float("nan")}, "label_fraction nan"),
        ({"label_fraction": True}, "label_fraction True"),
        ({"label_fraction": "1"}, "label_fraction '1'"),
        ({"draw": 0}, "draw 0"),
        ({"draw": 1.5}, "draw 1.5"),
        ({"draw": True}, "draw True"),
    ],
)
def test_a_selection_out_of_range_is_refused(values, reason):
    with pytest.raises(UsageError, match=reason):
        SelectionSettings(**values)


def test_a_selection_is_made_of_plain_values():
    values = SelectionSettings(uncertain="ones", views="all", label_fraction=1).to_dict()
    assert values == {"uncertain": "ones", "views": "all", "label_fraction": 1.0, "draw": 1}
    assert SelectionSettings(**values) == SelectionSettings(uncertain="ones", views="all")


def test_images_are_named_by_their_files_or_where_these_repeat_by_their_paths(tmp_path):
    files = [tmp_path / "train" / patient / "study1" / "view1_frontal.jpg" for patient in ("p1", "p2")]
    assert image_names(files[:1], tmp_path) == ["view1_frontal.jpg"]
    assert image_names(files, tmp_path) == ["train/p1/study1/view1_frontal.jpg", "train/p2/study1/view1_frontal.jpg"]
    assert image_names([tmp_path / "images" / "1.png", tmp_path / "2.png"], tmp_path) == ["1.png", "2.png"]
