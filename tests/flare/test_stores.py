"""The server's stores lie in the kit from which it was started, whatever folder that is."""

import os

import pytest

from fedward.errors import FedwardError
from fedward.flare.stores import KitJobManager, KitStorage


def test_stores_are_made_in_the_running_kit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NVFL_JOB_STORE_ROOT", raising=False)
    assert KitStorage("store/snapshots").root_dir == str(tmp_path / "store" / "snapshots")
    assert KitJobManager("store/jobs").uri_root == str(tmp_path / "store" / "jobs")
    assert (tmp_path / "store" / "jobs").is_dir()


def test_an_absolute_path_is_taken_as_it_is(tmp_path, monkeypatch):
    """`nvflare poc` and `nvflare deploy` write such paths."""
    monkeypatch.chdir("/")
    assert KitStorage(root_dir=str(tmp_path / "s"), uri_root="/").root_dir == str(tmp_path / "s")


def test_a_store_that_cannot_be_made_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").write_text("a file in its place")
    with pytest.raises(FedwardError, match=r"store/jobs cannot be written \(.*\): make the folder writable"):
        KitJobManager("store/jobs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store" / "jobs").mkdir(parents=True, mode=0o500)
    with pytest.raises(FedwardError, match="store/jobs cannot be written"):
        KitJobManager("store/jobs")


@pytest.mark.parametrize("folder", ["/proc/fedward", "/proc/self"])
def test_a_place_where_nobody_can_make_or_write(folder):
    """Root too may write nothing there; the second folder exists."""
    with pytest.raises(FedwardError, match=f"{folder} cannot be written"):
        KitStorage(folder)


def test_trying_the_store_leaves_nothing_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    KitStorage("store/snapshots")
    assert list((tmp_path / "store" / "snapshots").iterdir()) == []
