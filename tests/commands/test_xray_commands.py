"""phantoms, check-data and preprocess on X-ray sets."""

import json
import shlex
import shutil

import numpy as np
import pytest

from fedward.cli import cli, run
from fedward.datasets.xray_image import read_resized


@pytest.fixture(scope="module")
def nih(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "nih"
    assert run(cli, ["phantoms", "chestxray14", str(folder), "--patients", "42", "--size", "20"]) == 0
    return folder


@pytest.fixture(scope="module")
def stanford(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "chexpert"
    assert run(cli, ["phantoms", "chexpert", str(folder), "--patients", "42", "--size", "20"]) == 0
    return folder


def test_phantoms_pass_the_check(nih, stanford, capsys):
    assert run(cli, ["check-data", "chestxray14", str(nih), "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "warning RGBA image (1)" in shown
    assert "Images by finding: Atelectasis " in shown
    assert "42 patients" in shown
    assert run(cli, ["check-data", "chexpert", str(stanford), "--workers", "1"]) == 0
    assert "no problems. Training can start." in capsys.readouterr().out
    assert run(cli, ["check-data", "image_folder", str(stanford / "train"), "--workers", "1"]) == 0


def test_thousands_of_problems_stay_readable_and_json_has_them_all(nih, tmp_path, capsys):
    root = shutil.copytree(nih, tmp_path / "copy")
    images = sorted((root / "images").iterdir())
    for path in images[:30]:
        path.unlink()
    assert run(cli, ["check-data", "chestxray14", str(root), "--workers", "1"]) == 1
    shown = capsys.readouterr().out
    assert "error image missing (30): add the image, or take its row out of the table" in shown
    assert "... and 10 more: --json lists all" in shown
    assert sum(f"named in line {line} of the table" in shown for line in range(1000)) == 20
    assert run(cli, ["check-data", "chestxray14", str(root), "--workers", "1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["errors"] == 30 == sum(problem["severity"] == "error" for problem in found["problems"])
    assert found["images"] == len(images) - 30
    assert set(found["findings"]) >= {"Hernia", "No Finding"}


def test_preprocess_fills_the_pack_and_finds_it_again(nih, tmp_path, capsys):
    arguments = ["preprocess", "chestxray14", str(nih), "--cache", str(tmp_path / "cache"), "--workers", "1"]
    assert run(cli, [*arguments, "--image-size", "16"]) == 0
    said = capsys.readouterr().out
    count = len(list((nih / "images").iterdir()))
    assert f"42 patients, {count} images, 16 x 16 pixels" in said
    (pack,) = (path for path in (tmp_path / "cache").glob("*.npy") if not path.name.endswith(".rows.npy"))
    assert str(pack) in said
    changed = pack.stat().st_mtime_ns
    first = np.load(pack)[0]
    np.testing.assert_array_equal(first, read_resized(nih / "images" / "00000001_000.png", 16))
    assert run(cli, [*arguments, "--image-size", "16"]) == 0
    assert pack.stat().st_mtime_ns == changed


def test_preprocess_takes_the_views_asked_for(stanford, tmp_path, capsys):
    arguments = ["preprocess", "chexpert", str(stanford), "--cache", str(tmp_path), "--image-size", "16"]
    counts = []
    for views in ([], ["--views", "frontal"], ["--views", "all"]):
        assert run(cli, [*arguments, *views, "--workers", "1"]) == 0
        counts.append(int(capsys.readouterr().out.split(", ")[1].split()[0]))
    assert counts[0] == counts[1] < counts[2]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["preprocess", "chestxray14", "{}", "--bias-field", "n4"], "--bias-field is for volumes"),
        (["preprocess", "chestxray14", "{}", "--patient", "1"], "--patient is for volumes"),
        (["preprocess", "chestxray14", "{}", "--views", "all"], "--views is for chexpert"),
        (["preprocess", "lgg", "{}", "--views", "all"], "--views is for chexpert"),
        (["preprocess", "chestxray14", "{}", "--image-size", "0"], "image_size 0"),
        (["preprocess", "lgg", "{}", "--image-size", "0"], "image_size 0"),
    ],
)
def test_options_that_do_nothing_are_refused(nih, tmp_path, arguments, reason, capsys):
    arguments = [str(nih) if argument == "{}" else argument for argument in arguments]
    assert run(cli, [*arguments, "--cache", str(tmp_path / "cache")]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_slices_are_for_volumes(tmp_path, capsys):
    assert run(cli, ["phantoms", "chexpert", str(tmp_path / "x"), "--slices", "4"]) == 2
    assert "--slices is for lgg" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_phantoms_name_the_findings_of_their_set_and_a_command_that_can_be_pasted(tmp_path, capsys):
    folder = tmp_path / "my X-rays"
    assert run(cli, ["phantoms", "chexpert", str(folder), "--patients", "6", "--size", "20"]) == 0
    shown = capsys.readouterr().out
    assert "Pleural Effusion" in shown
    assert "Hernia" not in shown
    last = shlex.split(shown.splitlines()[-1])
    assert last == ["Next:", "fedward", "check-data", "chexpert", str(folder)]


def test_without_a_table_no_findings_are_counted(tmp_path, capsys):
    assert run(cli, ["check-data", "chestxray14", str(tmp_path), "--workers", "1"]) == 1
    shown = capsys.readouterr().out
    assert "no table" in shown
    assert "Images by finding" not in shown
