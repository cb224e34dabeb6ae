"""`fedward compare`: several runs side by side, beside the published table."""

from pathlib import Path

import click


@click.command(
    "compare",
    epilog="Example: fedward compare runs/central runs/fedavg runs/dcew --out comparison.md",
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the tables to this Markdown file.")
def command(runs: tuple[Path, ...], out: Path | None) -> None:
    """Compare finished RUNs on the same test patients, for the best and the last model.

    Runs of one method on different folds are put together, its seeds on one fold are averaged. Runs that were tested on
    different patients are refused.
    """
    from rich.console import Console

    from fedward.errors import UsageError
    from fedward.reports.compare import compare_runs
    from fedward.reports.comparison_text import PUBLISHED_NOTE, markdown, terminal_tables
    from fedward.reports.run_data import load_run
    from fedward.rounds.run_folder import write_bytes

    if len({run.resolve() for run in runs}) < len(runs):
        raise UsageError("a run folder is named twice: name each once")
    loaded = [load_run(run) for run in runs]
    comparisons = [compare_runs(loaded, model) for model in ("best", "last")]
    if out is not None:  # before printing: a path that cannot be written should not hide behind a screen of tables
        write_bytes(out, markdown(comparisons).encode())
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a pipe has no width that tables must be squeezed into
    for comparison in comparisons:
        for table in terminal_tables(comparison):
            console.print(table)
            console.print()
    for note in dict.fromkeys([PUBLISHED_NOTE, *(note for c in comparisons for note in c.notes)]):
        console.print(f"Note: {note}", markup=False, highlight=False)
    if out is not None:
        console.print(f"Written: {out}", markup=False, highlight=False, soft_wrap=True)
