"""Features that sites offer each other between rounds: which are taken, whose are still good, who gets which.

    BANKS/SITE.npy   the last good features of a site: rows, partitions, then round and noise, one after the other

One file a site, replaced whole: what is kept grows with the banks and not with the rounds, and survives a crash. Rows
are mapped into memory, not read.
"""

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.contrast.settings import ContrastSettings
from fedward.errors import FedwardError, RefusedUpdate
from fedward.rounds.open_round import OpenRound
from fedward.rounds.record import Record
from fedward.rounds.run_folder import write_bytes
from fedward.settings import RunSettings

WIDTH = 128  # numbers of a feature, as the projector gives it
UNIT = {"float16": 2e-3, "float32": 1e-4}  # how far from 1 rounding may leave the length of a row
# Variance of rows of length 1, summed over their numbers, below which they are one row with a little noise: those of an
# untrained encoder, which are nearly alike, have about 1e-2
LEAST_SPREAD = 1e-4
CHECKED_AT_ONCE = 2**14  # rows


@dataclass(frozen=True)
class FeatureTable:
    """Features of one site, or of several: rows float16 or float32 (n, d) of length 1, partitions uint8 (n,).

    `noise` is the standard deviation of the noise that each number of a row was given before the row was brought back
    to length 1; 0 for none.
    """

    rows: NDArray[np.floating]
    partitions: NDArray[np.uint8]
    noise: float = 0.0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """Bytes of the rows and the partitions."""
        return int(self.rows.nbytes + self.partitions.nbytes)

    def to_dict(self) -> dict[str, Any]:
        """As it travels."""
        return {"rows": self.rows, "partitions": self.partitions, "noise": self.noise}


@dataclass(frozen=True)
class Bank:
    """The features that a site offered in `round`."""

    round: int
    table: FeatureTable


class Exchange:
    """The banks of a run's sites, on disk; each site gets those of all others that are not too old."""

    def __init__(self, settings: ContrastSettings, folder: Path):
        self.settings = settings
        self.folder = folder

    def accept(self, site: str, table: FeatureTable, round_number: int) -> None:
        """Keep a site's features in the place of its last ones; RefusedUpdate where they cannot be features."""
        check_table(table, self.settings)
        data = io.BytesIO()
        for part in (table.rows, table.partitions, np.array([round_number, table.noise], np.float64)):
            np.save(data, np.ascontiguousarray(part), allow_pickle=False)
        write_bytes(self._path(site), data.getvalue())

    def bank(self, site: str, round_number: int) -> Bank | None:
        """A site's last features; None where it has none that are good in this round."""
        path = self._path(site)
        if not path.is_file():
            return None
        try:
            rows = np.load(path, mmap_mode="r")
            with path.open("rb") as file:
                file.seek(rows.offset + rows.nbytes)
                partitions, about = np.load(file), np.load(file)
            found, noise = int(about[0]), float(about[1])
        except (ValueError, OSError, EOFError, AttributeError, IndexError) as error:
            raise FedwardError(
                f"{path} is damaged ({error}): remove it, and that site's features are left out until it answers again"
            ) from error
        if not 0 <= round_number - found <= self.settings.max_age:
            return None
        return Bank(found, FeatureTable(np.asarray(rows), partitions, noise))  # a plain array, which FLARE can send

    def others(self, site: str, sites: Sequence[str], round_number: int) -> list[FeatureTable]:
        """The good features of each of `sites` but `site`, in order of name."""
        banks = [self.bank(name, round_number) for name in sorted(sites) if name != site]
        return [bank.table for bank in banks if bank is not None]

    def record(self, current: OpenRound) -> Record:
        """What a training round's record says of the exchange before it; see `fedward.rounds.record`."""
        banks: dict[str, Record] = {}
        for site in sorted(current.asked):
            bank = self.bank(site, current.number)
            if bank is not None:
                answer = current.answers.get(site, {})
                about = {name: answer.get(name) for name in ("arrived", "train_seconds")}
                banks[site] = {
                    "rows": len(bank.table),
                    "bytes": bank.table.size,
                    "age": current.number - bank.round,
                    **about,
                }
        size = sum(bank["bytes"] for bank in banks.values())
        return {
            "banks": banks,
            "sent": {site: size - banks.get(site, {"bytes": 0})["bytes"] for site in sorted(current.asked)},
            "models": {site: answer["sent"] for site, answer in sorted(current.answers.items())},
            "missing": current.missing(),
            "refused": current.refused,
            "seconds": round(current.seconds, 3),
        }

    def clear(self) -> None:
        """Forget all features: a finished run needs none, and they were lent for it alone."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, site: str) -> Path:
        return self.folder / f"{site}.npy"


def exchanges(settings: RunSettings) -> bool:
    """Whether the sites of a run exchange features."""
    return settings.contrast is not None and settings.contrast.exchange


def join_tables(tables: Sequence[FeatureTable]) -> FeatureTable | None:
    """Several tables as one, in their order, with the least of their noise; None where there is none."""
    if not tables:
        return None
    rows, partitions = ([getattr(table, name) for table in tables] for name in ("rows", "partitions"))
    return FeatureTable(np.concatenate(rows), np.concatenate(partitions), min(table.noise for table in tables))


def read_table(values: Any) -> FeatureTable:
    """The inverse of `FeatureTable.to_dict`, of what has travelled: `check_table` looks at what it holds."""
    if not isinstance(values, dict) or set(values) != {"rows", "partitions", "noise"}:
        raise RefusedUpdate("the answer holds no table of features: rows, partitions and noise are needed")
    return FeatureTable(**values)


def check_table(table: FeatureTable, settings: ContrastSettings) -> None:
    """RefusedUpdate, with a sentence that shows no value, unless a site's features are what the settings ask for."""
    spread = check_form(table, settings.bank_size, settings.partitions, (settings.precision,))
    if table.noise < settings.noise:
        raise RefusedUpdate(f"the features were given less noise than the run's {settings.noise:g}")
    if len(table) > 1 and spread < LEAST_SPREAD:
        raise RefusedUpdate("the features are all the same: the site's encoder has collapsed, or they are made up")


def check_form(table: FeatureTable, most_rows: int, partitions: int, precisions: Sequence[str]) -> float:
    """RefusedUpdate unless this is a table of features, whatever its type says; returns the variance of its rows.

    At most so many rows, partitions below `partitions`, rows of one of `precisions`.
    """
    rows, parts, noise = table.rows, table.partitions, table.noise
    if type(rows) is not np.ndarray or rows.ndim != 2 or rows.shape[1] != WIDTH:
        raise RefusedUpdate(f"the features are no table of {WIDTH} numbers a row")
    if rows.dtype not in [np.dtype(name) for name in precisions]:
        raise RefusedUpdate(f"the features are not {' or '.join(precisions)}")
    if not 1 <= len(rows) <= most_rows:
        raise RefusedUpdate(f"{len(rows):,} features were offered: from 1 to {most_rows:,} are taken")
    if type(parts) is not np.ndarray or parts.dtype != np.uint8 or parts.shape != (len(rows),):
        raise RefusedUpdate("the features have not one partition each, as uint8")
    if int(parts.max()) >= partitions:
        raise RefusedUpdate(f"a feature is of another partition than 0 to {partitions - 1}")
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < np.inf:
        raise RefusedUpdate("the noise on the features is no number of at least 0")
    return _spread(rows)


def _spread(rows: NDArray[np.floating]) -> float:
    """Mean squared distance of the rows from their mean; RefusedUpdate where one is not of length 1."""
    total, squares = np.zeros(rows.shape[1]), 0.0
    for start in range(0, len(rows), CHECKED_AT_ONCE):
        part = rows[start : start + CHECKED_AT_ONCE].astype(np.float32, copy=False)
        if not np.isfinite(part).all():
            raise RefusedUpdate("the features hold NaN or infinity")
        with np.errstate(over="ignore"):
            lengths = np.einsum("nd,nd->n", part, part)
        if np.abs(np.sqrt(lengths) - 1).max() > UNIT[rows.dtype.name]:
            raise RefusedUpdate("the features are not all of length 1")
        total += part.sum(axis=0, dtype=np.float64)
        squares += float(lengths.sum(dtype=np.float64))
    return squares / len(rows) - float(np.square(total / len(rows)).sum())
