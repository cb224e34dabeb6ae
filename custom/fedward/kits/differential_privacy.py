"""Clipping and Gaussian noise on an update, and what they promise: differential privacy of a hospital's whole update.

An update is the trained model minus the received one, over all its floating layers as one vector. Clipped to the L2
norm C, two updates differ by 2C at most, whatever data they came from. So with noise of standard deviation `sigma` on
each value, what leaves in one round is (epsilon, delta)-differentially private in the strongest sense of who is
protected: all data of the hospital at once, and with it each patient, towards everybody who sees the result, the server
too (local differential privacy). The price is high, because the noise grows with the square root of the number of
weights while the update does not.

Sources: Dwork & Roth, The algorithmic foundations of differential privacy, 2014 (definition, basic composition);
Balle & Wang, Improving the Gaussian mechanism, ICML 2018, theorem 8 (sigma); Bun & Steinke, Concentrated differential
privacy, TCC 2016, lemma 1.8, propositions 1.3 and 1.6 (rounds). The noise is made of floating-point numbers, as in all
common libraries; the attacks on its last bits (Mironov, CCS 2012) are outside of the promise.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedward.errors import FedwardError, UsageError

STATISTICS = ("noise", "received")
_RUNNING = (".running_mean", ".running_var")
Parameters = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Released:
    """A noised model, and how much of the update is left in it."""

    parameters: dict[str, np.ndarray]
    norm: float  # of the update before clipping
    kept: float  # factor by which clipping shortened it
    cosine: float  # between the update as it was and as it leaves; 1 is unchanged, 0 is noise alone


@dataclass(frozen=True)
class Privacy:
    """What some rounds spend together."""

    rounds: int
    delta: float
    basic: float  # epsilon by adding up
    zcdp: float  # epsilon by zero-concentrated differential privacy, the tighter one for many rounds

    @property
    def epsilon(self) -> float:
        return min(self.basic, self.zcdp)


def check_settings(clip: Any, epsilon: Any, delta: Any, statistics: Any) -> None:
    """UsageError unless the settings promise something."""
    for name, value in (("clip", clip), ("epsilon", epsilon)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise UsageError(f"{name} must be a number above 0, not {value!r}")
    if isinstance(delta, bool) or not isinstance(delta, float) or not 0 < delta < 1:
        raise UsageError(f"delta must lie between 0 and 1 (1e-5, say), not {delta!r}")
    if statistics not in STATISTICS:
        raise UsageError(f"batch_statistics must be one of {', '.join(STATISTICS)}, not {statistics!r}")


def noise_sigma(epsilon: float, delta: float, sensitivity: float) -> float:
    """Smallest standard deviation for which Gaussian noise is (epsilon, delta)-private (Balle & Wang 2018)."""
    low, high = 0.0, 1.0
    while _delta(epsilon, high) > delta:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _delta(epsilon, middle) > delta else (low, middle)
    return high * sensitivity


def _delta(epsilon: float, sigma: float) -> float:
    """The delta of noise with that sigma at sensitivity 1."""
    from scipy.special import log_ndtr

    if sigma == 0:
        return 1.0
    half, shift = 1 / (2 * sigma), epsilon * sigma
    return float(math.exp(log_ndtr(half - shift)) - math.exp(epsilon + log_ndtr(-half - shift)))


def privacy_spent(epsilon: float, delta: float, rounds: int) -> Privacy:
    """What `rounds` releases spend together, both at the same total delta (rounds x delta)."""
    total = min(rounds * delta, 1.0)
    rho = rounds / (2 * noise_sigma(epsilon, delta, 1.0) ** 2)
    return Privacy(rounds, total, rounds * epsilon, rho + 2 * math.sqrt(rho * math.log(1 / total)))


def release(received: Parameters, trained: Parameters, clip: float, sigma: float, statistics: str) -> Released:
    """The received model plus the clipped update plus noise. FedwardError where there is no finite update.

    Integer buffers (counters of batches) leave as they came. Running statistics of batch normalisation are part of the
    update, or, with "received", leave as they came too.
    """
    changes = {n: value for n, value in updates(received, trained).items() if _is_noised(n, statistics)}
    norm = math.sqrt(sum(float(np.vdot(update, update)) for update in changes.values()))
    if not math.isfinite(norm):
        raise FedwardError("the update holds numbers that are not finite: nothing of it is sent")
    factor = min(1.0, clip / norm) if norm else 1.0
    parameters, dot, square = {name: np.array(value) for name, value in received.items()}, 0.0, 0.0
    for name, update in changes.items():
        noised = factor * update + sigma * gaussian(update.size).reshape(update.shape)
        dot, square = dot + float(np.vdot(update, noised)), square + float(np.vdot(noised, noised))
        value = received[name] + noised
        if name.endswith("running_var"):
            value = np.maximum(value, 0)  # a variance; a change after the noise costs no privacy
        parameters[name] = np.asarray(value, received[name].dtype)
    cosine = dot / (norm * math.sqrt(square)) if norm and square else 0.0
    return Released(parameters, norm, factor, cosine)


def update_cosine(received: Parameters, trained: Parameters, sent: Parameters) -> float:
    """How much a filter left of the update's direction: 1 all, 0 nothing."""
    raw, kept = updates(received, trained), updates(received, sent)
    dot = sum(float(np.vdot(raw[name], kept[name])) for name in raw)
    sizes = [sum(float(np.vdot(value, value)) for value in update.values()) for update in (raw, kept)]
    return dot / math.sqrt(sizes[0] * sizes[1]) if all(sizes) else 0.0


def updates(received: Parameters, trained: Parameters) -> dict[str, np.ndarray]:
    """Trained minus received for each floating layer, in float64; FedwardError where the models do not match."""
    if received.keys() != trained.keys():
        raise FedwardError("the trained model has other layers than the received one")
    different = [n for n in received if np.shape(received[n]) != np.shape(trained[n])]
    if different:
        raise FedwardError(f"layer {different[0]} has another shape than the received one")
    return {
        name: np.subtract(trained[name], value, dtype=np.float64)
        for name, value in received.items()
        if value.dtype.kind == "f"
    }


def _is_noised(name: str, statistics: str) -> bool:
    return statistics == "noise" or not name.endswith(_RUNNING)


def gaussian(count: int) -> np.ndarray:
    """Standard normal values from the operating system's generator (Box & Muller 1958), so no seed repeats them."""
    pairs = (count + 1) // 2
    bits = np.frombuffer(os.urandom(16 * pairs), np.uint64) >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(uniform[:pairs])), 2 * np.pi * uniform[pairs:]
    values: np.ndarray = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return values[:count]
