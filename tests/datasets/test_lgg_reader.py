import contextlib
import errno
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fedward.datasets.lgg import FileProblem, find_cases, read_case, read_image, read_patient_table
from fedward.errors import DataError

PATIENT = "TCGA_CS_4942_19970222"


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="TIFF", **options)
    return path


def write_slice(root: Path, number: int, height: int = 8, width: int = 8, patient: str = PATIENT) -> None:
    """A slice whose three channels hold number, 2 number, 3 number, and a mask with one tumour pixel per number."""
    image = np.zeros((height, width, 3), np.uint8) + np.array([1, 2, 3], np.uint8) * number
    mask = np.zeros((height, width), np.uint8)
    mask.flat[:number] = 255
    save(root / patient / f"{patient}_{number}.tif", image)
    save(root / patient / f"{patient}_{number}_mask.tif", mask)


def rgb_16_bit(path: Path) -> Path:
    """A TIFF of 2x2 pixels, RGB with 16 bits a channel, which Pillow would open as 8-bit without a word."""
    entries = [(256, 4, 1, 2), (257, 4, 1, 2), (258, 3, 3, 134), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 140), (277, 3, 1, 3), (278, 4, 1, 2), (279, 4, 1, 24), (284, 3, 1, 1)]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + directory + struct.pack("<I", 0)
    assert len(head) == 134
    path.write_bytes(head + struct.pack("<3H", 16, 16, 16) + np.arange(12, dtype="<u2").tobytes())
    return path


def test_slices_come_in_order_of_their_numbers_with_their_masks(tmp_path):
    for number in (10, 9, 2, 11):
        write_slice(tmp_path, number)
    (case,) = find_cases(tmp_path)
    assert (case.patient, case.institution, case.slices) == (PATIENT, "CS", (2, 9, 10, 11))
    volume = read_case(case)
    assert volume.image.shape == (4, 8, 8, 3)
    assert volume.image.dtype == np.uint8
    assert volume.image[:, 0, 0].tolist() == [[2, 4, 6], [9, 18, 27], [10, 20, 30], [11, 22, 33]]
    assert volume.mask.dtype == np.bool_
    assert volume.mask.sum(axis=(1, 2)).tolist() == [2, 9, 10, 11]


@pytest.mark.parametrize(("height", "width"), [(96, 96), (256, 256), (5, 7)])
def test_any_height_and_width(tmp_path, height, width):
    write_slice(tmp_path, 1, height, width)
    volume = read_case(find_cases(tmp_path)[0])
    assert volume.image.shape == (1, height, width, 3)
    assert volume.mask.shape == (1, height, width)


def test_parent_folder_and_doubled_tree_give_each_patient_once(tmp_path):
    write_slice(tmp_path / "kaggle_3m", 1)
    write_slice(tmp_path / "lgg-mri-segmentation" / "kaggle_3m", 1)
    assert [case.patient for case in find_cases(tmp_path)] == [PATIENT]
    assert find_cases(tmp_path) == find_cases(tmp_path / "kaggle_3m")


def test_hidden_and_system_files_are_not_seen(tmp_path):
    write_slice(tmp_path, 1)
    before = find_cases(tmp_path)
    for name in (".DS_Store", "Thumbs.db", f"{PATIENT}/Thumbs.db", f"{PATIENT}/._{PATIENT}_2.tif", "data.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".TCGA_CS_0001_20000101").mkdir()
    assert find_cases(tmp_path) == before


def test_masks_of_zero_and_one_and_of_one_bit_are_masks(tmp_path):
    write_slice(tmp_path, 3)
    expected = read_case(find_cases(tmp_path)[0]).mask
    mask_path = tmp_path / PATIENT / f"{PATIENT}_3_mask.tif"
    save(mask_path, expected[0].astype(np.uint8))
    assert np.array_equal(read_case(find_cases(tmp_path)[0]).mask, expected)
    save(mask_path, expected[0])
    assert np.array_equal(read_case(find_cases(tmp_path)[0]).mask, expected)


def test_sixteen_bits_are_refused_although_pillow_reads_them_as_eight(tmp_path):
    path = rgb_16_bit(tmp_path / "deep.tif")
    with Image.open(path) as image:
        assert np.asarray(image).dtype == np.uint8  # the trap
    with pytest.raises(DataError, match=r"deep\.tif: wrong type: 3 channel\(s\) of 16 bit"):
        read_image(path)


@pytest.mark.parametrize(
    ("pixels", "options", "reason"),
    [
        (np.zeros((4, 4), np.uint8), {}, "1 channel"),
        (np.zeros((4, 4, 4), np.uint8), {}, "4 channel"),
        (np.zeros((4, 4), np.float32), {}, "32 bit"),
        (np.zeros((4, 4), np.uint16), {}, "16 bit"),
        (np.zeros((4, 4, 3), np.uint8), {"save_all": True, "append_images": [Image.new("RGB", (4, 4))]}, r"2 page"),
    ],
)
def test_images_of_another_type_are_refused(tmp_path, pixels, options, reason):
    with pytest.raises(DataError, match=f"wrong type: .*{reason}"):
        read_image(save(tmp_path / "x.tif", pixels, **options))


def test_a_colour_mask_a_grey_one_and_one_of_another_size_are_refused(tmp_path):
    write_slice(tmp_path, 1)
    mask_path = tmp_path / PATIENT / f"{PATIENT}_1_mask.tif"
    (case,) = find_cases(tmp_path)
    save(mask_path, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"_1_mask\.tif: wrong type: 3 channel"):
        read_case(case)
    save(mask_path, np.array([[0, 127], [128, 255]], np.uint8).repeat(4, 0).repeat(4, 1))
    with pytest.raises(DataError, match="mask not binary: values 0, 127, 128, 255"):
        read_case(case)
    save(mask_path, np.full((8, 6), 255, np.uint8))
    with pytest.raises(DataError, match=r"_1_mask\.tif: wrong size: 6x8, but .*_1\.tif is 8x8"):
        read_case(case)
    mask_path.unlink()
    with pytest.raises(DataError, match=r"_1_mask\.tif: missing"):
        read_case(case)


def test_slices_of_two_sizes_are_refused(tmp_path):
    write_slice(tmp_path, 1)
    write_slice(tmp_path, 2, 8, 9)
    with pytest.raises(DataError, match=r"_2\.tif: wrong size: 9x8"):
        read_case(find_cases(tmp_path)[0])


def test_other_formats_and_empty_files_are_unreadable(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "x.tif", format="PNG")
    with pytest.raises(DataError, match="unreadable"):
        read_image(tmp_path / "x.tif")
    (tmp_path / "x.tif").write_bytes(b"")
    with pytest.raises(DataError, match="unreadable"):
        read_image(tmp_path / "x.tif")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), compression=st.sampled_from(["raw", "tiff_adobe_deflate", "tiff_lzw"]))
def test_a_truncated_file_is_always_noticed(tmp_path, share, compression):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    path = save(tmp_path / "x.tif", pixels, compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    try:
        read = read_image(path)
    except DataError:
        return
    assert np.array_equal(read, pixels)  # nothing that matters was cut off


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_end_in_a_data_error_or_in_an_image(tmp_path, flips):
    path = save(tmp_path / "x.tif", np.zeros((8, 8, 3), np.uint8))
    content = bytearray(path.read_bytes())
    for place, value in flips:
        content[int(place * len(content))] = value
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):  # any other exception fails the test
        assert read_image(path).shape[2] == 3


def test_folders_that_hold_no_patients_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match="empty folder"):
        find_cases(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        find_cases(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="give kaggle_3m"):
        find_cases(tmp_path)
    (tmp_path / "hospital-01").mkdir()
    with pytest.raises(DataError, match="site folders"):
        find_cases(tmp_path)


def test_an_empty_patient_two_files_for_a_slice_and_two_dates_are_refused(tmp_path):
    write_slice(tmp_path, 1)
    (tmp_path / "TCGA_DU_5849_19950405").mkdir()
    with pytest.raises(DataError, match="TCGA_DU_5849_19950405: no image"):
        find_cases(tmp_path)
    (tmp_path / "TCGA_DU_5849_19950405").rmdir()
    save(tmp_path / PATIENT / f"{PATIENT}_01.tif", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="same slice twice"):
        find_cases(tmp_path)
    (tmp_path / PATIENT / f"{PATIENT}_01.tif").unlink()
    write_slice(tmp_path, 1, patient="TCGA_CS_4942_19980101")
    with pytest.raises(DataError, match=f"same patient twice: also in {PATIENT}"):
        find_cases(tmp_path)


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=f"{tmp_path}: unreadable: Permission denied; check the folder's permissions"):
        find_cases(tmp_path)


def test_a_file_problem_travels_between_processes():
    problem = pickle.loads(pickle.dumps(FileProblem(Path("a.tif"), "unreadable: x", "copy it")))
    assert str(problem) == "a.tif: unreadable: x; copy it"
    assert problem.advice == "copy it"


@pytest.mark.parametrize("delimiter", [";", ","])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_patient_table_reads_both_delimiters_and_empty_cells(tmp_path, delimiter, mark):
    lines = ["Patient;a;b", "TCGA_CS_4942;1;5", "TCGA_CS_4944;;2", "TCGA_EZ_7264;3", ""]
    path = tmp_path / "data.csv"
    path.write_text(mark + "\n".join(lines).replace(";", delimiter), encoding="utf-8")
    assert read_patient_table(path) == {
        "TCGA_CS_4942": {"a": "1", "b": "5"},
        "TCGA_CS_4944": {"a": None, "b": "2"},
        "TCGA_EZ_7264": {"a": "3", "b": None},
    }


def test_a_broken_patient_table_is_an_error(tmp_path):
    path = tmp_path / "data.csv"
    with pytest.raises(DataError, match="missing"):
        read_patient_table(path)
    for content, reason in (
        (b"", "no column 'Patient'"),
        (b"a;b\n1;2\n", "no column 'Patient'"),
        (b"Patient;a\nX;1\nX;2\n", "line 3: patient X is listed twice"),
        (b"Patient;a\n\xff;1\n", "no UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=reason):
            read_patient_table(path)


@pytest.mark.real_data
@pytest.mark.skipif("FEDWARD_DATA" not in os.environ, reason="FEDWARD_DATA is not set")
def test_the_published_set_reads():
    root = Path(os.environ["FEDWARD_DATA"]) / "lgg"
    cases = find_cases(root)
    assert {case.institution for case in cases} == {"CS", "DU", "EZ", "FG", "HT"}
    assert sum(case.institution == "EZ" for case in cases) == 1
    volume = read_case(cases[0])
    assert volume.image.shape[:3] == volume.mask.shape
    assert 0 < volume.mask.mean() < 0.2
    table = read_patient_table(root / "kaggle_3m" / "data.csv")
    assert {"_".join(case.patient.split("_")[:3]) for case in cases} <= set(table)
