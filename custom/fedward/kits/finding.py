"""What one check of a kit found: a line for people, and a level that decides whether the kit may start."""

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, what is so, and how to put it right. A problem keeps the kit from starting."""

    level: Level
    name: str
    text: str
    fix: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def ok(name: str, text: str) -> Finding:
    return Finding("ok", name, text)


def warning(name: str, text: str, fix: str) -> Finding:
    return Finding("warning", name, text, fix)


def problem(name: str, text: str, fix: str) -> Finding:
    return Finding("problem", name, text, fix)
