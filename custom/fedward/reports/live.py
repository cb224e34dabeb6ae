"""The rounds of a run on the terminal, as they finish: a live table, or plain lines where output is no terminal."""

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedward.reports.live_columns import Row, cells, names, task_of_records
from fedward.reports.metrics import number
from fedward.rounds.record import Record

BLOCKS = "▁▂▃▄▅▆▇█"
SECOND_TERM = "Note: from the first exchange on the loss has a second term, against other hospitals' features: it rises"
OTHER_LINES = 8  # headings, rules and the note around the rounds and hospitals


class LiveTable:
    """Shows each record that `add` is given; used as a context manager.

    `rounds` is None where their number is not known; images per second need the `batch_size`; without a `task` the
    columns follow from what the records hold. Cost, Dice, AUC and the like are those of the model the round received,
    so the last global model has a line of its own. On a terminal the latest rounds that fit are redrawn, with each
    hospital's last weight below; the whole table is left behind at the end. Elsewhere (a pipe, a log) every record is
    one plain line. Warnings and notes are told once.
    """

    def __init__(
        self,
        rounds: int | None,
        console: Console | None = None,
        batch_size: int | None = None,
        task: str | None = None,
    ):
        self.rounds = rounds
        self.task = task
        self.batch_size = batch_size
        self.console = console or Console()
        self.records: list[Record] = []
        self._told: set[str] = set()
        self._live = Live(console=self.console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "LiveTable":
        if self.console.is_terminal:
            self._live.start()
        return self

    def add(self, record: Record) -> None:
        """Show one more record."""
        self.records.append(record)
        self._warn(record)
        self._note(record)
        if self.console.is_terminal:
            self._live.update(self._table(fitting=True), refresh=True)
        else:
            self.console.print(
                plain_line(self._row(len(self.records)), self.task), soft_wrap=True, highlight=False, markup=False
            )

    def _warn(self, record: Record) -> None:
        """One line for each new sentence, with every site that said it: ten hospitals often say the same."""
        news: dict[str, list[str]] = {}
        for warning in record.get("warnings") or ():
            site, message = str(warning.get("site") or "server"), str(warning.get("message"))
            if f"{site}: {message}" not in self._told:
                self._told.add(f"{site}: {message}")
                news.setdefault(message, []).append(site)
        for message, sites in news.items():
            text = f"Warning: {', '.join(sites)}: {message}"
            self.console.print(text, style="yellow", soft_wrap=True, highlight=False, markup=False)

    def _note(self, record: Record) -> None:
        """Say once why the loss rises where features of others come in."""
        if len((record.get("exchange") or {}).get("banks") or ()) > 1 and SECOND_TERM not in self._told:
            self._told.add(SECOND_TERM)
            self.console.print(SECOND_TERM, soft_wrap=True, highlight=False, markup=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            if self.records:
                self._live.vertical_overflow = "visible"
                self._live.update(self._table(fitting=False), refresh=True)
            self._live.stop()

    def _table(self, fitting: bool) -> Group:
        sites = sorted({site for record in self.records for site in record.get("weights") or {}})
        room = max(self.console.height - len(sites) - OTHER_LINES, 3) if fitting else len(self.records)
        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        task = self.task or task_of_records(self.records)
        for name in names(task):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("weights", no_wrap=True)
        for done in range(max(len(self.records) - room, 0) + 1, len(self.records) + 1):
            table.add_row(*cells(task, self._row(done)), weight_bars(self.records[done - 1], sites))
        last = next((r for r in reversed(self.records) if r.get("weights")), None)
        return Group(table, *([_weights_table(last, sites)] if last else []))

    def _row(self, done: int) -> Row:
        return Row(self.records[:done], self.rounds, self.batch_size)


def plain_line(row: Row, task: str | None = None) -> str:
    """A record as one line for a log."""
    record, task = row.record, task or task_of_records(row.records)
    weights = " ".join(f"{site}={100 * w:.1f}%" for site, w in sorted((record.get("weights") or {}).items()))
    line = "  ".join(f"{name} {value}" for name, value in zip(names(task), cells(task, row), strict=True))
    left_out = [*(record.get("refused") or {}), *(record.get("missing") or {})]
    return line + (f"  weights {weights}" if weights else "") + (f"  without {' '.join(left_out)}" if left_out else "")


def weight_bars(record: Record, sites: list[str]) -> Text:
    """One small bar a site, in order of name, scaled to the round's largest weight; × refused, - not there."""
    weights = {s: w for s, v in (record.get("weights") or {}).items() if (w := number(v)) is not None}
    largest = max(weights.values(), default=0.0)
    text = Text()
    for site in sites if weights else []:
        if site not in weights:
            refused = site in (record.get("refused") or {})
            text.append("× " if refused else "- ", style="red")
            continue
        level = max(weights[site], 0.0) / largest if largest > 0 else 0.0
        text.append(BLOCKS[round(level * (len(BLOCKS) - 1))] + " ", style="cyan")
    return text


def _weights_table(record: Record, sites: list[str]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title_justify="left", title_style="dim")
    table.title = f"\nWeights in round {record['round']}"
    largest = max((number(w) or 0.0 for w in record["weights"].values()), default=0.0)
    for site in sites:
        weight = number(record["weights"].get(site))
        bar = ProgressBar(total=max(largest, 1e-12), completed=max(weight or 0.0, 0.0), width=30, style="black")
        why = "refused" if site in (record.get("refused") or {}) else "no answer"
        table.add_row(Text(site), bar, why if weight is None else f"{100 * weight:.1f} %")
    return table
