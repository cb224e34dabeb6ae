"""`fedward compare`: several runs side by side, beside the published table."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fedward.reports.run_data import Run


@click.command(
    "compare",
    epilog="Examples: fedward compare runs/central runs/fedavg runs/dcew --out comparison.md; "
    "fedward compare runs/random runs/moco-v2 --reference runs/random",
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the tables to this Markdown file, and a chart (PNG) beside it but for tumours.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Classification, structures: the RUN whose method the others are compared with.  [default: the first]",
)
@click.option(
    "--target-auc",
    type=click.FloatRange(0, 1, min_open=True),
    help="Classification: count rounds to this validation mean AUC.  [default: that of the reference's last model]",
)
def command(runs: tuple[Path, ...], out: Path | None, reference: Path | None, target_auc: float | None) -> None:
    """Compare finished RUNs on the same test patients, for the best model and, where it is another, the last.

    Runs of one method on different folds are put together (segmentation), its seeds are averaged. Runs that were tested
    on different patients are refused, as are runs of different tasks.
    """
    from fedward.errors import UsageError
    from fedward.networks.registry import CLASSIFICATION, STRUCTURES
    from fedward.reports.methods import one_task
    from fedward.reports.run_data import load_run

    if len({run.resolve() for run in runs}) < len(runs):
        raise UsageError("a run folder is named twice: name each once")
    loaded = [load_run(run) for run in runs]
    task = one_task(loaded)
    if target_auc is not None and task != CLASSIFICATION:
        raise UsageError("--target-auc is for classification: leave it out for other runs")
    if task not in (CLASSIFICATION, STRUCTURES):
        if reference is not None:
            raise UsageError("--reference is for classification and structures: leave it out for other runs")
        _segmentations(loaded, out)
        return
    places = [run.resolve() for run in runs]
    if reference is not None and reference.resolve() not in places:
        raise UsageError(f"--reference {reference} is none of the runs named: name it among them too")
    chosen = loaded[places.index(reference.resolve())] if reference is not None else None
    if task == CLASSIFICATION:
        _classifications(loaded, chosen, target_auc, out)
    else:
        _structures(loaded, chosen, out)


def _segmentations(runs: "list[Run]", out: Path | None) -> None:
    from fedward.reports.compare import compare_runs
    from fedward.reports.comparison_text import PUBLISHED_NOTE, markdown, terminal_tables
    from fedward.reports.methods import models_to_compare
    from fedward.rounds.run_folder import write_bytes

    comparisons = [compare_runs(runs, model) for model in models_to_compare(runs)]
    _check_own(out)
    if out is not None:  # before printing: a path that cannot be written should not hide behind a screen of tables
        write_bytes(out, markdown(comparisons).encode())
    notes = [PUBLISHED_NOTE, *(note for c in comparisons for note in c.notes)]
    _show([table for c in comparisons for table in terminal_tables(c)], notes, [out] if out else [])


def _classifications(runs: "list[Run]", reference: "Run | None", target: float | None, out: Path | None) -> None:
    from fedward.reports.auc_comparison_text import markdown, save_chart, terminal_tables
    from fedward.reports.compare_auc import compare_classifications
    from fedward.reports.methods import models_to_compare
    from fedward.rounds.run_folder import write_bytes

    comparisons = [compare_classifications(runs, model, reference, target) for model in models_to_compare(runs)]
    written = [out, out.with_suffix(".png")] if out else []
    _check_own(*written)
    if written:
        write_bytes(written[0], markdown(comparisons, written[1].name).encode())
        save_chart(comparisons[0], written[1])
    tables = [table for c in comparisons for table in terminal_tables(c)]
    _show(tables, [note for c in comparisons for note in c.notes], written)


def _structures(runs: "list[Run]", reference: "Run | None", out: Path | None) -> None:
    from fedward.reports.compare_structures import compare_structures
    from fedward.reports.methods import models_to_compare
    from fedward.reports.structures_comparison_text import markdown, save_picture, terminal_tables
    from fedward.rounds.run_folder import write_bytes

    comparisons = [compare_structures(runs, model, reference) for model in models_to_compare(runs)]
    written = [out, out.with_suffix(".png")] if out else []
    _check_own(*written)
    if written:
        write_bytes(written[0], markdown(comparisons, written[1].name).encode())
        save_picture(comparisons[0], written[1])
    tables = [table for c in comparisons for table in terminal_tables(c)]
    _show(tables, [note for c in comparisons for note in c.notes], written)


def _check_own(out: Path | None = None, chart: Path | None = None) -> None:
    """UsageError where a file would be replaced that is no earlier comparison. The chart goes with its tables."""
    from fedward.errors import UsageError

    if out is not None and out == chart:
        raise UsageError(f"--out {out} is the name of the chart: give one that ends in .md")
    foreign = None
    if out is not None and out.exists():
        with out.open(encoding="utf-8", errors="replace") as file:
            foreign = None if file.readline().startswith("# Comparison of ") else out
    elif chart is not None and chart.exists():
        foreign = chart
    if foreign is not None:
        raise UsageError(
            f"{foreign} exists and was not written by fedward compare: give another --out, or move the file"
        )


def _show(tables: Iterable[Any], notes: Iterable[str], written: Iterable[Path]) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a pipe has no width that tables must be squeezed into
    for table in tables:
        console.print(table)
        console.print()
    for note in dict.fromkeys(notes):
        console.print(f"Note: {note}", markup=False, highlight=False)
    for path in written:
        console.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)
