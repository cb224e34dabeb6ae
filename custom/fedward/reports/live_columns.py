"""The columns of the live table, which follow from the task."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fedward.evaluation import DICE
from fedward.networks.registry import CLASSIFICATION, CONTRAST, PRETEXT, SEGMENTATION, STRUCTURES
from fedward.reports.formats import duration
from fedward.reports.metrics import detail, evaluation_iou, images_trained, mean_loss, number
from fedward.rounds.record import Record

LAST = 5  # rounds whose mean time says how long the others will take


class Row(NamedTuple):
    """What a row is made from: the last of the records so far; the number of rounds and the batch size, if known."""

    records: Sequence[Record]
    rounds: int | None
    batch_size: int | None

    @property
    def record(self) -> Record:
        return self.records[-1]

    @property
    def received(self) -> dict[str, Any]:
        return self.record.get("received") or {}

    @property
    def training(self) -> bool:
        return bool(self.record["kind"] == "training")


Column = tuple[str, Callable[[Row], str]]


def task_of_records(records: Sequence[Record]) -> str:
    """The task, from what its evaluations hold; segmentation where they hold nothing that tells."""
    evaluations = [record.get("received") for record in records]
    evaluations += [answer.get("start") for record in records for answer in record["answers"].values()]
    known = {name for e in evaluations if e for name in e.get("details") or {}}
    groups = {name.partition(".")[0] for name in known}
    if "knn.partition" in known or any("exchange" in record for record in records):
        return CONTRAST
    if groups & {"features", "knn"}:
        return PRETEXT
    if "dice" in groups:
        return STRUCTURES
    return CLASSIFICATION if groups & {"auc", "positives", "negatives"} else SEGMENTATION


def names(task: str) -> list[str]:
    return [name for name, _ in COLUMNS[task]]


def cells(task: str, row: Row) -> list[str]:
    """The texts of a row, one for each of the task's columns."""
    return [text(row) for _, text in COLUMNS[task]]


def _round(row: Row) -> str:
    if not row.training:
        return "final"
    number_ = row.record["round"]
    return f"{number_}/{row.rounds}" if row.rounds else str(number_)


def _sites(row: Row) -> str:
    counted = len(row.record.get("weights") or {}) if row.training else len(row.record["answers"])
    return f"{counted}/{len(row.record.get('asked') or ()) or counted}"


def _speed(row: Row) -> str:
    """Images of all sites a second of the round: they train at once, or in the loop one after the other."""
    images = [n for a in row.record["answers"].values() if (n := images_trained(a, row.batch_size)) is not None]
    seconds = number(row.record.get("seconds"))
    return _text(sum(images) / seconds if row.training and images and seconds else None, "{:,.0f}")


def _left(row: Row) -> str:
    """Rounds to come, each as long as the mean of the last ones."""
    seconds = [s for r in row.records[-LAST:] if r["kind"] == "training" and (s := number(r.get("seconds")))]
    if not row.training or not row.rounds or not seconds:
        return "–"
    return duration((row.rounds - row.record["round"]) * sum(seconds) / len(seconds))


def _lowest_dice(row: Row) -> str:
    details = row.received.get("details") or {}
    known = [value for name in details if name.startswith(DICE) and (value := detail(row.received, name)) is not None]
    return _text(min(known, default=None), "{:.3f}")


def _banks(row: Row) -> str:
    """Sites whose features were there in this round, of those asked; a dash in a round without an exchange."""
    banks = (row.record.get("exchange") or {}).get("banks")
    return "–" if banks is None else f"{len(banks)}/{len(row.record.get('asked') or banks)}"


def _text(value: float | None, style: str) -> str:
    return "–" if value is None else style.format(value)


def _received(name: str, key: str, style: str) -> Column:
    return name, lambda row: _text(number(row.received.get(key)), style)


def _detail(name: str, key: str, style: str) -> Column:
    return name, lambda row: _text(detail(row.received, key), style)


BEGIN: tuple[Column, ...] = (
    ("round", _round),
    ("sites", _sites),
    ("time", lambda row: _text(number(row.record.get("seconds")), "{:.1f} s")),
    ("loss", lambda row: _text(mean_loss(row.record) if row.training else None, "{:.4f}")),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    SEGMENTATION: (
        *BEGIN,
        _received("cost", "cost", "{:.4f}"),
        _received("Dice", "quality", "{:.3f}"),
        ("IoU", lambda row: _text(evaluation_iou(row.received), "{:.3f}")),
    ),
    CLASSIFICATION: (
        *BEGIN,
        _received("cost", "cost", "{:.4f}"),
        _received("AUC", "quality", "{:.3f}"),
        ("left", _left),
    ),
    PRETEXT: (
        *BEGIN,
        _received("val. loss", "cost", "{:.4f}"),
        _detail("feature std", "features.std", "{:.4f}"),
        _detail("rank", "features.rank", "{:.1f}"),
        _detail("k-NN AUC", "knn.auc", "{:.3f}"),
        ("images/s", _speed),
        ("left", _left),
    ),
    STRUCTURES: (
        *BEGIN,
        _received("cost", "cost", "{:.4f}"),
        _received("Dice", "quality", "{:.3f}"),
        ("lowest", _lowest_dice),
        ("left", _left),
    ),
    CONTRAST: (
        *BEGIN,
        _received("val. loss", "cost", "{:.4f}"),
        _detail("partition", "knn.partition", "{:.3f}"),
        _detail("rank", "features.rank", "{:.1f}"),
        ("features of", _banks),
        ("slices/s", _speed),
        ("left", _left),
    ),
}
