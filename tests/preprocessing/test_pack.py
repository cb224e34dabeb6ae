"""The pack: the same pixels as the reader, made once, continued, repaired and never taken for another."""

import errno
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fedward.datasets.xray_image import read_resized
from fedward.errors import DataError, FedwardError, UsageError
from fedward.preprocessing import pack as module
from fedward.preprocessing.pack import open_pack, pack_path

SIZE = 16


@pytest.fixture
def paths(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    made = []
    for number in range(9):
        made.append(folder / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (20, 24), dtype=np.uint8)).save(made[-1])
    return made


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch):
    """The files read since, in order."""
    seen = []

    def counting(path, size):
        seen.append(path)
        return read_resized(path, size)

    monkeypatch.setattr(module, "read_resized", counting)
    return seen


def expected(paths):
    return np.stack([read_resized(path, SIZE) for path in paths])


def files(cache):
    pack, rows = cache.glob("xrays-*[0-9a-f].npy"), cache.glob("xrays-*.rows.npy")
    return next(pack), next(rows)


def test_a_pack_holds_what_the_reader_reads_and_is_made_once(paths, cache, reads):
    first = open_pack(paths, SIZE, cache, workers=1, quiet=True)
    assert (first.shape, first.dtype) == ((9, SIZE, SIZE), np.uint8)
    np.testing.assert_array_equal(first, expected(paths))
    assert isinstance(first, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0, 0] = 1
    assert len(reads) == 9
    np.testing.assert_array_equal(open_pack(paths, SIZE, cache, workers=1, quiet=True), first)
    assert len(reads) == 9


def test_processes_make_the_same_pack(paths, cache):
    np.testing.assert_array_equal(open_pack(paths, SIZE, cache, workers=2, quiet=True), expected(paths))


def test_only_the_owner_may_read_it(paths, cache):
    open_pack(paths, SIZE, cache, workers=1, quiet=True)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(cache)] == [0o600, 0o600]


def test_a_pack_is_named_by_its_files_and_size(paths, cache, tmp_path):
    key = pack_path(paths, SIZE, cache)
    assert pack_path(paths, SIZE, cache) == key
    assert pack_path(paths, SIZE + 1, cache) != key
    assert pack_path(paths[:-1], SIZE, cache) != key
    assert pack_path(paths[::-1], SIZE, cache) != key
    (tmp_path / "images").rename(tmp_path / "moved")
    moved = [tmp_path / "moved" / path.name for path in paths]
    assert pack_path(moved, SIZE, cache) == key
    os.utime(moved[3], ns=(1, 1))
    assert pack_path(moved, SIZE, cache) != key


def test_a_changed_file_is_read_again(paths, cache):
    before = np.array(open_pack(paths, SIZE, cache, workers=1, quiet=True))
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(paths[4])
    after = open_pack(paths, SIZE, cache, workers=1, quiet=True)
    assert not after[4].any()
    np.testing.assert_array_equal(np.delete(after, 4, 0), np.delete(before, 4, 0))


def test_work_goes_on_where_an_unreadable_file_stopped_it(paths, cache, reads):
    good = paths[6].read_bytes()
    about = os.stat(paths[6])
    paths[6].write_bytes(b"x" * len(good))
    os.utime(paths[6], ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(DataError, match=r"6\.png: unreadable"):
        open_pack(paths, SIZE, cache, workers=1, quiet=True)
    paths[6].write_bytes(good)
    os.utime(paths[6], ns=(about.st_atime_ns, about.st_mtime_ns))
    reads.clear()
    np.testing.assert_array_equal(open_pack(paths, SIZE, cache, workers=1, quiet=True), expected(paths))
    assert reads == paths[6:]


def test_a_damaged_row_is_made_again_and_the_others_are_kept(paths, cache, reads, caplog):
    wanted = np.array(open_pack(paths, SIZE, cache, workers=1, quiet=True))
    pack, _ = files(cache)
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    reads.clear()
    np.testing.assert_array_equal(open_pack(paths, SIZE, cache, workers=1, quiet=True), wanted)
    assert reads == [paths[8]]
    assert "1 damaged images are made again" in caplog.text


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "text", "other"])
def test_a_file_that_is_no_pack_is_made_again(paths, cache, which, damage):
    wanted = np.array(open_pack(paths, SIZE, cache, workers=1, quiet=True))
    path = files(cache)[which]
    if damage == "gone":
        path.unlink()
    elif damage == "other":
        np.save(path, np.zeros((9, SIZE), np.float32))
    else:
        path.write_bytes({"cut": path.read_bytes()[:-5], "empty": b"", "text": b"no pack"}[damage])
    np.testing.assert_array_equal(open_pack(paths, SIZE, cache, workers=1, quiet=True), wanted)


def test_an_opened_pack_outlives_its_replacement(paths, cache):
    old = open_pack(paths, SIZE, cache, workers=1, quiet=True)
    wanted = np.array(old)
    files(cache)[1].unlink()
    open_pack(paths, SIZE, cache, workers=1, quiet=True)
    np.testing.assert_array_equal(old, wanted)


def test_no_images_make_an_empty_pack(cache):
    assert open_pack([], SIZE, cache).shape == (0, SIZE, SIZE)
    assert not cache.exists()


def test_a_full_disk_is_known_before_the_work(paths, cache, reads, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        FedwardError, match=r"cache folder .* cannot be written \(No space left on device\): free space"
    ):
        open_pack(paths, SIZE, cache, workers=1, quiet=True)
    assert reads == []
    assert not list(cache.glob("*.npy"))


def test_a_disk_that_fills_up_is_an_error(paths, cache, monkeypatch):
    monkeypatch.setattr(os, "pwrite", lambda *_: 3)
    with pytest.raises(FedwardError, match="only 3 of 256 bytes written"):
        open_pack(paths, SIZE, cache, workers=1, quiet=True)


def test_a_cache_that_is_a_file_a_missing_image_and_a_wrong_size(paths, cache):
    cache.write_text("x")
    with pytest.raises(FedwardError, match="cannot be written"):
        open_pack(paths, SIZE, cache, workers=1, quiet=True)
    paths[2].unlink()
    with pytest.raises(DataError, match=r"2\.png: missing"):
        open_pack(paths, SIZE, cache, workers=1, quiet=True)
    with pytest.raises(UsageError, match="image_size 0"):
        open_pack(paths, 0, cache)


def test_a_second_process_waits_and_reads_nothing(paths, cache, reads):
    """The other process holds the lock, makes the pack, and lets go."""
    cache.mkdir()
    script = (
        "import fcntl, sys, time\n"
        "from pathlib import Path\n"
        "from fedward.preprocessing.pack import open_pack\n"
        "from fedward.preprocessing import pack as module\n"
        "real = module.map_in_processes\n"
        "def slow(*arguments):\n"
        "    print('holds', flush=True)\n"
        "    time.sleep(1)\n"
        "    return real(*arguments)\n"
        "module.map_in_processes = slow\n"
        "open_pack([Path(p) for p in sys.argv[2:]], 16, Path(sys.argv[1]), workers=1, quiet=True)\n"
    )
    command = [sys.executable, "-c", script, str(cache), *map(str, paths)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "holds\n"
        array = open_pack(paths, SIZE, cache, workers=1, quiet=True)
        np.testing.assert_array_equal(array, expected(paths))
        assert other.wait(30) == 0
    assert reads == []
