"""Prepared cases are kept in a cache folder, named by what was prepared and how."""

import hashlib
import io
import json
import logging
import re
import struct
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import Case, DataSet
from fedward.errors import DataError, FedwardError
from fedward.preprocessing.prepare import PreparedCase, prepare_volume
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.progress import map_in_processes
from fedward.rounds.run_folder import write_bytes

__all__ = ["ALGORITHM_VERSION", "PreparedCase", "case_key", "prepare_cases"]

ALGORITHM_VERSION = (
    1  # raise it when the same files and settings give other numbers: old cached files are then not used
)
DAMAGE = (OSError, EOFError, KeyError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error)

logger = logging.getLogger(__name__)


def prepare_cases(
    data_set: DataSet,
    cases: list[Case],
    settings: PreprocessingSettings,
    cache: Path,
    workers: int = 0,
    quiet: bool = False,
) -> list[PreparedCase]:
    """The prepared cases in the order of `cases`, from the cache or, where they are not in it, made and cached.

    Missing ones are made in parallel, `workers` processes (0: one per core), with a progress bar unless `quiet`.
    A damaged cached file is made again; a log line says how many. Several processes may use one cache.

    Raises:
        DataError: a file of a case cannot be read.
        FedwardError: the cache folder cannot be written, or the disk is full.
    """
    cache = Path(cache)
    paths = [cache / _file_name(case, case_key(data_set, case, settings)) for case in cases]
    prepared = {path: load_prepared(path) for path in paths if path.is_file()}
    damaged = sum(value is None for value in prepared.values())
    missing = {path: case for path, case in zip(paths, cases, strict=True) if prepared.get(path) is None}
    if missing:
        check_writable(cache)
        make = partial(_make, data_set=data_set, settings=settings)
        made = map_in_processes(make, list(missing.items()), "Preparing images", workers, quiet)
        prepared.update(zip(missing, made, strict=True))
    if damaged:
        logger.warning("%s: %d damaged cached files were made again", cache, damaged)
    result = [case for path in paths if (case := prepared[path]) is not None]
    for case in result:
        for note in case.notes:
            logger.warning("%s: %s", case.patient, note)
    return result


def case_key(data_set: DataSet, case: Case, settings: PreprocessingSettings) -> str:
    """SHA-256 over the data set's name, the algorithm's version, the settings and the raw bytes of the case's files."""
    about = {"data_set": data_set.name, "version": ALGORITHM_VERSION, "settings": settings.to_dict()}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for path in (*case.images, *case.masks):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: {error.strerror or error}: check the file, or run `fedward check-data` on its folder"
            ) from error
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def load_prepared(path: Path) -> PreparedCase | None:
    """The case in a cached file, or None where the file is damaged (zip checksums), cut short or not ours."""
    try:
        with zipfile.ZipFile(path) as archive:  # reads whole members: their CRC is checked before they are parsed
            image, mask, about = (_read_array(archive, name) for name in ("image", "mask", "about"))
        case = json.loads(about.tobytes())
        if image.dtype != np.float16 or mask.dtype != np.bool_ or image.ndim != 4:
            return None
        if mask.shape != (image.shape[0], *image.shape[2:]) or case["name"] != path.name:
            return None
        return PreparedCase(case["patient"], image, mask, tuple(case["notes"]))
    except DAMAGE:
        return None


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
    return array


def _make(item: tuple[Path, Case], data_set: DataSet, settings: PreprocessingSettings) -> PreparedCase:
    """Prepare one case and cache it."""
    path, case = item
    prepared = prepare_volume(data_set.read_case(case), settings)
    about = json.dumps({"name": path.name, "patient": prepared.patient, "notes": prepared.notes}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, image=prepared.image, mask=prepared.mask, about=np.frombuffer(about, np.uint8))
    try:
        write_bytes(path, buffer.getvalue())
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return prepared


def _file_name(case: Case, key: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", case.patient)[:80]
    return f"{safe}-{key}.npz"


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
