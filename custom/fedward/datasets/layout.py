"""A partition on disk: each hospital's patients in a folder of its own, by links, never by copies.

SITES/hospital-01/<patient>/...     in the data set's own layout, one reader for simulation and hospital alike
SITES/hospital-01/split.json        {"train": [patient, ...], "validation": [patient, ...]}
SITES/test/<patient>/...            test patients of the fold, if one was asked for
SITES/server/<patient>/...          the server's validation patients, if some were asked for
SITES/partition.json                who holds how much (no paths, no names of patients):
    data_set, seed
    settings    sites, by, alpha, fold, folds, server_patients
    sites       hospital -> {institution: "CS" or "CS, DU" where mixed,
                             patients, slices, slices_with_tumour: each {train, validation}}
    test, server  {patients, slices, slices_with_tumour}: each a number; null where there is none
    warnings    [sentence, ...]
"""

import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedward.datasets.base import Case, Split, no_image_file
from fedward.datasets.partition import PartitionSettings, Plan, default_split
from fedward.errors import DataError, FedwardError, UsageError
from fedward.rounds.run_folder import read_json, write_json

NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def new_folder(out: Path, outside: Path | None = None) -> Iterator[Path]:
    """A temporary sibling of `out` that becomes `out` when the block ends well, and disappears when it does not.

    Raises UsageError where `out` exists and is not an empty folder, or lies in `outside`, a folder that stays as it is.
    """
    out = Path(out).absolute()
    if outside is not None and out.resolve().is_relative_to(outside.resolve()):
        raise UsageError(f"{out} lies inside {outside}, which must stay as it is: give a folder outside it")
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UsageError(f"{out} exists and is not an empty folder: give another one, or delete it first")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def lay_out(cases: Iterable[Case], plan: Plan, folder: Path) -> None:
    """Link each patient's images and masks to its place under `folder`, and write each hospital's split.json."""
    by_patient = {case.patient: case for case in cases}
    for site, split in plan.sites.items():
        for patient in (*split.train, *split.validation):
            link_case(by_patient[patient], folder / site)
        write_json(folder / site / "split.json", {"train": split.train, "validation": split.validation})
    for place, patients in (("test", plan.test), ("server", plan.server)):
        for patient in patients:
            link_case(by_patient[patient], folder / place)


def link_case(case: Case, place: Path) -> None:
    """`place/<patient>/` with the patient's files: hard links, or symbolic ones where those are impossible."""
    folder = place / case.patient
    folder.mkdir(parents=True)
    for path in (*case.images, *case.masks):
        link_file(path, folder / path.name)


def link_file(source: Path, target: Path) -> None:
    """Hard link `target` to the file `source`; a symbolic link on another file system or where links are refused.

    Raises DataError where `source` is no file: a folder, or a link that leads to none.
    """
    if not os.path.isfile(source) and os.path.lexists(source):
        raise no_image_file(source)
    source = source.resolve()
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        target.symlink_to(source)


def describe(
    data_set: str,
    institution_of: Mapping[str, str],
    slices: Mapping[str, tuple[int, int]],
    plan: Plan,
    settings: PartitionSettings,
) -> dict[str, Any]:
    """The content of partition.json; `slices` is patient -> (slices, slices with tumour)."""

    def totals(patients: tuple[str, ...]) -> dict[str, int]:
        return {
            "patients": len(patients),
            "slices": sum(slices[p][0] for p in patients),
            "slices_with_tumour": sum(slices[p][1] for p in patients),
        }

    sites = {}
    for name, split in plan.sites.items():
        train, validation = totals(split.train), totals(split.validation)
        sites[name] = {
            "institution": ", ".join(sorted({institution_of[p] for p in (*split.train, *split.validation)})),
            **{key: {"train": train[key], "validation": validation[key]} for key in train},
        }
    values = asdict(settings)
    return {
        "data_set": data_set,
        "seed": values.pop("seed"),
        "settings": values,
        "sites": sites,
        "test": totals(plan.test) if plan.test else None,
        "server": totals(plan.server) if plan.server else None,
        "warnings": list(plan.warnings),
    }


def read_partition(sites: Path) -> dict[str, Any]:
    """`SITES/partition.json`; an error that says how to make one where it is missing or is none."""
    path = Path(sites) / "partition.json"
    if not path.is_file():
        raise DataError(f"{sites} is no partition (it has no partition.json): make one with `fedward partition`")
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("sites"), dict) or not value["sites"]:
        raise DataError(f"{path} names no sites: make the partition again with `fedward partition`")
    return value


def read_split(site_folder: Path, patients: Iterable[str], seed: int) -> Split:
    """A site's training and validation patients: its split.json, or the default split where it has none.

    Raises DataError where split.json is damaged, names a patient twice, or does not agree with the folder's patients.
    """
    patients = set(patients)
    path = Path(site_folder) / "split.json"
    if not path.is_file():
        if not patients:
            raise DataError(f"{site_folder} holds no patient: put the patients' folders there")
        return default_split(patients, seed)
    try:
        value = read_json(path)
    except FedwardError as error:
        raise DataError(str(error)) from error
    advice = "correct it, or delete it to get the default split"
    parts: list[Any] = [value.get(key) for key in ("train", "validation")] if isinstance(value, dict) else [None]
    if not all(isinstance(part, list) and all(isinstance(name, str) for name in part) for part in parts):
        raise DataError(f"{path} does not hold the lists 'train' and 'validation' of patients: {advice}")
    train, validation = (tuple(sorted(part)) for part in parts)
    named = [*train, *validation]
    if twice := [name for name, count in Counter(named).items() if count > 1]:
        raise DataError(f"{path} names {_some(twice)} twice: {advice}")
    if missing := set(named) - patients:
        raise DataError(f"{path} names {_some(missing)}, not in this folder: {advice}")
    if extra := patients - set(named):
        raise DataError(f"{path} does not name {_some(extra)}, in this folder: {advice}")
    if not train:
        raise DataError(f"{path} names no training patient: {advice}")
    return Split(train, validation)


def _some(names: Collection[str], most: int = 5) -> str:
    """The first names in order, and how many more there are: a set of X-rays may have thousands of patients."""
    first = ", ".join(sorted(names)[:most])
    return f"{first} and {len(names) - most:,} more" if len(names) > most else first
