"""What the benchmarks of whole trainings share: a row is one training, run in a process of its own and only once."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from fedward.rounds.run_folder import RunFolder

JOBS = Path(__file__).resolve().parents[1] / "jobs"
RANDOM = "random"
REGISTERING = threading.Lock()  # the register of a SITES folder is one file


@dataclass(frozen=True)
class Row:
    """One training.

    sites  folder below WORK that `fedward partition` makes
    start  the random start, or the name under which what it begins with is registered: a pretraining's or a file's
    """

    name: str
    job: str
    sites: str
    start: str
    arguments: tuple[str, ...]
    seed: int = 1


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def check_same_command(place: Path, command: str) -> None:
    """Note what makes `place`, a folder of WORK; ClickException where it is there and something else made it.

    Rows have the same names in every preset: without this a result would be published under another one's command.
    """
    note = place.with_name(f"{place.name}.command")
    if not place.exists():
        note.write_text(command, encoding="utf-8")
        return
    before = note.read_text(encoding="utf-8") if note.is_file() else "a command that is not known"
    if before != command:
        raise click.ClickException(f"{place} was made by\n  {before}\nand not by\n  {command}\nUse another --work.")


def make_partition(name: str, arguments: tuple[str, ...], data: Path, work: Path) -> None:
    check_same_command(work / name, f"fedward partition {' '.join(arguments)}")
    if not (work / name).exists():
        filled = [argument.format(data=data, work=work) for argument in arguments]
        fedward("partition", *filled, "--out", str(work / name))


def fedward(*arguments: str) -> None:
    """Call the command line of the installed package; its error ends the benchmark."""
    subprocess.run([sys.executable, "-m", "fedward", *arguments], check=True)


def run_all(wanted: Sequence[Row], parallel: int, work_on: Callable[[Row], bool]) -> list[str]:
    """Run rows in their order, each once its start is there; the names of those that failed or lack their start."""
    waiting, missing = list(wanted), {row.name for row in wanted}
    running: dict[Future[bool], Row] = {}
    failed: list[str] = []
    with ThreadPoolExecutor(parallel) as pool:
        while waiting or running:
            for row in [row for row in waiting if f"pretraining-{row.start}" not in missing]:
                if len(running) < parallel:
                    waiting.remove(row)
                    running[pool.submit(work_on, row)] = row
            if not running:
                return [*failed, *(row.name for row in waiting)]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                row = running.pop(future)
                if future.result():
                    missing.remove(row.name)
                else:
                    failed.append(row.name)
    return failed


def train_row(row: Row, work: Path, start: Path | None, write: Callable[[RunFolder], None]) -> bool:
    """Train one row unless it is finished, and write its result. True where the row is finished.

    start  run folder or file of the weights that it begins with; None: the random ones

    ClickException where WORK holds a row of this name that another command trained.
    """
    check_same_command(work / row.name, command_of(row))
    run, sites = RunFolder(work / row.name), work / row.sites
    if not (run.finished() and (run.test.exists() or run.report.exists())):  # a local pretraining has no test
        say(f"begins  {row.name}")
        with (work / f"{row.name}.log").open("ab") as log:
            if start is not None and not register(row.start, start, sites, log):
                return False
            if subprocess.run(job_command(row, sites, run.root), stdout=log, stderr=subprocess.STDOUT).returncode:
                say(f"FAILED  {row.name}")
                return False
    write(run)
    say(f"done    {row.name}")
    return True


def command_of(row: Row) -> str:
    """What trains this row, once `fedward partition` has made its sites and its start is registered."""
    start = "" if row.start == RANDOM else f" --starting-weights {row.start}"
    arguments = f"{' '.join(row.arguments)}{start} --env loop --threads 1 --seed {row.seed}"
    return f"python jobs/{row.job}/job.py {arguments} --sites {row.sites} --out RUN"


def job_command(row: Row, sites: Path, out: Path) -> list[str]:
    command = [sys.executable, str(JOBS / row.job / "job.py"), *row.arguments, "--starting-weights", row.start]
    command += words(f"--env loop --threads 1 --seed {row.seed}")
    return [*command, "--sites", str(sites), "--out", str(out)]


def register(start: str, source: Path, sites: Path, log: object) -> bool:
    """Make weights known to the sites under the name of the start."""
    command = [sys.executable, "-m", "fedward", "register-weights", start, str(source), "--sites", str(sites)]
    with REGISTERING:
        return not subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode  # type: ignore[call-overload]


def say(text: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {text}")
