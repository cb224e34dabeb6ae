"""Laying out and training the rows of FCL, for the benchmarks that have them."""

import os
from pathlib import Path

import click
import fcl_results
import fcl_rows
from row_runner import RANDOM, Row, fedward, make_partition, run_all, train_row, words


def numbers(option: str, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.UsageError(f"{option} must be whole numbers, such as 1,2, not {value!r}") from None


def columns_of(preset: fcl_rows.Preset, patients: str | None) -> tuple[int, ...]:
    """The columns asked for; UsageError where the preset has no such one."""
    asked = numbers("--patients", patients) if patients else preset.patients
    if beyond := sorted(set(asked) - set(preset.patients)):
        known = ", ".join(str(value) for value in preset.patients)
        raise click.UsageError(f"--patients {beyond[0]}: the hospitals of preset {preset.name} label {known}")
    return asked


def prepare(preset: fcl_rows.Preset, data: Path | None, work: Path, phantoms: bool = False) -> None:
    """Lay the data and the partition out under WORK, unless they are."""
    work.mkdir(parents=True, exist_ok=True)
    if phantoms:
        if not (work / "acdc").exists():
            fedward("phantoms", "acdc", str(work / "acdc"), *words("--patients 82 --slices 4 --size 160"))
    else:
        link_patients(find_data(data) / preset.data, work / "acdc", preset.left_out)
    make_partition(fcl_rows.SITES, fcl_rows.partition(preset), work, work)


def find_data(data: Path | None) -> Path:
    if data is None and "FEDWARD_DATA" not in os.environ:
        raise click.UsageError("say where the images are: --data DIR, or the environment variable FEDWARD_DATA")
    return data or Path(os.environ["FEDWARD_DATA"])


def link_patients(source: Path, target: Path, left_out: tuple[str, ...]) -> None:
    """Links to the folders of all patients but those left out."""
    if not source.is_dir():
        raise click.UsageError(f"there is no {source}: give the folder that holds it with --data")
    target.mkdir(exist_ok=True)
    for folder in sorted(source.iterdir()):
        link = target / folder.name
        if folder.is_dir() and folder.name not in left_out and not link.exists():
            link.symlink_to(folder.resolve(), target_is_directory=True)


def train(wanted: list[Row], preset: fcl_rows.Preset, work: Path, parallel: int) -> list[str]:
    """Train what is missing of the rows; the names of those that failed."""

    def work_on(row: Row) -> bool:
        start = None if row.start == RANDOM else work / f"pretraining-{row.start}"
        return train_row(row, work, start, lambda run: fcl_results.write_result(row, preset, run))

    return run_all(wanted, parallel, work_on)
