"""The reader of ChestX-ray14, on hand-written tables in all the shapes in which the set is found."""

import os
from pathlib import Path

import numpy as np
import pytest
from xray_sets import NIH_HEADER, NIH_ROWS, nih_line, save_image, write_nih

from fedward.datasets import chestxray14 as nih
from fedward.datasets.base import FileProblem
from fedward.datasets.chestxray14_check import PUBLISHED, PUBLISHED_IMAGES
from fedward.datasets.image_table import finding_counts
from fedward.datasets.registry import image_data_set
from fedward.datasets.selection import SelectionSettings

REAL = Path(os.environ.get("FEDWARD_DATA", "")) / "chestxray14"


@pytest.fixture
def root(tmp_path):
    return write_nih(tmp_path / "nih")


def rewrite(root, rows, header=NIH_HEADER, name="Data_Entry_2017.csv"):
    (root / name).write_text("\n".join([header, *rows]) + "\n")


def test_rows_become_paths_patients_and_labels_in_the_order_of_the_table(root):
    table = nih.read_table(root, SelectionSettings())
    assert [path.name for path in table.paths] == [row[0] for row in NIH_ROWS]
    assert all(path.is_file() for path in table.paths)
    assert table.patients == ("1", "1", "2", "3", "4")
    assert table.findings == nih.FINDINGS
    named = [[nih.FINDINGS[i] for i in np.flatnonzero(row)] for row in table.labels]
    assert named == [["Cardiomegaly", "Emphysema"], [], ["Hernia"], ["Mass", "Nodule", "Pleural_Thickening"], []]
    assert table.labels.dtype == np.float32
    assert finding_counts(table)["No Finding"] == 2
    assert image_data_set("chestxray14").find_patients(root) == ["1", "2", "3", "4"]


def test_columns_are_found_by_name_whatever_their_order_and_spelling(root):
    rows = [f"x,{patient},{labels},{name}" for name, labels, patient in NIH_ROWS]
    (root / "Data_Entry_2017.csv").write_bytes(
        ("\ufeffPatient Sex,Patient_ID,Finding Labels,Image index\r\n" + "\r\n".join(rows) + "\r\n\r\n").encode()
    )
    assert nih.read_table(root).patients == ("1", "1", "2", "3", "4")


def test_the_v2020_table_is_read_and_wins(root):
    rewrite(root, [nih_line(name, "Fibrosis", patient) for name, _, patient in NIH_ROWS], name=nih.TABLES[0])
    assert finding_counts(nih.read_table(root))["Fibrosis"] == 5
    (root / "Data_Entry_2017.csv").unlink()
    assert finding_counts(nih.read_table(root))["Fibrosis"] == 5


@pytest.mark.parametrize("places", [[""], ["images_001", "images_012"], ["images_001/images", "images_002/images"]])
def test_images_lie_in_one_folder_or_in_many(root, places):
    for number, path in enumerate(sorted((root / "images").iterdir())):
        target = root / places[number % len(places)] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    (root / "images").rmdir()
    table = nih.read_table(root)
    assert len(table) == 5
    assert {path.parent for path in table.paths} == {root / place for place in places}


def test_the_table_alone_is_enough_for_labels(root):
    for path in (root / "images").iterdir():
        path.unlink()
    assert nih.read_labels(root).patients == ("1", "1", "2", "3", "4")
    with pytest.raises(FileProblem, match=r"00000001_000\.png: image missing: .* line 2.*4 more: see `fedward"):
        nih.read_table(root)


def test_an_empty_label_is_unknown(root):
    rewrite(root, [nih_line("00000001_000.png", "", "1"), nih_line("00000001_001.png", "No Finding", "1")])
    labels = nih.read_table(root).labels
    assert np.isnan(labels[0]).all()
    assert not labels[1].any()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (nih_line("a.png", "Massive", "1"), "unknown finding: 'Massive', line 3 .a.png."),
        (nih_line("a.png", "Mass|", "1"), "unknown finding: ''"),
        (
            nih_line("a.png", "mass", "1"),
            "unknown finding: 'mass', write Mass, line 3 .*; use Atelectasis, .*, Hernia or",
        ),
        (nih_line("a.png", "pleural thickening", "1"), "write Pleural_Thickening"),
        (nih_line("a.png", "no finding", "1"), "unknown finding: 'no finding', write No Finding, line 3"),
        (nih_line("a.png", "No Finding|Mass", "1"), "contradiction: 'No Finding|Mass'"),
        (nih_line("00000001_000.png", "Mass", "1"), "image twice: 00000001_000.png in lines 2 and 3"),
        (nih_line("a.png", "Mass", ""), "incomplete row: line 3 lacks Patient ID"),
        (nih_line("", "Mass", "1"), "incomplete row: line 3 lacks Image Index"),
        ("a.png,Mass", "incomplete row: line 3 lacks Patient ID"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(root, line, reason):
    rewrite(root, [nih_line("00000001_000.png", "No Finding", "1"), line])
    with pytest.raises(FileProblem, match=reason.replace("|", r"\|")):
        nih.read_labels(root)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no rows"),
        (NIH_HEADER.encode() + b"\n\n", "no rows"),
        (b"Image Index,Patient ID\na.png,1\n", "missing column: Finding Labels; the first line names Image Index"),
        (b"\xff\xfe\x00a\n", "unreadable: no CSV in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error(root, content, reason):
    (root / "Data_Entry_2017.csv").write_bytes(content)
    with pytest.raises(FileProblem, match=reason):
        nih.read_table(root)


def test_a_table_with_semicolons_is_said_to_be_one(root):
    table = root / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace(",", ";"))
    with pytest.raises(FileProblem, match=r"column: Image Index, .*separated by semicolons; save it with commas"):
        nih.read_table(root)


def test_a_table_of_a_spreadsheet_with_a_byte_order_mark_is_read(root):
    table = root / "Data_Entry_2017.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert nih.read_table(root).patients == ("1", "1", "2", "3", "4")


def test_a_wrong_folder_is_an_error(root, tmp_path):
    with pytest.raises(FileProblem, match="no folder"):
        nih.read_table(tmp_path / "nowhere")
    with pytest.raises(FileProblem, match=r"neither Data_Entry_2017\.csv nor Data_Entry_2017_v2020\.csv"):
        nih.read_table(tmp_path)
    (tmp_path / "hospital-01").mkdir()
    with pytest.raises(FileProblem, match="holds site folders"):
        nih.read_table(tmp_path)


def test_one_name_in_two_folders_is_an_error(root):
    save_image(root / "images_001" / "00000002_000.png", 9)
    with pytest.raises(FileProblem, match="same name twice"):
        nih.read_table(root)


def write_lists(root, test, train=None):
    (root / nih.TEST_LIST).write_text("\n".join(test) + "\n")
    if train is not None:
        (root / nih.TRAIN_LIST).write_text("\n".join(train) + "\n")


def test_official_test_patients(root):
    assert nih.official_test(root) is None
    names = [row[0] for row in NIH_ROWS]
    write_lists(root, [*names[2:4], "00009999_000.png"], [*names[:2], names[4]])
    assert nih.official_test(root) == ("2", "3")
    (root / nih.TRAIN_LIST).unlink()
    assert nih.official_test(root) == ("2", "3")


@pytest.mark.parametrize(
    ("test", "train", "reason"),
    [
        ([0, 2], [1, 3, 4], "patient in both lists: 1"),
        ([2], [0, 1, 3], "patient in no list: 4"),
        ([], [0], "empty list"),
    ],
)
def test_official_lists_that_contradict_are_an_error(root, test, train, reason):
    write_lists(root, [NIH_ROWS[i][0] for i in test], [NIH_ROWS[i][0] for i in train])
    with pytest.raises(FileProblem, match=reason):
        nih.official_test(root)


def test_the_training_list_alone_is_an_error_and_not_a_set_without_test_patients(root):
    write_lists(root, [NIH_ROWS[2][0]], [NIH_ROWS[0][0]])
    (root / nih.TEST_LIST).unlink()
    with pytest.raises(FileProblem, match=r"train_val_list\.txt: no test list.*bring test_list\.txt back"):
        nih.official_test(root)


def test_a_list_that_names_nothing_of_the_table_is_an_error(root):
    write_lists(root, ["other.png"])
    with pytest.raises(FileProblem, match="no test patient"):
        nih.official_test(root)


def test_large_tables_are_read(tmp_path):
    tmp_path.joinpath("Data_Entry_2017.csv").write_text(
        "\n".join([NIH_HEADER, *(nih_line(f"{i:08d}_000.png", "Mass|Edema", str(i // 3)) for i in range(20_000))])
    )
    table = nih.read_labels(tmp_path)
    assert finding_counts(table)["Mass"] == len(table) == 20_000


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="FEDWARD_DATA names no folder with chestxray14")
def test_the_real_table_and_the_published_counts():
    table = nih.read_labels(REAL)
    counts = finding_counts(table)
    if len(table) != PUBLISHED_IMAGES:
        import csv

        with nih.table_path(REAL).open() as file:
            texts = [row["Finding Labels"] for row in csv.DictReader(file)]
        wanted = {name: sum(name in text.split("|") for text in texts) for name in (*nih.FINDINGS, "No Finding")}
        assert counts == wanted
        assert all(path.is_file() for path in nih.read_table(REAL).paths)
        pytest.skip(f"{len(table)} of {PUBLISHED_IMAGES} images: the published counts need the whole table")
    assert counts == PUBLISHED
    assert len(set(table.patients)) == 30_805
    test = nih.official_test(REAL)
    if test is not None:
        assert len(table.of_patients(test)) == 25_596
