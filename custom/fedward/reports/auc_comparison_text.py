"""A comparison of classification runs as Markdown for a file, as tables for the terminal, and as a chart."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from fedward.reports.compare_auc import AucComparison, AucRow, Estimate
from fedward.reports.comparison_text import markdown_table, terminal_table
from fedward.reports.formats import finding_name

if TYPE_CHECKING:
    from rich.table import Table

ONE_CLASS = "one class only"
DEFINITIONS = {
    "mean AUC": "mean of the findings' areas under the ROC curve on the test images, seeds and draws averaged; the "
    "95 % interval is that of 1,000 draws of patients, all images of a patient together",
    "minus ...": "difference of mean AUC to the reference on the same draws of patients; an interval that includes 0 "
    "decides nothing. It says how sure the difference is for these trained models, not over new trainings",
    "rounds to ...": "rounds until the validation mean AUC of the global model reaches that value, median over runs; – "
    "where it was not reached",
    "bytes": "of parameters in a run: received by the server, and sent by it",
}


def columns(comparison: AucComparison) -> list[str]:
    target = "target" if comparison.target is None else f"AUC {comparison.target:.3f}"
    return [
        "method",
        "runs",
        "mean AUC [95 % interval]",
        f"minus {comparison.reference} [95 % interval]",
        f"rounds to {target}",
        "bytes received",
        "bytes sent",
    ]


def row_cells(row: AucRow) -> list[str]:
    """The row of a method, one text for each of `columns`."""
    return [
        row.title,
        str(row.runs),
        interval_text(row.mean, "{:.4f}"),
        interval_text(row.difference, "{:+.4f}"),
        "–" if row.rounds is None else f"{row.rounds:g}",
        decimal(round(row.received)) if row.received else "–",
        decimal(round(row.sent)) if row.sent else "–",
    ]


def finding_rows(comparison: AucComparison) -> list[list[str]]:
    """A row a finding: its name, positive images, and the AUC of each method."""
    return [
        [
            finding_name(finding),
            f"{positives:,}",
            *(ONE_CLASS if (auc := row.findings[i]) is None else f"{auc:.3f}" for row in comparison.rows),
        ]
        for i, (finding, positives) in enumerate(zip(comparison.findings, comparison.positives, strict=True))
    ]


def heading(comparison: AucComparison) -> str:
    """What the table is about, with the numbers of patients and images."""
    chosen = "best on validation" if comparison.model == "best" else "after the last round"
    return (
        f"{comparison.model} model ({chosen}), {comparison.data_set}, {comparison.patients:,} test patients, "
        f"{comparison.images:,} images"
    )


def markdown(comparisons: list[AucComparison], chart: str | None = None) -> str:
    """The tables of each comparison, by finding too, the chart's file, definitions and notes."""
    lines = ["# Comparison of classification runs", ""]
    for comparison in comparisons:
        lines += [f"## {heading(comparison).capitalize()}", ""]
        lines += [*markdown_table(columns(comparison), map(row_cells, comparison.rows)), ""]
        by_finding = [["method", *map(finding_name, comparison.findings)]]
        by_method = list(zip(*finding_rows(comparison), strict=True))[1:]  # a row a method, a column a finding
        titles = ["positive images", *(row.title for row in comparison.rows)]
        rows = [[title, *cells] for title, cells in zip(titles, by_method, strict=True)]
        lines += [*markdown_table(by_finding[0], rows), ""]
    if chart:
        lines += ["## Validation mean AUC over the rounds", "", f"![Mean AUC against rounds]({chart})", ""]
    notes = list(dict.fromkeys(note for c in comparisons for note in c.notes))
    lines += ["## Notes", "", *(f"- {note}" for note in notes), ""] if notes else []
    lines += ["## Definitions", "", *(f"- **{name}**: {meaning}." for name, meaning in DEFINITIONS.items()), ""]
    return "\n".join(lines)


def terminal_tables(comparison: AucComparison) -> "list[Table]":
    """Rich tables: mean AUC, then by finding with a row each, because fourteen columns do not fit a screen."""
    titles = ["finding", "positive", *(row.title for row in comparison.rows)]
    return [
        terminal_table(columns(comparison), map(row_cells, comparison.rows), heading(comparison)),
        terminal_table(titles, finding_rows(comparison), "AUC by finding"),
    ]


def save_chart(comparison: AucComparison, path: Path) -> None:
    """Validation mean AUC against rounds of all methods, as PNG: thick the mean of a method's runs, thin each run."""
    from fedward.reports.charts import save_png
    from fedward.reports.classification_charts import auc_curves

    with auc_curves(comparison.curves, comparison.target) as figure:
        save_png(figure, path)


def interval_text(estimate: Estimate | None, style: str) -> str:
    """An estimate as "0.8123 [0.7990, 0.8241]", numbers in `style`; a dash where there is none."""
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return style.format(estimate.value)
    return f"{style.format(estimate.value)} [{style.format(estimate.low)}, {style.format(estimate.high)}]"
