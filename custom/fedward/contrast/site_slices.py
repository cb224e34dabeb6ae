"""The slices of a site's folder of scans, without labels."""

from pathlib import Path

from fedward.datasets.layout import read_split
from fedward.datasets.registry import scan_data_set
from fedward.preprocessing.scan_cache import prepare_scans
from fedward.settings import RunSettings
from fedward.training.scan_slices import Slices, stack_scans


def site_slices(settings: RunSettings, folder: Path, cache: Path) -> tuple[Slices | None, Slices | None]:
    """(training, validation) slices of a folder by its split; None for a part without patients."""
    data_set = scan_data_set(settings.data_set)
    scans = data_set.find_scans(folder)
    split = read_split(folder, {scan.patient for scan in scans}, settings.seed)
    prepared = prepare_scans(data_set, scans, settings.preprocessing, cache, workers=1, quiet=True)
    train, validation = (
        stack_scans([scan for scan in prepared if scan.patient in patients], labelled=False)
        for patients in (set(split.train), set(split.validation))
    )
    return train, validation


def held_out_slices(settings: RunSettings, sites_folder: Path, cache: Path) -> Slices | None:
    """The slices of SITES/test; None where the partition set no test patients apart."""
    folder = sites_folder / "test"
    if not folder.is_dir():
        return None
    data_set = scan_data_set(settings.data_set)
    prepared = prepare_scans(data_set, data_set.find_scans(folder), settings.preprocessing, cache, quiet=True)
    return stack_scans(prepared, labelled=False)
