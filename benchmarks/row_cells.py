"""Cells of the benchmarks' tables in Markdown."""

import statistics
from collections.abc import Sequence
from typing import Any

FEWEST_SEEDS = 3  # below that a difference is shown and not judged


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(head), ["---"] * len(head), *lines])


def number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def over_seeds(values: Sequence[float]) -> str:
    """The mean, and the lowest and highest of several."""
    if not values:
        return ""
    spread = f" ({number(min(values))} to {number(max(values))})" if len(values) > 1 else ""
    return f"{number(statistics.fmean(values))}{spread}"


def interval(mean: dict[str, Any]) -> str:
    """Value and interval with signs; empty where there is none."""
    if mean["value"] is None or mean["low"] is None or mean["high"] is None:
        return ""
    return f"{mean['value']:+.3f} [{mean['low']:+.3f}, {mean['high']:+.3f}]"


def away_from_0(mean: dict[str, Any]) -> bool:
    return bool(mean["low"] > 0 or mean["high"] < 0)
