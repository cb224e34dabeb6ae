"""All images of a table, decoded once and kept as one array in the cache folder: training then reads bytes, not files.

CACHE/xrays-<key>.npy       (N, S, S) uint8, 8-bit grey
CACHE/xrays-<key>.rows.npy  (N,) uint64: 0 for a row not yet made, else 2^32 + CRC-32 of the row

<key> names the files by path within their common folder, size and time of change, not by content: to read 45 GB of
ChestX-ray14 again at each start would cost what the pack is to save. A file that was changed has another time.
Every row is checked against its CRC-32 when a pack is opened, so that interrupted work goes on, and a row that was
damaged or lost in a power cut is made again.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import FileProblem
from fedward.datasets.xray_image import read_resized
from fedward.preprocessing.cache_folder import check_writable, unwritable
from fedward.preprocessing.settings import checked_size
from fedward.progress import map_in_processes

VERSION = 2  # raise it when the same file gives other pixels: old packs are then not used
MADE = 2**32
CHUNK = 16  # images a process takes at a time

logger = logging.getLogger(__name__)


def open_pack(
    paths: Sequence[Path], image_size: int, cache: Path, workers: int = 0, quiet: bool = False
) -> NDArray[np.uint8]:
    """The images as one array (N, S, S) uint8 in the order of `paths`, memory-mapped and read-only; S = image_size.

    What the cache lacks is read and resized (`read_resized`) in `workers` processes (0: one a core) under a progress
    bar unless `quiet`. Work that was interrupted goes on. Several processes may use one cache: one makes, others wait.

    Raises:
        DataError: an image cannot be read; the rows made before it are kept.
        FedwardError: the cache cannot be written, or the disk is too full for the whole pack.
        UsageError: image_size is out of range.
    """
    size = checked_size(image_size)
    if not paths:
        return np.empty((0, size, size), np.uint8)
    cache = Path(cache)
    pack = pack_path(paths, size, cache)
    shape = (len(paths), size, size)
    if any(map(len, rows_to_make(pack, shape))):
        check_writable(cache)
        with _locked(pack):
            missing, damaged = rows_to_make(pack, shape)  # another process may have made them meanwhile
            if len(damaged):
                logger.warning("%s: %d damaged images are made again", pack, len(damaged))
            _make(pack, shape, paths, np.concatenate([missing, damaged]), workers, quiet)
    array: NDArray[np.uint8] = np.load(pack, mmap_mode="r", allow_pickle=False)
    return array


def pack_path(paths: Sequence[Path], image_size: int, cache: Path) -> Path:
    """The pack of these files in the cache, which need not exist; DataError where one of the files does not."""
    common = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    digest = hashlib.sha256(json.dumps([VERSION, image_size]).encode())
    for path in paths:
        try:
            about = os.stat(path)
        except OSError as error:
            advice = "restore it from the original, or run `fedward check-data` on its folder"
            raise FileProblem(path, f"missing: {error.strerror or error}", advice) from error
        name = os.path.relpath(os.path.abspath(path), common)
        digest.update(json.dumps([name, about.st_size, about.st_mtime_ns]).encode())
    return Path(cache) / f"xrays-{digest.hexdigest()}.npy"


def rows_to_make(pack: Path, shape: tuple[int, int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows not yet made, all where the pack is none of this shape; and rows without the pixels they were made with."""
    try:
        rows, images = _load(_rows_path(pack), (shape[0],), np.uint64), _load(pack, shape, np.uint8)
    except (OSError, ValueError, EOFError):
        return np.arange(shape[0]), np.empty(0, np.int64)
    made = np.flatnonzero(rows)
    damaged = [row for row in made if int(rows[row]) != _mark(images[row])]
    return np.flatnonzero(rows == 0), np.array(damaged, np.int64)


def _load(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"{path} is not the pack that its name says")
    return array


def _make(
    pack: Path,
    shape: tuple[int, int, int],
    paths: Sequence[Path],
    missing: NDArray[np.int64],
    workers: int,
    quiet: bool,
) -> None:
    """Read the missing rows and write each into the pack before its mark."""
    if not len(missing):
        return
    try:
        if len(missing) == len(paths):
            _allocate(_rows_path(pack), (shape[0],), np.uint64)
            _allocate(pack, shape, np.uint8)
        images = map_in_processes(
            partial(read_resized, size=shape[1]),
            [paths[row] for row in missing],
            "Reading images",
            workers,
            quiet,
            CHUNK,
        )
        with _writer(pack) as put_image, _writer(_rows_path(pack)) as put_mark:
            for row, image in zip(missing, images, strict=True):
                put_image(int(row) * image.nbytes, image.tobytes())
                put_mark(int(row) * 8, np.uint64(_mark(image)).tobytes())
    except OSError as error:
        raise unwritable(pack.parent, error) from error


def _mark(image: NDArray[np.generic]) -> int:
    return MADE + zlib.crc32(image.data)


def _rows_path(pack: Path) -> Path:
    return pack.with_suffix(".rows.npy")


def _allocate(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """A new file of zeros with all its space taken, so that a full disk is known before the work and not after it."""
    header = np.lib.format.header_data_from_array_1_0(np.empty(0, dtype)) | {"shape": shape}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # readable for its owner only
    try:
        with os.fdopen(handle, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            os.posix_fallocate(file.fileno(), file.tell(), int(np.prod(shape)) * np.dtype(dtype).itemsize)
        os.replace(temporary, path)  # whoever reads an older file keeps it
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def _writer(path: Path) -> Iterator[Callable[[int, bytes], None]]:
    """A function that writes bytes at an offset behind the header: a full disk is an error there, not a crash."""
    offset = np.load(path, mmap_mode="r", allow_pickle=False).offset
    with path.open("r+b", buffering=0) as file:

        def put(start: int, data: bytes) -> None:
            if (written := os.pwrite(file.fileno(), data, offset + start)) != len(data):
                raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes written")

        yield put
        os.fsync(file.fileno())


@contextmanager
def _locked(pack: Path) -> Iterator[None]:
    """Hold the pack's lock file; waits for another process that makes the same pack. The system frees it on a crash."""
    try:
        file = pack.with_suffix(".lock").open("ab")
    except OSError as error:
        raise unwritable(pack.parent, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s: another process makes it; waiting", pack)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
