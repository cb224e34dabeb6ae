import json

import numpy as np
import pytest
from PIL import Image
from xray_sets import NIH_ROWS, nih_line, save_deep_png, save_image, write_nih

from fedward.datasets import chestxray14 as nih
from fedward.datasets.chestxray14_check import PUBLISHED, PUBLISHED_IMAGES, age_in_years, check
from fedward.datasets.chestxray14_check import _check_counts as check_counts
from fedward.datasets.image_table import ImageTable

FINDINGS_HELD = {"Cardiomegaly", "Emphysema", "Hernia", "Pleural_Thickening", "Mass", "Nodule"}


@pytest.fixture
def root(tmp_path):
    return write_nih(tmp_path / "nih")


def reasons(root, severity):
    """Reasons of one severity, without those of findings that a small set lacks."""
    result = check(root, workers=1, quiet=True)
    found = [p.reason for p in result.problems if p.severity == severity]
    return [reason for reason in found if not reason.startswith("one class only")]


def add_rows(root, *lines):
    with (root / "Data_Entry_2017.csv").open("a") as file:
        file.write("\n".join(lines) + "\n")


def test_a_sound_set_lacks_findings_and_nothing_else(root):
    result = check(root, workers=1, quiet=True)
    assert (result.patients, result.images, result.errors) == (4, 5, 0)
    absent = {problem.reason.removeprefix("one class only: no image has ") for problem in result.problems}
    assert absent == set(nih.FINDINGS) - FINDINGS_HELD
    assert result.findings["Mass"] == 1
    assert result.findings["No Finding"] == 2


def test_rows_without_image_and_images_without_row(root):
    add_rows(root, nih_line("00000009_000.png", "Mass", "9"), nih_line("00000009_001.png", "Mass", "9"))
    save_image(root / "images" / "extra.png", 50)
    assert reasons(root, "error") == [
        "image missing: named in line 7 of the table",
        "image missing: named in line 8 of the table",
    ]
    assert reasons(root, "warning") == ["image without row: it is left out"]


def test_wrong_rows_are_all_listed_and_their_images_are_not_without_row(root):
    rows = ("x.png", "Massive", "1"), ("y.png", "No Finding|Mass", "1"), ("00000002_000.png", "Hernia", "2")
    add_rows(root, *(nih_line(*row) for row in rows))
    for number, name in enumerate(("x.png", "y.png")):
        save_image(root / "images" / name, 60 + number)
    assert sorted(reason.split(":")[0] for reason in reasons(root, "error")) == [
        "contradiction",
        "image twice",
        "unknown finding",
    ]
    assert reasons(root, "warning") == []


def test_images_that_cannot_be_read_and_images_that_look_odd(root):
    images = [root / "images" / row[0] for row in NIH_ROWS]
    images[0].write_bytes(b"")
    images[1].write_bytes(images[1].read_bytes()[:60])
    ramp = np.tile(np.arange(256, dtype=np.uint16), (20, 1))
    Image.fromarray(ramp * 257).save(images[2])
    Image.fromarray(ramp.astype(np.uint8)).convert("RGBA").save(images[3])
    Image.fromarray(np.full((20, 20), 7, np.uint8)).save(images[4])
    errors, warnings = reasons(root, "error"), reasons(root, "warning")
    assert errors[0] == "empty file: it has 0 bytes"
    assert errors[1].startswith("unreadable: ")
    assert warnings == [
        "16-bit image: I;16, values 0 to 65535, read as 16-bit",
        "RGBA image: RGBA",
        "blank image: every pixel is 7",
        "same pixels as another patient: as 00000002_000.png",  # the same ramp in 16 and in 8 bits
    ]


def test_sixteen_bit_colour_is_told_with_what_is_done_to_it(root):
    ramp = np.tile(np.arange(0, 4096, 16, dtype=np.uint16), (20, 1))
    opaque = np.full_like(ramp, 65535)
    for row, channels in zip(NIH_ROWS, ([ramp] * 3, [ramp + 1] * 3 + [opaque], [ramp + 9, opaque]), strict=False):
        save_deep_png(root / "images" / row[0], np.stack(channels, axis=-1))
    assert reasons(root, "error") == []
    assert reasons(root, "warning")[:3] == [
        "16-bit image: RGB, values 0 to 4080, read as 12-bit",
        "16-bit image: RGBA, values 1 to 4081, read as 12-bit",
        "16-bit image: RGBA, values 9 to 4089, read as 12-bit",
    ]


def test_a_patient_in_both_lists_and_names_that_nobody_knows(root):
    names = [row[0] for row in NIH_ROWS]
    (root / nih.TEST_LIST).write_text("\n".join([names[0], names[2]]))
    (root / nih.TRAIN_LIST).write_text("\n".join([names[1], names[3], "00000077_000.png"]))
    assert reasons(root, "error") == ["patient in both lists: 1", "patient in no list: 4"]
    assert reasons(root, "warning") == ["unknown names: 1 of 3, such as 00000077_000.png"]


def test_the_training_list_alone_is_a_warning(root):
    (root / nih.TRAIN_LIST).write_text("\n".join(row[0] for row in NIH_ROWS[:4]))
    assert reasons(root, "error") == []
    assert reasons(root, "warning") == ["no test list: test_list.txt is not beside it"]
    (root / nih.TRAIN_LIST).rename(root / nih.TEST_LIST)
    assert reasons(root, "warning") == []


def test_rows_that_look_wrong_are_warnings(root):
    add_rows(
        root,
        nih_line("00000008_000.png", "", "8", age="411Y"),
        nih_line("00000008_001.png", "Mass", "7", age="old"),
    )
    for number in (0, 1):
        save_image(root / "images" / f"00000008_00{number}.png", 70 + number)
    assert reasons(root, "error") == []
    assert reasons(root, "warning") == [
        "empty label: 00000008_000.png, line 7",
        "impossible age: '411Y', line 7 (00000008_000.png)",
        "impossible age: 'old', line 8 (00000008_001.png)",
        "other patient in the name: 00000008_001.png belongs to 7, line 8",
    ]


def test_one_number_written_in_two_ways_may_be_one_patient(root):
    add_rows(root, nih_line("00000003_001.png", "Mass", "00000003"), nih_line("x.png", "Mass", "0x3"))
    for number, name in enumerate(("00000003_001.png", "x.png")):
        save_image(root / "images" / name, 80 + number)
    assert reasons(root, "error") == []
    assert reasons(root, "warning") == ["patient in two spellings: 00000003 and 3"]


@pytest.mark.parametrize(
    ("text", "years"), [("58", 58), ("058Y", 58), ("006M", 0.5), ("000D", 0), ("Y", None), ("5 Y", None), ("-3", None)]
)
def test_ages(text, years):
    assert age_in_years(text) == years


def test_a_split_that_does_not_fit_is_an_error(root):
    (root / "split.json").write_text(json.dumps({"train": ["1", "2"], "validation": ["3"]}))
    assert [reason.split(":")[0] for reason in reasons(root, "error")] == ["wrong split"]
    (root / "split.json").write_text(json.dumps({"train": ["1", "2"], "validation": ["3", "4"]}))
    assert reasons(root, "error") == []


def test_a_set_without_table_rows_or_folder(root, tmp_path):
    (root / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels,Patient ID\n")
    assert reasons(root, "error") == ["no rows: the table names no image"]
    (root / "Data_Entry_2017.csv").unlink()
    assert [reason.split(":")[0] for reason in reasons(root, "error")] == ["no table"]
    assert [reason.split(":")[0] for reason in reasons(tmp_path / "nowhere", "error")] == ["no folder"]


def test_a_whole_table_that_differs_from_the_published_one_is_a_warning(tmp_path):
    """Labels with the published number of each finding, one changed."""
    labels = np.zeros((PUBLISHED_IMAGES, 14), np.float32)
    some = PUBLISHED_IMAGES - PUBLISHED["No Finding"]
    start = 0
    for column, name in enumerate(nih.FINDINGS):
        labels[(start + np.arange(PUBLISHED[name])) % some, column] = 1
        start += PUBLISHED[name]
    assert labels[:some].any(axis=1).all()
    table = ImageTable((tmp_path,) * PUBLISHED_IMAGES, ("1",) * PUBLISHED_IMAGES, labels, nih.FINDINGS)
    assert check_counts(tmp_path, table) == []
    labels[np.flatnonzero(labels[:, 13])[0], 13] = 0
    labels[some - 1, 0] = 1 - labels[some - 1, 0]
    found = [problem.reason for problem in check_counts(tmp_path, table)]
    assert "other count: Hernia 226, published 227" in found
    assert all(not reason.startswith("other count: Mass") for reason in found)
    assert check_counts(tmp_path, table.select([0, 1])) == []
