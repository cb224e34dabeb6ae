"""Values as people read them."""

from typing import Any

from fedward.reports.metrics import number


def show(value: Any) -> str:
    """A count as it is, a fraction with three digits, nothing as a dash."""
    known = number(value)
    if known is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{known:.3f}"


def counted(number: int, noun: str) -> str:
    """The number with its noun, in the plural where that is right."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def interval(low: float | None, high: float | None) -> str:
    """Limits as "0.712 to 0.801"; a dash where there are none."""
    return "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def thousands(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return "–" if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 42 s, 12 min, 3 h 5 min."""
    if seconds is None:
        return "–"
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def plain(value: Any) -> str:
    """A setting as text: nested values on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) for v in value)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def finding_name(name: str) -> str:
    """A finding as people write it: the tables of the data sets join words by underscores."""
    return name.replace("_", " ")
