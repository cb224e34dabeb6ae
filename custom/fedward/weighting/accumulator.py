"""The weighted sum of the sites' models, tensor by tensor, in float64 and in sorted order of site name."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.errors import FedwardError, RefusedUpdate

Array = NDArray[Any]
State = Mapping[str, Array]
VARIANCE, MEAN = "running_var", "running_mean"


def weighted_sum(
    updates: Mapping[str, State | Callable[[], State]],
    weights: Mapping[str, float],
    reference: State,
    pooled_variance: bool = False,
) -> dict[str, Array]:
    """Sum of w_k M_k over the sites in `weights`; keys, shapes and dtypes are those of `reference`.

    updates    site -> its state, or a function that opens it. A state that reads an array when asked for it (a view
               of a safetensors file) keeps memory flat: one array of one site at a time, beside two float64 buffers of
               its size. Sites without a weight are left alone. Every update has passed `guards.check_update`.
    weights    site -> weight; sum 1. Where it is empty, the result is a copy of the reference (R5).
    reference  the old global model

    Floating point arrays are summed in float64 and cast back. Others (`num_batches_tracked`) are never averaged: the
    maximum counts. Running variances are summed like the rest, or with `pooled_variance` as the variance of all
    sites' values together, sum w (v + (mu - mean)^2), which is sum w (v + mu^2) - mean^2 without its cancellation.
    The result is the same bit for bit whatever the order of the mappings.

    Raises RefusedUpdate where an array is missing or has another shape; FedwardError where a site has a weight but no
    update, a result is not finite, or a variance is negative (negative weights of strict fedpid can do both).
    """
    absent = sorted(weights.keys() - updates.keys())
    if absent:
        raise FedwardError(f"no update from {', '.join(absent)}, which the weights count: give every weighted update")
    if not weights:
        return {key: np.array(value) for key, value in reference.items()}
    opened = {site: _opened(updates[site]) for site in sorted(weights)}
    return {key: _combined(key, old, opened, weights, pooled_variance) for key, old in reference.items()}


def _combined(
    key: str, old: Array, opened: Mapping[str, State], weights: Mapping[str, float], pooled_variance: bool
) -> Array:
    if old.dtype.kind != "f":
        return _maximum(key, old, opened)
    is_variance = key.rpartition(".")[2] == VARIANCE
    total = _sum(key, old.shape, opened, weights)
    if is_variance and pooled_variance:
        total += _spread_of_means(key.removesuffix(VARIANCE) + MEAN, old.shape, opened, weights)
    if is_variance and np.any(total < 0):
        raise FedwardError(
            f"the sum of {key} is negative because a weight is: turn strict off, so that weights stay >= 0"
        )
    with np.errstate(over="ignore"):
        result = total.astype(old.dtype)
    if not np.all(np.isfinite(result)):
        raise FedwardError(f"the sum of {key} is not finite in {old.dtype}: look at the sites' weights in rounds.jsonl")
    return result


def _sum(key: str, shape: tuple[int, ...], opened: Mapping[str, State], weights: Mapping[str, float]) -> Array:
    total = np.zeros(shape)
    product = np.empty(shape)
    for site, state in opened.items():
        np.multiply(_array(key, shape, site, state), np.float64(weights[site]), out=product, dtype=np.float64)
        total += product
    return total


def _spread_of_means(
    key: str, shape: tuple[int, ...], opened: Mapping[str, State], weights: Mapping[str, float]
) -> Array:
    """sum w (mu - mean)^2 of the running means that belong to a running variance."""
    mean = _sum(key, shape, opened, weights)
    total = np.zeros(shape)
    for site, state in opened.items():
        total += weights[site] * (_array(key, shape, site, state).astype(np.float64) - mean) ** 2
    return total


def _maximum(key: str, old: Array, opened: Mapping[str, State]) -> Array:
    first, *others = opened.items()
    result = np.array(_array(key, old.shape, *first))
    for site, state in others:
        np.maximum(result, _array(key, old.shape, site, state), out=result)
    return result.astype(old.dtype, copy=False)


def _array(key: str, shape: tuple[int, ...], site: str, state: State) -> Array:
    # A wrong shape could be broadcast without a word, so it is looked at here too.
    try:
        value = state[key]
    except KeyError:
        raise RefusedUpdate(f"{site}: {key} is missing from its update") from None
    if value.shape != shape:
        raise RefusedUpdate(f"{site}: {key} has shape {value.shape}, expected {shape}")
    return value


def _opened(update: State | Callable[[], State]) -> State:
    return update() if callable(update) else update
