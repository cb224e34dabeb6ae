"""The label tables of image data sets: CSV files read by column name, with the line of each row for messages."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedward.datasets.base import FileProblem


@dataclass(frozen=True)
class CsvTable:
    """A table as text: R rows, blank lines left out.

    path    the file
    header  names of the columns, stripped; a column without a name is ""
    rows    R rows of cells as they stand
    lines   R line numbers, from 1
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[list[str], ...]
    lines: tuple[int, ...]

    def find(self, name: str) -> int | None:
        """The place of a column, or None; capitals, spaces and underscores in its name do not matter."""
        wanted = plain(name)
        return next((place for place, known in enumerate(self.header) if plain(known) == wanted), None)

    def require(self, names: Sequence[str]) -> list[int]:
        """The places of these columns; DataError names the missing ones."""
        places = [self.find(name) for name in names]
        if missing := [name for name, place in zip(names, places, strict=True) if place is None]:
            reason = f"missing column: {', '.join(missing)}"
            if any(";" in name for name in self.header):  # as spreadsheets write it where a comma is the decimal sign
                raise FileProblem(self.path, f"{reason}; it is separated by semicolons", "save it with commas")
            shown = ", ".join(name or "(no name)" for name in self.header) or "nothing"
            raise FileProblem(self.path, f"{reason}; the first line names {shown}", "restore the original table")
        return [place for place in places if place is not None]

    def column(self, place: int) -> list[str]:
        """R cells, stripped; "" where a row is too short."""
        return [row[place].strip() if place < len(row) else "" for row in self.rows]


def read_csv(path: Path) -> CsvTable:
    """The table in a file of comma separated values in UTF-8; DataError where it is missing, no text or has no row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            rows, lines = [], []
            for row in reader:
                if any(row):
                    rows.append(row)
                    lines.append(reader.line_num)
    except FileNotFoundError:
        raise FileProblem(path, "missing: no such file", "restore the original table") from None
    except OSError as error:
        raise FileProblem(path, f"unreadable: {error.strerror or error}", "check its permissions") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileProblem(path, f"unreadable: no CSV in UTF-8 ({error})", "restore the original table") from error
    if not rows:
        raise FileProblem(path, "no rows: the table names no image", "restore the original table")
    return CsvTable(path, tuple(name.strip() for name in header), tuple(rows), tuple(lines))


def plain(name: str) -> str:
    """A name without what people write in different ways: capitals, spaces and underscores."""
    return name.lower().replace(" ", "").replace("_", "")


def first_of(problems: Sequence[FileProblem], command: str) -> FileProblem:
    """The first problem, which says how many more there are and which command lists them."""
    first = problems[0]
    if len(problems) == 1:
        return first
    return FileProblem(first.path, first.reason, f"{first.advice} ({len(problems) - 1:,} more: see `{command}`)")
