"""Applies the list of what may leave a hospital (`fedward.kits.leaving_list`) to plain values.

What is kept is picked out of a result by name; what the list does not name is left behind. So nothing slips through
because nobody thought of forbidding it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedward.contrast.settings import MOST_PARTITIONS, PRECISIONS
from fedward.errors import FedwardError, RefusedUpdate
from fedward.evaluation import detail_names
from fedward.flare.tasks import BANK
from fedward.kits.leaving_list import (
    AGREED_WARNINGS,
    COUNTS,
    ERROR_CLASSES,
    EVALUATION_COUNTS,
    EVALUATION_METRICS,
    EVALUATIONS,
    METRICS,
    Rules,
)
from fedward.rounds.exchange import check_form, read_table
from fedward.rounds.site_report import MAX_COUNT

Layout = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # layer -> shape, type
MAX_SENTENCE = 1000
PLAIN = tuple(name for name in (*METRICS, *COUNTS) if "." not in name)
EVALUATION = (*EVALUATION_METRICS, *EVALUATION_COUNTS)


def leaving_parameters(
    parameters: Any, rules: Rules, task: str, received: Layout | None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The layers that may leave, untouched, and the names of the rest.

    A layer leaves only where the list names it and the model that the site received for this task had it too, with
    the same shape and type: a name or an array that the site made up stays, whatever the patterns say. FedwardError
    where more bytes would leave than allowed.
    """
    if not isinstance(parameters, Mapping):
        return {}, ["parameters"]
    rule = rules.parameters.get(task)
    kept, removed = {}, []
    for name, value in parameters.items():
        if rule is not None and received is not None and _same(name, value, received) and rule.names(name):
            kept[name] = value
        else:
            removed.append(shown(name))
    size = sum(value.nbytes for value in kept.values())
    if rule is not None and size > rule.max_bytes:
        raise FedwardError(f"{size} bytes of parameters, and {rule.max_bytes} may leave in {task}: none are sent")
    return kept, removed


def _same(name: Any, value: Any, received: Layout) -> bool:
    if type(name) is not str or type(value) is not np.ndarray or name not in received:
        return False
    return (value.shape, value.dtype) == received[name] and value.dtype.kind in "fiub" and value.dtype.metadata is None


def layout(parameters: Mapping[str, Any]) -> Layout:
    """Shape and type of each layer."""
    return {name: (np.shape(value), np.asarray(value).dtype) for name, value in parameters.items()}


def leaving_report(report: Any, rules: Rules) -> tuple[dict[str, Any], list[str]]:
    """The part of a site's report that may leave, as plain Python values, and the names of the rest."""
    if type(report) is not dict:
        return {}, ["report"]
    kept: dict[str, Any] = {n: v for n in PLAIN if n in report and (v := _number(n, report[n], rules)) is not None}
    for part in EVALUATIONS:
        names = [n for n in EVALUATION if f"{part}.{n}" in rules.metrics | rules.counts.keys()]
        values = report.get(part)
        if names and part in report and values is None:
            kept[part] = None
        elif names and type(values) is dict:
            numbers = {n: _number(f"{part}.{n}", values[n], rules) for n in names if n in values}
            # A metric that is missing, or no number, is told as missing: the server knows that case.
            left: dict[str, Any] = {n: v for n, v in numbers.items() if v is not None or n in EVALUATION_METRICS}
            if left and (details := _details(part, values.get("details"), rules)):
                left["details"] = details
            kept |= {part: left} if left else {}
    texts = report.get("warnings")
    if rules.warnings and type(texts) is list:
        agreed = [AGREED_WARNINGS.index(text) for text in texts if type(text) is str and text in AGREED_WARNINGS]
        kept["warnings"] = [AGREED_WARNINGS[i] for i in dict.fromkeys(agreed)]
    return kept, _left_behind(report, kept)


def _details(part: str, values: Any, rules: Rules) -> dict[str, float | int]:
    """The details that may leave: known names alone, each where the list has its group."""
    if type(values) is not dict:
        return {}
    found = {}
    for name in sorted(detail_names() & {key for key in values if type(key) is str}):
        value = values[name]
        if type(value) is float and value.is_integer() and f"{part}.{group(name)}" in COUNTS:
            value = int(value)  # a count that a mean or a sum has made a float
        found[name] = _number(f"{part}.{group(name)}", value, rules)
    return {name: value for name, value in found.items() if value is not None}


def group(detail: str) -> str:
    """What a detail is listed under: auc of auc.Hernia."""
    return detail.partition(".")[0]


def _number(name: str, value: Any, rules: Rules) -> float | int | None:
    """The value as a plain number if one is listed under this name, else None."""
    if isinstance(value, bool | np.bool_):
        return None
    if name in rules.metrics and isinstance(value, int | float | np.integer | np.floating):
        try:
            return float(value)
        except OverflowError:
            return None
    if name in rules.counts and isinstance(value, int | np.integer) and 0 <= value <= MAX_COUNT:
        return rounded(int(value), rules.counts[name])
    return None


def _left_behind(report: dict[Any, Any], kept: dict[str, Any]) -> list[str]:
    """What of the report is not in `kept`."""
    names = [shown(name) for name in report if name not in kept]
    for part in EVALUATIONS:
        if isinstance(kept.get(part), dict):
            values, left = report[part], kept[part]
            stay = [n for n in values if values[n] is not None and left.get(n) is None and n != "details"]
            names += [f"{part}.{shown(n)}" for n in stay] + _details_left(part, values, left.get("details", {}))
    texts = report["warnings"] if "warnings" in kept else []
    others = [i for i, text in enumerate(texts) if type(text) is not str or text not in AGREED_WARNINGS]
    return names + [f"warnings[{i}]" for i in others]


def _details_left(part: str, values: dict[Any, Any], kept: dict[str, Any]) -> list[str]:
    """Groups of known details that stay, and everything else under "details"."""
    details = values.get("details")
    if type(details) is not dict:
        return [] if details is None else [f"{part}.details"]
    stay = [n for n in details if n not in kept]
    known = {f"{part}.{group(n)}": None for n in stay if type(n) is str and n in detail_names()}  # each once, in order
    return [*known, *(f"{part}.details.{shown(n)}" for n in stay if type(n) is not str or n not in detail_names())]


def rounded(count: int, step: int) -> int:
    """The nearest multiple of `step`; at least one step where the count is not 0, so that nobody seems to have none."""
    return 0 if count == 0 else max(step, (2 * count + step) // (2 * step) * step)


def leaving_features(values: Any, rules: Rules, task: str) -> dict[str, Any] | None:
    """A feature table (`fedward.rounds.exchange.FeatureTable.to_dict`) within the limits, untouched, else None.

    It leaves in the task that asks for it alone, and only rows of length 1 and of the one width, with a partition each:
    nothing else could hide in it than features.
    """
    rule = rules.features
    if rule is None or task != BANK or type(values) is not dict:
        return None
    try:
        table = read_table(values)
        check_form(table, rule.max_rows, MOST_PARTITIONS, PRECISIONS)
    except RefusedUpdate:
        return None
    known = table.rows.dtype.metadata is table.partitions.dtype.metadata is None
    return table.to_dict() if known and type(table.noise) is float and table.noise >= rule.min_noise else None


def error_text(kind: Any, sentence: Any, task: str, reference: str, rules: Rules) -> str:
    """What the server is told about an error at this site."""
    if rules.errors == "full" and isinstance(sentence, str):
        return sentence[:MAX_SENTENCE]
    known = kind if isinstance(kind, str) and kind in ERROR_CLASSES else "error"
    return f"{known} in {task}, reference {reference}: this site's log has the sentence"


def shown(name: Any) -> str:
    """A name for the site's log, whatever it holds."""
    return ascii(name)[1:101].rstrip("'") if isinstance(name, str) else f"a key of type {type(name).__name__}"
