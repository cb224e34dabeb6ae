"""Prepared scans are kept in a cache folder, named by what was prepared and how."""

from functools import partial
from pathlib import Path

import numpy as np

from fedward.datasets.scan import Scan, ScanDataSet
from fedward.preprocessing.cache_folder import (
    content_key,
    file_name,
    read_arrays,
    take_or_make,
    tell_notes,
    write_arrays,
)
from fedward.preprocessing.scan import PreparedScan, check_scan_settings, prepare_scan
from fedward.preprocessing.settings import PreprocessingSettings

ALGORITHM_VERSION = 1  # raise it when the same files and settings give other numbers, as in cache.py


def prepare_scans(
    data_set: ScanDataSet,
    scans: list[Scan],
    settings: PreprocessingSettings,
    cache: Path,
    workers: int = 0,
    quiet: bool = False,
) -> list[PreparedScan]:
    """The prepared scans in the order of `scans`, from the cache or, where they are not in it, made and cached.

    Missing ones are made in parallel, `workers` processes (0: one per core), with a progress bar unless `quiet`.
    A damaged cached file is made again; a log line says how many. Several processes may use one cache.

    Raises:
        DataError: a file of a scan cannot be read or used.
        FedwardError: the cache folder cannot be written, or the disk is full.
        UsageError: settings that scans do not have (`check_scan_settings`).
    """
    check_scan_settings(settings)
    cache = Path(cache)
    paths = [cache / file_name(_title(scan), scan_key(data_set, scan, settings)) for scan in scans]
    make = partial(_make, data_set=data_set, settings=settings)
    prepared = take_or_make(cache, paths, scans, load_prepared_scan, make, workers, quiet)
    tell_notes((_title(scan), note) for scan in prepared for note in scan.notes)
    return prepared


def scan_key(data_set: ScanDataSet, scan: Scan, settings: PreprocessingSettings) -> str:
    """SHA-256 over data set, algorithm's version, settings, patient, frame, and the raw bytes of the scan's files.

    Patient and frame are in it because a study may hold copies: two frames with the same content stay two files.
    """
    about = {
        "data_set": data_set.name,
        "version": ALGORITHM_VERSION,
        "settings": settings.to_dict(),
        "scan": [scan.patient, scan.frame],
        "labelled": scan.labels is not None,
    }
    return content_key(about, [scan.image] if scan.labels is None else [scan.image, scan.labels])


def load_prepared_scan(path: Path) -> PreparedScan | None:
    """The scan in a cached file, or None where the file is damaged (zip checksums), cut short or not ours."""
    found = read_arrays(path)
    if found is None:
        return None
    arrays, about = found
    expected = {"image", "labels"} if about.get("labelled") else {"image"}  # the archive's list has no checksum
    if set(arrays) != expected or arrays["image"].dtype != np.float16 or arrays["image"].ndim != 3:
        return None
    image, labels = arrays["image"], arrays.get("labels")
    if labels is not None and (labels.dtype != np.uint8 or labels.shape != image.shape):
        return None
    z, y, x = about["spacing"]
    return PreparedScan(
        about["patient"], about["frame"], image, labels, (z, y, x), about["spacing_known"], tuple(about["notes"])
    )


def _title(scan: Scan | PreparedScan) -> str:
    return f"{scan.patient} {scan.frame}".strip()


def _make(item: tuple[Path, Scan], data_set: ScanDataSet, settings: PreprocessingSettings) -> PreparedScan:
    """Prepare one scan and cache it."""
    path, scan = item
    prepared = prepare_scan(data_set.read_scan(scan), scan, settings)
    arrays = {"image": prepared.image} | ({} if prepared.labels is None else {"labels": prepared.labels})
    about = {
        "patient": prepared.patient,
        "frame": prepared.frame,
        "labelled": prepared.labels is not None,
        "spacing": prepared.spacing,
        "spacing_known": prepared.spacing_known,
        "notes": prepared.notes,
    }
    write_arrays(path, arrays, about)
    return prepared
