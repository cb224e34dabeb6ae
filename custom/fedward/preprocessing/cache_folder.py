"""What every cache of prepared volumes shares: names by content, whole files or none, damaged ones made again."""

import hashlib
import io
import json
import logging
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedward.errors import DataError, FedwardError
from fedward.progress import map_in_processes
from fedward.rounds.run_folder import write_bytes

DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")

logger = logging.getLogger(__name__)


def take_or_make(
    cache: Path,
    paths: Sequence[Path],
    items: Sequence[Item],
    load: Callable[[Path], Prepared | None],
    make: Callable[[tuple[Path, Item]], Prepared],
    workers: int,
    quiet: bool,
) -> list[Prepared]:
    """What `load` finds at each path, or what `make((path, item))` makes and writes there, in the order of `items`.

    `load` returns None for a damaged file: it is made again, and a log line says how many were. Missing ones are made
    in `workers` processes (0: one a core) under a progress bar unless `quiet`. Several processes may use one cache.
    """
    prepared = {path: load(path) for path in paths if path.is_file()}
    damaged = sum(value is None for value in prepared.values())
    missing = {path: item for path, item in zip(paths, items, strict=True) if prepared.get(path) is None}
    if missing:
        check_writable(cache)
        made = map_in_processes(make, list(missing.items()), "Preparing images", workers, quiet)
        prepared.update(zip(missing, made, strict=True))
    if damaged:
        logger.warning("%s: %d damaged cached files were made again", cache, damaged)
    return [value for path in paths if (value := prepared[path]) is not None]


def tell_notes(notes: Iterable[tuple[str, str]]) -> None:
    """Log each (name, note), a note that many share only once."""
    names: dict[str, list[str]] = {}
    for name, note in notes:
        names.setdefault(note, []).append(name)
    for note, those in names.items():
        others = f" and {len(those) - 1} others" if len(those) > 1 else ""
        logger.warning("%s%s: %s", those[0], others, note)


def content_key(about: dict[str, Any], files: Iterable[Path]) -> str:
    """SHA-256 over `about`, plain values, and the raw bytes of the files; DataError where one cannot be read."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for path in files:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: {error.strerror or error}: check the file, or run `fedward check-data` on its folder"
            ) from error
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def file_name(name: str, key: str) -> str:
    """The name of a cached file; `name` is for people, the key alone tells files apart."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:80]}-{key}.npz"


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """The arrays of a cached file and what was written about them; None where it is damaged, cut short or not ours."""
    try:
        with zipfile.ZipFile(path) as archive:  # reads whole members: their CRC is checked before they are parsed
            arrays = {name.removesuffix(".npy"): _read_array(archive, name) for name in archive.namelist()}
        about = json.loads(arrays.pop("about").tobytes())
        return (arrays, about) if about["name"] == path.name else None
    except DAMAGE:
        return None


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> None:
    """Write a cached file, whole or not at all; FedwardError where the folder cannot be written."""
    text = json.dumps({"name": path.name, **about}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, about=np.frombuffer(text, np.uint8))  # type: ignore[arg-type]
    try:
        write_bytes(path, buffer.getvalue())
    except OSError as error:
        raise unwritable(path.parent, error) from error


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    return array


def check_writable(cache: Path) -> None:
    """Fail before the work begins and not after it."""
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)  # pixels of patients: for their owner only
        probe = cache / ".writable"
        write_bytes(probe, b"")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(cache, error) from error


def unwritable(cache: Path, error: OSError) -> FedwardError:
    """What to tell of a cache folder that cannot be written."""
    return FedwardError(
        f"the cache folder {cache} cannot be written ({error.strerror or error}): "
        "free space there or name another folder"
    )
