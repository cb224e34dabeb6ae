"""Which features the sites of a run gave each other, from the round records. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedward.reports.metrics import number
from fedward.rounds.record import Record, training_records


@dataclass(frozen=True)
class ExchangeRow:
    """One site over the whole run; `rows` is None where no features of its own were ever there.

    rows      features in its last table
    offered   exchanges in which it offered a table, of `asked`
    bytes     of features that it sent, all rounds; received: of the others' features that it got
    stale     rounds in which an earlier table of its stood in, and `oldest`, how many rounds old the oldest was
    """

    site: str
    rows: int | None
    offered: int
    asked: int
    bytes: int
    received: int
    stale: tuple[int, ...]
    oldest: int


def exchanges(records: Sequence[Record]) -> list[tuple[int, Record]]:
    """(round, what its record says of the exchange before it) of each round that had one."""
    return [(r["round"], r["exchange"]) for r in training_records(list(records)) if r.get("exchange")]


def exchange_rows(records: Sequence[Record]) -> list[ExchangeRow]:
    """One row a site that was asked for features, sorted by name; none in a run without an exchange."""
    found = exchanges(records)
    return [_row(site, found) for site in sorted({site for _, exchange in found for site in exchange["sent"]})]


def _row(site: str, found: Sequence[tuple[int, Record]]) -> ExchangeRow:
    banks = [(done, exchange["banks"][site]) for done, exchange in found if site in exchange["banks"]]
    fresh = [bank for _, bank in banks if not bank.get("age")]
    old = {done: int(bank["age"]) for done, bank in banks if bank.get("age")}
    return ExchangeRow(
        site=site,
        rows=int(number(banks[-1][1].get("rows")) or 0) if banks else None,
        offered=len(fresh),
        asked=sum(site in exchange["sent"] for _, exchange in found),
        bytes=int(sum(number(bank.get("bytes")) or 0 for bank in fresh)),
        received=int(sum(number(exchange["sent"].get(site)) or 0 for _, exchange in found)),
        stale=tuple(old),
        oldest=max(old.values(), default=0),
    )
