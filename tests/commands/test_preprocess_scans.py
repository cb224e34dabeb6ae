"""`fedward preprocess` of scans as a user calls it."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from fedward.cli import cli, run


def write(path, array, spacing):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def data(tmp_path):
    """Two patients in the layout of ACDC, a ball of muscle around a ball of blood, 4 slices of 50 x 60 pixels."""
    distance = np.hypot(*np.meshgrid(np.arange(50) - 25, np.arange(60) - 30, indexing="ij"))
    for number in (1, 2):
        folder = tmp_path / "data" / f"patient00{number}"
        folder.mkdir(parents=True)
        (folder / "Info.cfg").write_text("ED: 1\nES: 7\nGroup: NOR\nHeight: 170\nNbFrame: 9\nWeight: 70\n")
        for frame, radius in (("01", 10), ("07", 7)):
            labels = np.zeros((4, 50, 60), np.uint8)
            labels[:, distance < radius + 4], labels[:, distance < radius] = 2, 3
            noise = np.random.default_rng(number).normal(0, 5, labels.shape)
            name = f"patient00{number}_frame{frame}"
            write(folder / f"{name}.nii.gz", (labels * 60 + noise).astype(np.float32), (1.5, 1.5, 8.0))
            write(folder / f"{name}_gt.nii.gz", labels, (1.5, 1.5, 8.0))
    return tmp_path / "data"


def call(*arguments):
    return run(cli, ["preprocess", *map(str, arguments)])


def test_fills_the_cache_and_draws(data, tmp_path, capsys):
    picture = tmp_path / "new" / "picture.png"
    options = ("--cache", tmp_path / "cache", "--image-size", 48, "--pixel-spacing", 2, "--workers", 1)
    assert call("acdc", data, *options, "--picture", picture, "--patient", "patient002") == 0
    said = capsys.readouterr().out
    assert "2 patients, 4 scans (4 with labels), 16 slices, 48 x 48 pixels of 2 mm" in said
    assert f"Picture of patient002: {picture}" in said
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(files) == 4
    with Image.open(picture) as drawn:
        pixels = np.asarray(drawn.convert("RGB")).reshape(-1, 3)
    for colour in ("#e69f00", "#cc79a7"):  # outlines of the two structures that there are
        assert (pixels == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=1).sum() > 50
    assert call("acdc", data, *options) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == files
    assert call("acdc", data, *options[:4], "--pixel-spacing", 0, "--workers", 1) == 0
    assert "48 x 48 pixels as they were" in capsys.readouterr().out
    assert len(list((tmp_path / "cache").iterdir())) == 8


def test_scans_without_labels_are_drawn_too(data, tmp_path, capsys):
    for path in data.rglob("*_gt.nii.gz"):
        path.unlink()
    picture = tmp_path / "p.png"
    assert call("acdc", data, "--cache", tmp_path / "cache", "--workers", 1, "--picture", picture) == 0
    assert "4 scans (0 with labels), 16 slices, 192 x 192 pixels of 1.25 mm" in capsys.readouterr().out
    assert picture.is_file()


@pytest.mark.parametrize(
    ("data_set", "options", "code", "said"),
    [
        ("acdc", ["--bias-field", "n4"], 2, "--bias-field is for lgg: scans of acdc have one channel"),
        ("acdc", ["--channels", "all"], 2, "--channels is for lgg"),
        ("acdc", ["--views", "all"], 2, "--views is for chexpert"),
        ("acdc", ["--pixel-spacing", "-1"], 2, "pixel_spacing -1.0 must be none or a number of mm, 0.1 to 20"),
        ("acdc", ["--pixel-spacing", "20"], 1, "20 mm when resampled, have fewer than 8 pixels a side"),
        ("acdc", ["--image-size", "9"], 2, "image_size 9"),
        ("acdc", ["--patient", "x", "--picture", "x.png"], 2, "holds no patient 'x': the first is 'patient001'"),
        ("acdc", ["--patient", "x"], 2, "give --picture"),
        ("lgg", ["--pixel-spacing", "1"], 2, "--pixel-spacing is for scans: the files of lgg say nothing of mm"),
        ("chestxray14", ["--pixel-spacing", "1"], 2, "--pixel-spacing is for scans: chestxray14 holds single images"),
    ],
)
def test_bad_input_has_a_message_and_an_exit_code(data, tmp_path, capsys, data_set, options, code, said):
    assert call(data_set, data, "--cache", tmp_path / "cache", "--workers", 1, *options) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


@pytest.mark.real_data
def test_real_scans(tmp_path, capsys):
    root = Path(os.environ.get("FEDWARD_DATA", "")) / "acdc" / "training"
    if "FEDWARD_DATA" not in os.environ or not root.is_dir():
        pytest.skip("FEDWARD_DATA names no folder with acdc/training")
    (tmp_path / "site").mkdir()
    for folder in sorted(root.glob("patient*"))[:2]:
        (tmp_path / "site" / folder.name).symlink_to(folder)
    assert call("acdc", tmp_path / "site", "--cache", tmp_path / "cache", "--workers", 1) == 0
    assert len(list((tmp_path / "cache").iterdir())) == 4
    assert "2 patients, 4 scans (4 with labels)" in capsys.readouterr().out
