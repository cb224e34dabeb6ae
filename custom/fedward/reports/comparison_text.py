"""A comparison as Markdown for a file and as tables for the terminal, beside the paper's Table 1."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.filesize import decimal

from fedward.reports.compare import TITLES, Comparison, Difference, MethodRow
from fedward.reports.metrics import DEFINITIONS

if TYPE_CHECKING:
    from rich.table import Table

# Table 1 of the DCEW paper, as fractions: method -> (IoU, Dice).
PUBLISHED = {
    "central": (0.3745, 0.5449),
    "fedavg": (0.3017, 0.4632),
    "costw_ce": (0.3695, 0.5396),
    "dcew": (0.3698, 0.5399),
}
PUBLISHED_NOTE = (
    "Published: Table 1 of the paper, on other splits of the data and one grey channel, one seed; IoU and Dice only. "
    "Not comparable with our columns in absolute terms."
)
COLUMNS = (
    "method",
    "runs",
    "pooled IoU",
    "pooled Dice",
    "mean patient Dice",
    "median patient Dice",
    "worst hospital",
    "rounds to 95 %",
    "bytes",
    "published IoU",
    "published Dice",
)
SHORT_COLUMNS = (
    "method",
    "runs",
    "IoU",
    "Dice",
    "patient\nmean",
    "patient\nmedian",
    "worst\nhospital",
    "rounds\nto 95 %",
    "bytes",
    "paper\nIoU",
    "paper\nDice",
)
DIFFERENCES = ("method", "minus FedAvg [95 % interval]", "minus half-uniform [95 % interval]", "gap closed")
MORE_DEFINITIONS = {
    "worst hospital": DEFINITIONS["worst hospital"] + " (its name, number of patients)",
    "rounds to 95 %": "rounds until the pooled validation Dice of the global model reaches 95 % of the best of "
    "centralised training on the same fold; median over runs, – where not reached or no centralised run",
    "minus FedAvg": "difference of mean patient Dice with the 95 % interval of a paired bootstrap over patients "
    "(10,000 draws, seeds averaged); an interval that includes 0 decides nothing",
    "gap closed": "(method − FedAvg) / (centralised − FedAvg) of mean patient Dice, given only where the interval of "
    "centralised − FedAvg lies above 0",
}


def row_cells(row: MethodRow) -> list[str]:
    """The row of a method, one text for each of COLUMNS."""
    published = PUBLISHED.get(row.method, (None, None))
    name, value, patients = row.worst
    return [
        row.title,
        str(row.runs),
        _fraction(row.iou),
        _fraction(row.dice),
        _fraction(row.mean),
        _fraction(row.median),
        f"{value:.4f} ({name}, {patients})",
        "–" if row.rounds is None else f"{row.rounds:g}",
        decimal(round(row.bytes)) if row.bytes else "–",
        *(_fraction(p) for p in published),
    ]


def difference_cells(row: MethodRow) -> list[str]:
    """The differences of a method, one text for each of DIFFERENCES."""
    gap = "–" if row.gap is None else f"{100 * row.gap:.0f} %"
    return [row.title, _interval(row.against_reference), _interval(row.against_control), gap]


def missing_rows(comparison: Comparison) -> list[list[str]]:
    """Rows of the paper's table that no run was given for: its numbers stand alone."""
    given = {row.method for row in comparison.rows}
    blank = ["–"] * (len(COLUMNS) - 3)
    return [
        [f"{TITLES[m]} (no run given)", *blank, *(_fraction(p) for p in values)]
        for m, values in PUBLISHED.items()
        if m not in given
    ]


def heading(comparison: Comparison) -> str:
    """What the table is about, with the number of patients."""
    folds = "1 fold" if comparison.folds == 1 else f"{comparison.folds} folds"
    chosen = "best on validation" if comparison.model == "best" else "after the last round"
    return f"{comparison.model} model ({chosen}), {comparison.data_set}, {comparison.patients} test patients, {folds}"


def markdown(comparisons: list[Comparison]) -> str:
    """The tables of each comparison, differences, definitions and notes."""
    lines = ["# Comparison of methods", ""]
    for comparison in comparisons:
        table = [row_cells(row) for row in comparison.rows] + missing_rows(comparison)
        lines += [f"## {heading(comparison).capitalize()}", "", *markdown_table(COLUMNS, table), ""]
        lines += [*markdown_table(DIFFERENCES, [difference_cells(row) for row in comparison.rows]), ""]
    notes = [PUBLISHED_NOTE, *dict.fromkeys(note for c in comparisons for note in c.notes)]
    lines += ["## Notes", "", *(f"- {note}" for note in notes), ""]
    definitions = {k: v for k, v in DEFINITIONS.items() if k in COLUMNS} | MORE_DEFINITIONS
    lines += ["## Definitions", "", *(f"- **{name}**: {meaning}." for name, meaning in definitions.items()), ""]
    return "\n".join(lines)


def terminal_tables(comparison: Comparison) -> "list[Table]":
    """Rich tables: numbers, then differences."""
    numbers = [row_cells(r) for r in comparison.rows] + missing_rows(comparison)
    differences = [difference_cells(r) for r in comparison.rows]
    return [
        terminal_table(SHORT_COLUMNS, numbers, heading(comparison)),
        terminal_table(DIFFERENCES, differences, "Differences of mean patient Dice"),
    ]


def terminal_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> "Table":
    """A rich table; its cells are text, not markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; what a cell holds cannot break it."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(columns), line(["---", *["---:"] * (len(columns) - 1)]), *(line(row) for row in rows)]


def _fraction(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    return f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
