"""Table 1 of the DCEW paper on LGG images: one resumable row a (method, fold, seed).

    python benchmarks/lgg_table1/run.py --data DIR --work WORK [--methods dcew,fedavg] [--folds 1] [--seeds 1]

DIR is the Kaggle folder kaggle_3m (default: FEDWARD_DATA/lgg/kaggle_3m). Run folders are kept under WORK; a finished
row is skipped, an interrupted one goes on from its last round. Each finished row writes one JSON file into
benchmarks/results/lgg_table1, and the table there is written again.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what several benchmarks share

from row_runner import check_same_command

from fedward.reports.metrics import final_metrics
from fedward.rounds.run_folder import RunFolder, read_json, write_json

HERE = Path(__file__).resolve().parent
JOB = HERE.parents[1] / "jobs" / "lgg_segmentation" / "job.py"
RESULTS = HERE.parent / "results" / "lgg_table1"
METHODS = {
    "central": ["--mode", "central"],
    "fedavg": ["--scheme", "fedavg"],
    "costw": ["--scheme", "costw"],
    "costw_ce": ["--scheme", "costw_ce"],
    "dcew": ["--scheme", "dcew"],
    "half_uniform": ["--scheme", "half_uniform"],
    "uniform": ["--scheme", "uniform"],
    "fedpid": ["--scheme", "fedpid"],
    "local": ["--mode", "local"],
}


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="kaggle_3m folder.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for runs.")
@click.option("--methods", default=",".join(list(METHODS)[:6]), show_default=True)
@click.option("--folds", default="1", show_default=True, help="Of five, e.g. 1,2,3,4,5.")
@click.option("--seeds", default="1", show_default=True)
@click.option("--rounds", default=25, show_default=True)
@click.option("--image-size", default=64, show_default=True)
@click.option("--precision", default="bfloat16", show_default=True)
@click.option("--parallel", default=os.cpu_count() or 1, show_default="cores", help="Rows at once, one thread each.")
def main(
    data: Path | None,
    work: Path,
    methods: str,
    folds: str,
    seeds: str,
    rounds: int,
    image_size: int,
    precision: str,
    parallel: int,
) -> None:
    if data is None:
        if "FEDWARD_DATA" not in os.environ:
            raise click.UsageError("say where the images are: --data DIR, or the environment variable FEDWARD_DATA")
        data = Path(os.environ["FEDWARD_DATA"]) / "lgg" / "kaggle_3m"
    wanted = methods.split(",")
    if unknown := sorted(set(wanted) - set(METHODS)):
        raise click.UsageError(f"unknown methods {', '.join(unknown)}: known are {', '.join(METHODS)}")
    rows = []
    for fold in folds.split(","):
        sites = work / f"fold-{fold}"
        if not sites.exists():
            fedward("partition", "lgg", str(data), "--fold", fold, "--seed", "1", "--out", str(sites))
        fedward("preprocess", "lgg", str(data), "--cache", str(sites / "cache"), "--image-size", str(image_size))
        for method in wanted:
            for seed in seeds.split(","):
                name = f"{method}-fold-{fold}-seed-{seed}"
                arguments = [
                    *METHODS[method],
                    *("--env", "loop", "--rounds", str(rounds), "--image-size", str(image_size), "--seed", seed),
                    *("--precision", precision, "--threads", "1"),
                ]
                rows.append((name, sites, work / name, arguments))
    with ThreadPoolExecutor(parallel) as pool:
        outcomes = list(pool.map(lambda row: run_row(*row), rows))
    failed = [row[0] for row, well in zip(rows, outcomes, strict=True) if not well]
    finished = [str(run) for _, _, run, _ in rows if RunFolder(run).finished()]
    if finished:
        fedward("compare", *finished, "--out", str(RESULTS / "table.md"))
    if failed:
        raise click.ClickException(f"rows that failed (see WORK/NAME.log): {', '.join(failed)}")


def fedward(*arguments: str) -> None:
    """Call the command line of the installed package; its error ends the benchmark."""
    subprocess.run([sys.executable, "-m", "fedward", *arguments], check=True)


def run_row(name: str, sites: Path, run: Path, arguments: list[str]) -> bool:
    """Train one row unless it is finished, and write its result file. True where the row is finished."""
    check_same_command(run, command_of(arguments))
    if not (RunFolder(run).finished() and RunFolder(run).test.exists()):
        click.echo(f"{datetime.now(UTC):%H:%M:%S} begins  {name}")
        command = [sys.executable, str(JOB), *arguments, "--sites", str(sites), "--out", str(run)]
        with run.with_name(f"{name}.log").open("ab") as log:
            code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode
        if code:
            click.echo(f"{datetime.now(UTC):%H:%M:%S} FAILED  {name}, exit code {code}")
            return False
    write_result(name, RunFolder(run), arguments)
    click.echo(f"{datetime.now(UTC):%H:%M:%S} done    {name}")
    return True


def command_of(arguments: list[str]) -> str:
    return f"python jobs/lgg_segmentation/job.py {' '.join(arguments)} --sites SITES --out RUN"


def write_result(name: str, folder: RunFolder, arguments: list[str]) -> None:
    """Keep a row's figures, the command that made them, machine and date; nothing about single patients."""
    run, test = read_json(folder.run), read_json(folder.test)
    row = {
        "row": name,
        "command": command_of(arguments),
        "date": run["ended"],
        "seconds": run["seconds"],
        "optimizer_steps": run["optimizer_steps"],
        "machine": run["machine"],
        "versions": run["versions"],
        "test": {which: asdict(final_metrics(model)) for which, model in test["models"].items()},
    }
    write_json(RESULTS / f"{name}.json", row)


if __name__ == "__main__":
    main()
