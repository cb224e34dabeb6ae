import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedward.datasets.base import CheckResult
from fedward.datasets.lgg_check import check, kind, ranges


def found(root: Path) -> list[tuple[str, str, str]]:
    """(severity, kind, file) of every problem, files relative to the checked folder."""
    result = check(root, workers=1, quiet=True)
    assert all(problem.advice for problem in result.problems)
    return [(p.severity, kind(p), os.path.relpath(p.path, root)) for p in result.problems]


def slice_of(root: Path, patient: int, number: int, mask: bool = False) -> Path:
    folder = sorted(p for p in root.iterdir() if p.is_dir())[patient]
    return folder / f"{folder.name}_{number}{'_mask' if mask else ''}.tif"


def pixels(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def save(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(path)


def test_a_sound_folder_has_no_problem_also_with_system_files(damaged):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (damaged / name).write_bytes(b"x")
        (slice_of(damaged, 0, 1).parent / name).write_bytes(b"x")
    assert check(damaged, workers=1, quiet=True) == CheckResult(patients=6, images=24)
    assert check(damaged.parent, workers=2, quiet=True) == CheckResult(patients=6, images=24)


def truncate(root):
    path = slice_of(root, 0, 2)
    path.write_bytes(path.read_bytes()[:200])
    return path


def truncate_mask(root):
    path = slice_of(root, 0, 2, mask=True)
    path.write_bytes(path.read_bytes()[:100])
    return path


def make_grey(root):
    path = slice_of(root, 0, 2)
    save(path, pixels(path)[..., 0])
    return path


def make_float(root):
    path = slice_of(root, 0, 2)
    save(path, pixels(path)[..., 0].astype(np.float32))
    return path


def crop_image(root):
    path = slice_of(root, 0, 2)
    save(path, pixels(path)[:-2])
    return path


def crop_mask(root):
    path = slice_of(root, 0, 2, mask=True)
    save(path, pixels(path)[:, :-2])
    return path


def remove_mask(root):
    path = slice_of(root, 0, 2, mask=True)
    path.unlink()
    return path


def blur_mask(root):
    path = slice_of(root, 0, 2, mask=True)
    save(path, np.arange(1024, dtype=np.uint32).reshape(32, 32).astype(np.uint8))
    return path


def empty_patient(root):
    folder = root / "TCGA_PZ_0001_20000101"
    folder.mkdir()
    return folder


def slice_twice(root):
    path = slice_of(root, 0, 2)
    return Path(shutil.copy(path, path.with_name(path.name.replace("_2.tif", "_2.tiff"))))


def two_dates(root):
    old = slice_of(root, 0, 1).parent
    new = root / f"{old.name.rsplit('_', 1)[0]}_20201231"
    for path in old.iterdir():
        target = new / path.name.replace(old.name, new.name)
        target.parent.mkdir(exist_ok=True)
        values = pixels(path)
        save(target, values if values.ndim == 2 else 255 - values)
    return new


def pixels_of_another_patient(root):
    return Path(shutil.copy(slice_of(root, 0, 2), slice_of(root, 1, 3)))


def black_patient(root):
    for number in range(1, 5):
        save(slice_of(root, 0, number), np.zeros((32, 32, 3), np.uint8))
    return slice_of(root, 0, 1).parent


def wrong_split(root):
    (root / "split.json").write_text('{"train": ["nobody"], "validation": []}')
    return root / "split.json"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (truncate, "unreadable"),
        (truncate_mask, "unreadable"),
        (make_grey, "wrong type"),
        (make_float, "wrong type"),
        (crop_image, "wrong size"),
        (crop_mask, "wrong size"),
        (remove_mask, "mask missing"),
        (blur_mask, "mask not binary"),
        (empty_patient, "no image"),
        (slice_twice, "same slice twice"),
        (two_dates, "same patient twice"),
        (pixels_of_another_patient, "same pixels as another patient"),
        (black_patient, "black patient"),
        (wrong_split, "wrong split"),
    ],
)
def test_what_breaks_training_is_an_error(damaged, damage, expected):
    path = damage(damaged)
    assert found(damaged) == [("error", expected, str(path.relative_to(damaged)))]


def gap(root):
    for mask in (False, True):
        slice_of(root, 0, 2, mask).unlink()
    return slice_of(root, 0, 1).parent


def black_image(root):
    path = slice_of(root, 0, 2)
    save(path, np.zeros((32, 32, 3), np.uint8))
    return path


def pixels_twice(root):
    return Path(shutil.copy(slice_of(root, 0, 2), slice_of(root, 0, 3)))


def mask_alone(root):
    path = slice_of(root, 0, 4)
    path.unlink()
    return slice_of(root, 0, 4, mask=True)


def change_channels(root, change):
    for number in range(1, 5):
        path = slice_of(root, 0, number)
        values = pixels(path)
        change(values)
        save(path, values)
    return slice_of(root, 0, 1).parent


def post_is_flair(root):
    return change_channels(root, lambda image: image.__setitem__((..., 2), image[..., 1]))


def post_is_pre(root):
    return change_channels(root, lambda image: image.__setitem__((..., 2), image[..., 0]))


def pre_is_black(root):
    return change_channels(root, lambda image: image.__setitem__((..., 0), 0))


def stray_file(root):
    path = slice_of(root, 0, 1).with_name("notes.txt")
    path.write_text("x")
    return path


def stray_folder(root):
    (root / "TCGA_PA_0001").mkdir()
    return root / "TCGA_PA_0001"


def other_size(root):
    for number in range(1, 5):
        for mask in (False, True):
            path = slice_of(root, 0, number, mask)
            save(path, np.pad(pixels(path), [(0, 8)] + [(0, 0)] * (1 if mask else 2)))
    return slice_of(root, 0, 1).parent


def no_tumour(root):
    for path in root.rglob("*_mask.tif"):
        save(path, np.zeros((32, 32), np.uint8))
    return root


def one_patient(root):
    for folder in sorted(p for p in root.iterdir() if p.is_dir())[1:]:
        shutil.rmtree(folder)
    return root


def broken_table(root):
    (root / "data.csv").write_text("a;b\n")
    return root / "data.csv"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (gap, "slice gap"),
        (black_image, "black image"),
        (pixels_twice, "same pixels twice"),
        (mask_alone, "left out"),
        (post_is_flair, "missing sequence"),
        (post_is_pre, "missing sequence"),
        (pre_is_black, "missing sequence"),
        (stray_file, "left out"),
        (stray_folder, "left out"),
        (other_size, "other size"),
        (no_tumour, "no tumour"),
        (one_patient, "one patient"),
        (broken_table, "patient table"),
    ],
)
def test_what_training_survives_is_a_warning(damaged, damage, expected):
    path = damage(damaged)
    assert found(damaged) == [("warning", expected, str(path.relative_to(damaged)))]


def test_many_problems_are_all_listed_errors_first(damaged):
    gap(damaged)
    path = slice_of(damaged, 1, 1)
    path.write_bytes(b"")
    slice_of(damaged, 2, 4, mask=True).unlink()
    assert [p[:2] for p in found(damaged)] == [
        ("error", "mask missing"),
        ("error", "unreadable"),
        ("warning", "slice gap"),
    ]


def test_a_missing_sequence_says_which_and_in_how_many_slices(damaged):
    post_is_flair(damaged)
    (problem,) = check(damaged, workers=1, quiet=True).problems
    assert problem.reason == "missing sequence: post-contrast is a copy of FLAIR in all 4 slices"


def test_folders_without_patients_are_one_error(tmp_path):
    assert found(tmp_path) == [("error", "empty folder", ".")]
    (tmp_path / "x").mkdir()
    assert found(tmp_path) == [("error", "wrong folder", ".")]
    assert found(tmp_path / "nowhere") == [("error", "no folder", ".")]


def test_ranges():
    assert ranges([3, 4, 5, 9]) == "3-5, 9"
    assert ranges([]) == ""


@pytest.mark.real_data
@pytest.mark.skipif("FEDWARD_DATA" not in os.environ, reason="FEDWARD_DATA is not set")
def test_the_published_set_has_only_its_known_missing_sequences():
    result = check(Path(os.environ["FEDWARD_DATA"]) / "lgg", workers=0, quiet=True)
    assert result.errors == 0
    assert {kind(p) for p in result.problems} == {"missing sequence"}
    for channel, number in (("pre-contrast", 5), ("post-contrast", 9)):
        assert sum(channel in p.reason for p in result.problems) == number
