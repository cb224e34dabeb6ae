"""JSON from outside, read strictly: one meaning only, and bounded before anybody works with it."""

import json
import math
from typing import Any, NoReturn

from fedward.errors import UsageError

MAX_DEPTH = 12


def strict_json(data: bytes, where: str) -> Any:
    """The value of a JSON file; UsageError for what parsers read differently (doubled keys, NaN) or that nests deep."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise UsageError(f"{where} nests deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise UsageError(f"{where} is not valid JSON: {str(error)[:200]}") from error
    if _depth(value) > MAX_DEPTH:
        raise UsageError(f"{where} nests deeper than {MAX_DEPTH} levels")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {double!a} is there twice")
    return values


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is too large")
    return value


def _depth(value: Any) -> int:
    """How deep the value nests, without recursion."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth
