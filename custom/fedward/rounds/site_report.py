"""What a site reports beside its parameters: checked as a claim from outside before anything uses it."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fedward.errors import RefusedUpdate
from fedward.evaluation import ADDED, Evaluation, detail_names
from fedward.weighting.claims import SiteClaim

Report = dict[str, Any]
COUNTS = ("images", "patients", "true_positive", "false_positive", "false_negative")
MAX_COUNT = 2**53
MAX_WARNINGS, MAX_WARNING_LENGTH = 8, 200


def check_report(report: Any, kind: str = "training") -> Report:
    """Return the known parts of a report, with plain types; RefusedUpdate where one is missing or of another type.

    Cost and quality keep any number, also NaN: judging them is `fedward.weighting.claims.bounded`'s part.
    """
    if not isinstance(report, Mapping):
        raise RefusedUpdate(f"the report is a {type(report).__name__}, not a mapping")
    known: Report = {
        "train_seconds": _number(report, "train_seconds"),
        "start": _evaluation(report, "start"),
        "warnings": _warnings(report.get("warnings", [])),
    }
    if kind == "training":
        known["samples"] = _count(report, "samples")
        known["steps"] = _count(report, "steps")
        known["loss"] = _number(report, "loss")
        known["end"] = _evaluation(report, "end")
    return known


def claim_of(report: Report, received: Evaluation | None = None, own: Evaluation | None = None) -> SiteClaim:
    """The claim that weighting uses. The server's own measurements, where given, take the place of the site's."""
    start = received or report["start"]
    end = own or report["end"]
    return SiteClaim(
        samples=report["samples"],
        cost=end.cost if end else None,
        quality=end.quality if end else None,
        start_cost=start.cost if start else None,
        start_quality=start.quality if start else None,
    )


def for_record(report: Report) -> Report:
    """The report as plain JSON values; a number that is not finite becomes null (a warning of the round names it)."""
    return {
        key: _finite(value.to_dict()) if isinstance(value, Evaluation) else value
        for key, value in _finite(report).items()
        if key != "warnings"
    }


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _number(report: Mapping[str, Any], key: str) -> float:
    value = report.get(key)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:  # an integer beyond the range of a float
        pass
    raise RefusedUpdate(f"the report's {key} is no number")  # the value is not shown: it may be anything, of any length


def _count(report: Mapping[str, Any], key: str) -> int:
    value = report.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise RefusedUpdate(f"the report's {key} is no count, that is, no whole number from 0 to 2^53")
    return value


def _evaluation(report: Mapping[str, Any], key: str) -> Evaluation | None:
    value = report.get(key)
    if value is None:
        return None
    names = {f.name for f in fields(Evaluation)} - {"details"}
    if not isinstance(value, Mapping) or set(value) - {"details"} != names:
        raise RefusedUpdate(f"the report's {key} is no evaluation with {', '.join(sorted(names))}")
    measured: dict[str, Any] = {name: _count(value, name) for name in COUNTS}
    for name in ("cost", "quality"):
        measured[name] = None if value[name] is None else _number(value, name)
    return Evaluation(**measured, details=_details(value.get("details", {}), key))


def _details(values: Any, key: str) -> dict[str, float]:
    """Known details; one that is not finite is left out, as a finding without both classes is."""
    if not isinstance(values, Mapping) or not set(values) <= detail_names():
        raise RefusedUpdate(f"the report's {key} has details of names that are not known")
    numbers = {name: _number(values, name) for name in sorted(values)}
    for name, number in numbers.items():
        highest = 1.0 if name.startswith(("auc.", "knn.", "dice.")) else float(MAX_COUNT)
        if math.isfinite(number) and not 0 <= number <= highest:
            raise RefusedUpdate(f"the report's {key} has a detail {name} outside 0 to {highest:g}")
        if math.isfinite(number) and name.startswith(ADDED) and not number.is_integer():
            raise RefusedUpdate(f"the report's {key} has a detail {name} that is no whole number")
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _warnings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise RefusedUpdate("the report's warnings are no list of texts")
    return [text[:MAX_WARNING_LENGTH] for text in value[:MAX_WARNINGS]]
