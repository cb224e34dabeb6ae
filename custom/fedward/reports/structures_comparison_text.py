"""A comparison of segmentations into structures as Markdown, as tables for the terminal, and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from fedward.reports.auc_comparison_text import interval_text
from fedward.reports.compare_structures import StructuresComparison, StructuresRow
from fedward.reports.comparison_text import markdown_table, terminal_table
from fedward.reports.formats import finding_name

if TYPE_CHECKING:
    from rich.table import Table

DEFINITIONS = {
    "Dice": "of a structure's voxels in one scan, mean over a patient's scans and then over the test patients, seeds "
    "and draws averaged; the mean is over the structures of each scan. The 95 % interval is that of 1,000 draws of "
    "patients, all scans of a patient together",
    "minus ...": "mean difference to the reference over the patients, on the same draws; an interval that includes 0 "
    "decides nothing. It says how sure the difference is for these trained models, not over new trainings",
    "HD95": "95 % Hausdorff distance in mm, of the structures of scans that have one in every run compared",
    "bytes": "of model updates that the server received in a run",
}
COLUMNS = ("method", "runs", "mean Dice [95 % interval]", "HD95, mm [95 % interval]", "bytes received")


def row_cells(row: StructuresRow) -> list[str]:
    """The row of a method, one text for each of COLUMNS."""
    return [
        row.title,
        str(row.runs),
        interval_text(row.mean.dice, "{:.4f}"),
        interval_text(row.mean.hd95, "{:.1f}"),
        decimal(round(row.received)) if row.received else "–",
    ]


def structure_columns(comparison: StructuresComparison) -> list[str]:
    return ["method", *(finding_name(name) for name in comparison.structures), "mean"]


def dice_rows(comparison: StructuresComparison) -> list[list[str]]:
    """Dice of each structure, a row a method; one text for each of `structure_columns`."""
    return [
        [row.title, *(interval_text(scores.dice, "{:.3f}") for scores in (*row.structures, row.mean))]
        for row in comparison.rows
    ]


def difference_rows(comparison: StructuresComparison) -> list[list[str]]:
    """Differences of Dice to the reference, a row a method; none for the reference itself."""
    return [
        [row.title, *(interval_text(scores.difference, "{:+.4f}") for scores in (*row.structures, row.mean))]
        for row in comparison.rows
        if row.title != comparison.reference
    ]


def heading(comparison: StructuresComparison) -> str:
    """What the table is about, with the numbers of patients and scans."""
    chosen = "best on validation" if comparison.model == "best" else "after the last round"
    return (
        f"{comparison.model} model ({chosen}), {comparison.data_set}, {comparison.patients:,} test patients, "
        f"{comparison.scans:,} scans"
    )


def markdown(comparisons: list[StructuresComparison], picture: str | None = None) -> str:
    """The tables of each comparison, the picture's file, notes and definitions."""
    lines = ["# Comparison of segmentations into structures", ""]
    for comparison in comparisons:
        names, differences = structure_columns(comparison), difference_rows(comparison)
        lines += [f"## {heading(comparison).capitalize()}", ""]
        lines += [*markdown_table(COLUMNS, map(row_cells, comparison.rows)), ""]
        lines += ["Dice:", "", *markdown_table(names, dice_rows(comparison)), ""]
        if differences:
            lines += [f"Dice minus {comparison.reference}:", "", *markdown_table(names, differences), ""]
    if picture:
        lines += ["## Picture", "", f"![Dice of each structure by method]({picture})", ""]
    notes = list(dict.fromkeys(note for c in comparisons for note in c.notes))
    lines += ["## Notes", "", *(f"- {note}" for note in notes), ""] if notes else []
    lines += ["## Definitions", "", *(f"- **{name}**: {meaning}." for name, meaning in DEFINITIONS.items()), ""]
    return "\n".join(lines)


def terminal_tables(comparison: StructuresComparison) -> "list[Table]":
    """Rich tables: the means, Dice of each structure, and the differences."""
    names, differences = structure_columns(comparison), difference_rows(comparison)
    tables = [
        terminal_table(COLUMNS, map(row_cells, comparison.rows), heading(comparison)),
        terminal_table(names, dice_rows(comparison), "Dice"),
    ]
    return tables + ([terminal_table(names, differences, f"Dice minus {comparison.reference}")] if differences else [])


def save_picture(comparison: StructuresComparison, path: Path) -> None:
    """Dice of each structure by method with its interval, as PNG."""
    from fedward.reports.charts import save_png
    from fedward.reports.structures_charts import by_method

    groups = [*map(finding_name, comparison.structures), "mean"]
    methods = {row.title: [scores.dice for scores in (*row.structures, row.mean)] for row in comparison.rows}
    with by_method(groups, methods) as figure:
        save_png(figure, path)
