"""Guards: whether a site's update may be counted at all. They run before any share is computed (rule R5)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fedward.errors import RefusedUpdate

SHOWN = 3  # names in a message
SAME_NETWORK = "the site must train the network of this job, with the same version of fedward"


def check_update(update: Mapping[str, Any], reference: Mapping[str, Any]) -> None:
    """Return if `update` can stand beside `reference`, the global model the site received.

    Both map parameter and buffer names to arrays; `update` is read one array at a time. Floating point arrays may
    come in another precision; every value must be finite in the precision of the reference. Other arrays must have
    the reference's dtype.

    Raises RefusedUpdate for a missing or extra key, something that is no array, another shape, another kind of dtype,
    a value that is not finite, and a negative running variance. The message does not name the site.
    """
    missing = set(reference) - set(update)
    if missing:
        raise RefusedUpdate(f"{_named(missing)} missing: {SAME_NETWORK}")
    extra = set(update) - set(reference)
    if extra:
        raise RefusedUpdate(f"{_named(extra)} not in the global model: {SAME_NETWORK}")
    for key, expected in reference.items():
        _check_array(key, update[key], expected)


def _check_array(key: str, value: Any, expected: Any) -> None:
    if not isinstance(value, np.ndarray | np.generic):  # arithmetic turns a 0-d array into a scalar
        raise RefusedUpdate(f"{key} is a {type(value).__name__}, no NumPy array: {SAME_NETWORK}")
    if value.shape != expected.shape:
        raise RefusedUpdate(f"{key} has shape {value.shape}, expected {expected.shape}: {SAME_NETWORK}")
    same = value.dtype.kind == "f" if expected.dtype.kind == "f" else value.dtype == expected.dtype
    if not same:
        raise RefusedUpdate(f"{key} has dtype {value.dtype}, expected {expected.dtype}: {SAME_NETWORK}")
    if expected.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        bad = int(np.count_nonzero(~np.isfinite(value.astype(expected.dtype, copy=False))))
    if bad:
        raise RefusedUpdate(
            f"{key} has {bad} of {value.size} values that are not finite in {expected.dtype}: "
            "training diverged; lower the learning rate or look at the site's images"
        )
    if key.rpartition(".")[2] == "running_var" and np.any(np.less(value, 0)):
        raise RefusedUpdate(f"{key} has a negative variance: {SAME_NETWORK}")


def _named(keys: Iterable[object]) -> str:
    """How many keys and the first names, cut short: they come from outside."""
    names = sorted(str(key)[:80] for key in keys)
    more = ", ..." if len(names) > SHOWN else ""
    verb = "is" if len(names) == 1 else "are"
    return f"{len(names)} parameter{'' if len(names) == 1 else 's'} ({', '.join(names[:SHOWN])}{more}) {verb}"
