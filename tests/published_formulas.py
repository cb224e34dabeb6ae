"""Weights and Dice as docs/methods.md has them, written a second time for the records of whole runs.

Nothing of `fedward` is used: a test that asked it what to expect would follow its mistakes.
"""

import math

TINY, LOWEST, HIGHEST, PLATEAU = 1e-6, 0.1, 10.0, 0.01  # rules R2 and R3

Share = dict[str, float]  # by site


def mean_over_structures(evaluation: dict) -> float:
    """Mean Dice over the structures of an evaluation in a record, from its pixel counts."""
    counts = evaluation["details"]
    dice = []
    for structure in ("right_ventricle", "myocardium", "left_ventricle"):
        hit, extra, missed = (
            counts[f"{name}.{structure}"] for name in ("true_positive", "false_positive", "false_negative")
        )
        dice += [2 * hit / (2 * hit + extra + missed)] if hit + extra + missed else []
    return sum(dice) / len(dice)


def published_weights(scheme: str, before: dict, now: dict) -> Share:
    """The weights of round 2, of record `now`, after round 1, of record `before`.

    Every site must have reported cost and quality in both: a missing one has rules of its own.
    """
    sites = sorted(now["answers"])
    size = parts({site: now["answers"][site]["samples"] for site in sites})
    old, new = (reported(record, "cost") for record in (before, now))
    old_quality, new_quality = (reported(record, "quality") for record in (before, now))
    equal = parts(dict.fromkeys(sites, 1.0))
    if scheme == "fedavg":
        return size
    if scheme == "uniform":
        return equal
    if scheme == "half_uniform":
        return mix((0.5, size), (0.5, equal))
    if scheme == "costw":
        return mix((0.5, size), (0.5, ratios(old, new)))
    if scheme == "costw_ce":
        return mix((0.5, size), (0.5, ratios(sigmoid(old), sigmoid(new))))
    if scheme == "dcew":
        return mix((0.5, size), (0.25, ratios(sigmoid(old), sigmoid(new))), (0.25, ratios(new_quality, old_quality)))
    assert scheme == "fedpid", f"{scheme} is not written here yet"
    floor = PLATEAU * sum(old.values()) / len(sites)
    drop = parts({site: max(old[site] - new[site], 0) + floor for site in sites})
    integral = parts({site: (old[site] + new[site]) / 2 for site in sites})
    return mix((0.45, size), (0.45, drop), (0.1, integral))


def reported(record: dict, name: str) -> Share:
    return {site: answer["end"][name] for site, answer in record["answers"].items()}


def sigmoid(costs: Share) -> Share:
    return {site: 1 / (1 + math.exp(-cost)) for site, cost in costs.items()}


def ratios(above: Share, below: Share) -> Share:
    """Parts of above / below, smoothed and clamped."""
    raw = {site: (above[site] + TINY) / (below[site] + TINY) for site in above}
    return parts({site: min(max(ratio, LOWEST), HIGHEST) for site, ratio in raw.items()})


def parts(values: Share) -> Share:
    return {site: value / sum(values.values()) for site, value in values.items()}


def mix(*terms: tuple[float, Share]) -> Share:
    return {site: sum(part * share[site] for part, share in terms) for site in terms[0][1]}
