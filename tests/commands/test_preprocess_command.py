"""`fedward preprocess` as a user calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fedward.cli import cli, run
from fedward.datasets.phantoms import write_phantoms


@pytest.fixture
def data(tmp_path):
    write_phantoms(tmp_path / "data", patients=2, slices=5, size=24, institutions=2, seed=1)
    return tmp_path / "data"


def call(*arguments):
    return run(cli, ["preprocess", *map(str, arguments)])


def test_fills_the_cache_and_draws(data, tmp_path, capsys):
    picture = tmp_path / "new" / "picture.png"
    options = (
        "--cache",
        tmp_path / "cache",
        "--image-size",
        16,
        "--workers",
        1,
        "--channels",
        "flair",
        "--picture",
        picture,
    )
    assert call("lgg", data, *options) == 0
    said = capsys.readouterr().out
    assert "2 patients, 10 slices" in said
    assert "16 x 16 pixels" in said
    assert str(picture) in said
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(files) == 2
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 300
        assert len(drawn.convert("L").getcolors()) > 50
    assert call("lgg", data, *options) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == files


def test_draws_the_patient_named(data, tmp_path, capsys):
    patient = sorted(path.name for path in data.glob("TCGA*"))[1]
    options = ("--picture", tmp_path / "p.png", "--patient", patient, "--bias-field", "none")
    assert call("lgg", data, "--cache", tmp_path / "cache", "--workers", 1, *options) == 0
    assert f"Picture of {patient}" in capsys.readouterr().out
    assert (tmp_path / "p.png").is_file()


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"data_set": "brats"}, 2, "unknown data set 'brats'"),
        ({"folder": "nowhere"}, 1, "nowhere"),
        ({"folder": "empty"}, 1, "empty"),
        ({"options": ["--image-size", "9"]}, 2, "image_size 9"),
        ({"options": ["--bias-field", "n5"]}, 2, "n5"),
        ({"options": ["--workers", "-1"]}, 2, "workers"),
        ({"options": ["--patient", "x"]}, 2, "--picture"),
        ({"options": ["--patient", "x", "--picture", "x.png"]}, 2, "holds no patient 'x'"),
        ({"options": ["--bias-field", "none", "--picture", "file/p.png"]}, 1, "picture"),
        ({"cache": "file"}, 1, "cache folder"),
    ],
)
def test_bad_input_has_a_message_and_an_exit_code(data, tmp_path, capsys, monkeypatch, change, code, said):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    arguments = [change.get("data_set", "lgg"), change.get("folder", "data"), "--cache", change.get("cache", "cache")]
    assert call(*arguments, "--workers", 1, *change.get("options", [])) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_help_imports_nothing_heavy():
    heavy = "{'torch', 'SimpleITK', 'matplotlib', 'PIL', 'nvflare'}"
    code = f"import sys, fedward.commands.preprocess, fedward.preprocessing.cache; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.real_data
def test_real_images(tmp_path):
    root = Path(os.environ.get("FEDWARD_DATA", "")) / "lgg" / "kaggle_3m"
    if "FEDWARD_DATA" not in os.environ or not root.is_dir():
        pytest.skip("FEDWARD_DATA names no folder with lgg/kaggle_3m")
    (tmp_path / "site").mkdir()
    for folder in sorted(root.glob("TCGA_*"))[:2]:
        (tmp_path / "site" / folder.name).symlink_to(folder)
    assert call("lgg", tmp_path / "site", "--cache", tmp_path / "cache", "--channels", "flair") == 0
    assert len(list((tmp_path / "cache").iterdir())) == 2
