"""Run names, and files that are whole or not there."""

import json
import os

import pytest

from fedward.errors import FedwardError, UsageError
from fedward.rounds.run_folder import RunFolder, check_run_name, existing_run, read_json, write_bytes, write_json


@pytest.mark.parametrize("name", ["run", "r", "dcew-fold-1_seed.2", "7", "A" * 100])
def test_names_that_are_allowed(name):
    assert check_run_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "/a",
        "../a",
        "a..b",
        ".hidden",
        "-rf",
        " a",
        "a b",
        "a\n",
        "a\0",
        "Süd",
        "名",
        "A" * 101,
        None,
        7,
        ("a",),
    ],
)
def test_names_that_are_not_allowed(name):
    with pytest.raises(UsageError, match="run name"):
        check_run_name(name)


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "new" / "folder" / "value.json"
    write_json(path, {"a": [1, 0.1, None, "ü"]})
    assert read_json(path) == {"a": [1, 0.1, None, "ü"]}
    assert os.listdir(path.parent) == ["value.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_values_that_are_not_json_leave_the_old_file(tmp_path, value):
    path = tmp_path / "value.json"
    write_json(path, "old")
    with pytest.raises((ValueError, TypeError)):
        write_json(path, value)
    assert read_json(path) == "old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, call):
    path = tmp_path / "value.bin"
    write_bytes(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["value.bin"]


def test_unreadable_json_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "value.json"
    with pytest.raises(FedwardError, match=r"value\.json is missing"):
        read_json(path)
    for damage in (b"{", b"", b"\xff\xff"):
        path.write_bytes(damage)
        with pytest.raises(FedwardError, match=r"value\.json is not valid JSON"):
            read_json(path)


def test_only_a_folder_with_run_json_is_a_run(tmp_path):
    with pytest.raises(FedwardError, match="is no run folder"):
        existing_run(tmp_path)
    write_json(tmp_path / "run.json", {"state": "running"})
    folder = existing_run(str(tmp_path))
    assert folder.root == tmp_path
    assert not folder.finished()
    folder.run.write_text(json.dumps({"state": "finished"}))
    assert folder.finished()
    assert not RunFolder(tmp_path / "nothing").finished()
