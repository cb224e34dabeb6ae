import json
import shutil

import pytest

from fedward.cli import cli, run
from fedward.datasets.layout import read_partition


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    arguments = ["phantoms", "lgg", str(folder), "--patients", "8", "--slices", "3", "--size", "24"]
    assert run(cli, [*arguments, "--institutions", "2"]) == 0
    return folder


def test_phantoms_pass_the_check(phantoms, capsys):
    assert run(cli, ["check-data", "lgg", str(phantoms), "--workers", "1"]) == 0
    assert "8 patients, 24 images: no problems. Training can start." in capsys.readouterr().out


def test_phantoms_do_not_overwrite(phantoms, capsys):
    assert run(cli, ["phantoms", "lgg", str(phantoms)]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_check_lists_errors_and_warnings_and_ends_with_1(phantoms, tmp_path, capsys):
    root = shutil.copytree(phantoms, tmp_path / "copy")
    next(root.glob("*/*_1.tif")).write_bytes(b"broken")
    (root / "[odd] name").mkdir()
    assert run(cli, ["check-data", "lgg", str(root), "--workers", "1"]) == 1
    out = capsys.readouterr().out
    assert "error unreadable (1): copy it again from the original" in out
    assert "warning left out (1)" in out
    assert "[odd] name" in out
    assert "1 error, 1 warning. Put the errors right before training." in out


def test_check_for_machines(phantoms, tmp_path, capsys):
    root = shutil.copytree(phantoms, tmp_path / "copy")
    next(root.glob("*/*_2_mask.tif")).unlink()
    assert run(cli, ["check-data", "lgg", str(root), "--json", "--workers", "1"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["patients"], found["images"], found["errors"], found["warnings"]) == (8, 24, 1, 0)
    (problem,) = found["problems"]
    assert problem["severity"] == "error"
    assert problem["path"].endswith("_2_mask.tif")
    assert problem["reason"].startswith("mask missing")


def test_partition_lays_out_shows_and_draws(phantoms, tmp_path, capsys):
    out = tmp_path / "sites"
    arguments = ["partition", "lgg", str(phantoms), "--sites", "3", "--fold", "2", "--server-patients", "1"]
    assert run(cli, [*arguments, "--workers", "1", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("hospital-01", "hospital-02", "hospital-03", "test", "server"))
    assert "check-data" not in shown  # it has read every volume
    assert (out / "partition.png").read_bytes().startswith(b"\x89PNG")
    partition = read_partition(out)
    patients = [n for site in partition["sites"].values() for n in site["patients"].values()]
    assert sum(patients) + partition["test"]["patients"] + partition["server"]["patients"] == 8
    assert str(tmp_path) not in (out / "partition.json").read_text()
    assert run(cli, [*arguments, "--out", str(out)]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_partition_refuses_broken_data_and_leaves_nothing_behind(phantoms, tmp_path, capsys):
    root = shutil.copytree(phantoms, tmp_path / "copy")
    next(root.glob("*/*_3.tif")).write_bytes(b"broken")
    assert (
        run(cli, ["partition", "lgg", str(root), "--sites", "2", "--workers", "1", "--out", str(tmp_path / "s")]) == 1
    )
    assert "unreadable" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["check-data", "lgg", "/nowhere"], "does not exist"),
        (["check-data", "mnist", "."], "unknown data set 'mnist': use one of acdc, chestxray14, chexpert, "),
        (["partition", "mnist", ".", "--out", "x"], "unknown data set 'mnist'"),
        (["partition", "lgg", "."], "Missing option '--out'"),
        (["partition", "lgg", ".", "--out", "x", "--by", "dirichlet"], "alpha is None"),
        (["partition", "lgg", ".", "--out", "x", "--fold", "6"], "fold is 6"),
        (["partition", "lgg", ".", "--out", "x", "--sites", "0"], "sites is 0"),
        (["phantoms", "lgg", "x", "--size", "1"], "size is 1"),
        (["phantoms", "mnist", "x"], "'mnist' is not"),
    ],
)
def test_wrong_usage_ends_with_2_and_writes_nothing(arguments, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(cli, arguments) == 2
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_shows_examples(capsys):
    for name in ("check-data", "partition", "phantoms"):
        assert run(cli, [name, "--help"]) == 0
        assert "Example" in capsys.readouterr().out
