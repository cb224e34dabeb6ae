"""Prepared cases are kept in a cache folder, named by what was prepared and how."""

from functools import partial
from pathlib import Path

import numpy as np

from fedward.datasets.base import Case, DataSet
from fedward.preprocessing.cache_folder import (
    content_key,
    file_name,
    read_arrays,
    take_or_make,
    tell_notes,
    write_arrays,
)
from fedward.preprocessing.prepare import PreparedCase, prepare_volume
from fedward.preprocessing.settings import PreprocessingSettings

__all__ = ["ALGORITHM_VERSION", "PreparedCase", "case_key", "prepare_cases"]

ALGORITHM_VERSION = (
    1  # raise it when the same files and settings give other numbers: old cached files are then not used
)


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
    paths = [cache / file_name(case.patient, case_key(data_set, case, settings)) for case in cases]
    make = partial(_make, data_set=data_set, settings=settings)
    prepared = take_or_make(cache, paths, cases, load_prepared, make, workers, quiet)
    tell_notes((case.patient, note) for case in prepared for note in case.notes)
    return prepared


def case_key(data_set: DataSet, case: Case, settings: PreprocessingSettings) -> str:
    """SHA-256 over the data set's name, the algorithm's version, the settings and the raw bytes of the case's files."""
    about = {"data_set": data_set.name, "version": ALGORITHM_VERSION, "settings": settings.to_dict()}
    return content_key(about, (*case.images, *case.masks))


def load_prepared(path: Path) -> PreparedCase | None:
    """The case in a cached file, or None where the file is damaged (zip checksums), cut short or not ours."""
    found = read_arrays(path)
    if found is None or not {"image", "mask"} <= set(found[0]):
        return None
    image, mask, about = found[0]["image"], found[0]["mask"], found[1]
    if image.dtype != np.float16 or mask.dtype != np.bool_ or image.ndim != 4:
        return None
    if mask.shape != (image.shape[0], *image.shape[2:]):
        return None
    return PreparedCase(about["patient"], image, mask, tuple(about["notes"]))


def _make(item: tuple[Path, Case], data_set: DataSet, settings: PreprocessingSettings) -> PreparedCase:
    """Prepare one case and cache it."""
    path, case = item
    prepared = prepare_volume(data_set.read_case(case), settings)
    about = {"patient": prepared.patient, "notes": prepared.notes}
    write_arrays(path, {"image": prepared.image, "mask": prepared.mask}, about)
    return prepared
