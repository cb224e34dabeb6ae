"""`fedward check-data`: every problem of a data folder, before training."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from fedward.reports.formats import counted

MOST_SHOWN = 20  # problems of a kind


@click.command(
    "check-data",
    epilog="Examples: fedward check-data lgg kaggle_3m; fedward check-data chestxray14 sites/hospital-01 --json",
)
@click.argument("data_set")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
@click.option("--workers", default=0, type=click.IntRange(0), help="Processes that read; 0: one a core.")
def command(data_set: str, folder: Path, as_json: bool, workers: int) -> int:
    """Read every file of DATA_SET in DIR and list the problems by kind, each with file, reason and advice.

    DATA_SET: acdc, chestxray14, chexpert, image_folder, lgg or nifti_folder. Of each kind the first 20 are shown;
    --json gives all.

    Errors would stop training or make it wrong; warnings would not, but somebody should look. Exit code 0: no errors;
    1: errors; 2: wrong usage.
    """
    from fedward.datasets.registry import get_data_set

    result = get_data_set(data_set).check(folder, workers, as_json)
    if as_json:
        problems = [vars(problem) for problem in result.problems]
        summary = {"data_set": data_set, "folder": str(folder), "patients": result.patients, "images": result.images}
        summary |= {"findings": result.findings} if result.findings else {}
        counts = {"errors": result.errors, "warnings": len(problems) - result.errors}
        click.echo(json.dumps({**summary, **counts, "verdict": verdict(result), "problems": problems}, indent=1))
    else:
        show(result, folder)
    return 1 if result.errors else 0


def verdict(result: Any) -> str:
    """One line: what was read, how many problems, whether training can start."""
    warnings = len(result.problems) - result.errors
    read = f"{result.patients} patients, {result.images} images"
    if result.errors:
        found = f"{counted(result.errors, 'error')}, {counted(warnings, 'warning')}"
        return f"{read}: {found}. Put the errors right before training."
    if warnings:
        return f"{read}: no errors, {counted(warnings, 'warning')}. Training can start; look at the warnings."
    return f"{read}: no problems. Training can start."


def show(result: Any, folder: Path) -> None:
    """Print one table for each kind of problem, the images by finding where there are labels, then the verdict."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 140

    def key(problem: Any) -> tuple[str, str, str]:
        return problem.severity, problem.reason.partition(":")[0], problem.advice

    for (severity, kind, advice), group in groupby(sorted(result.problems, key=key), key=key):
        problems = list(group)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("file", overflow="fold")
        table.add_column("reason", overflow="fold")
        for problem in problems[:MOST_SHOWN]:
            path = Path(problem.path)
            shown = path.relative_to(folder) if path.is_relative_to(folder) and path != folder else path
            detail = problem.reason.partition(":")[2].strip() or problem.reason
            table.add_row(escape(str(shown)), escape(detail))
        colour = "red" if severity == "error" else "yellow"
        console.print(f"[bold {colour}]{severity}[/] [bold]{escape(kind)}[/] ({len(problems):,}): {escape(advice)}")
        console.print(table)
        if (more := len(problems) - MOST_SHOWN) > 0:
            console.print(f"... and {more:,} more: --json lists all\n", highlight=False)
    if result.findings and result.images:
        shown_counts = ", ".join(f"{name} {count:,}" for name, count in result.findings.items())
        console.print(f"Images by finding: {shown_counts}", soft_wrap=True, highlight=False)
    console.print(verdict(result), style="bold", soft_wrap=True, highlight=False)
