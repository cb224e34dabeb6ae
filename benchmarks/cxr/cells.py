"""Cells of the tables, and the results of a row's seeds."""

import statistics
from typing import Any

import compare
import results
import row_cells
import rows
from row_cells import FEWEST_SEEDS, number, over_seeds

SEEDS = range(1, 21)  # looked for
NAMES = {
    rows.RANDOM: "random",
    rows.IMAGENET: "ImageNet",
    "rotation": "Rotation",
    "simclr": "SimCLR",
    "moco_v2": "MoCo-v2",
    "byol": "BYOL",
    "frid": "FRID",
    "frid-no-edge": "FRID without edge view",
    "frid-no-sr": "FRID without SR layer",
    rows.FEDERATED: "MoCo-v2, federated",
}


def seed_results(
    training: str, sites: str, start: str, preset: rows.Preset, fraction: float = 1.0, mode: str = "federated"
) -> list[dict[str, Any]]:
    """The results of a row's seeds, as many as there are."""
    names = [rows.classification(training, sites, start, seed, preset, fraction, mode).name for seed in SEEDS]
    return [result for name in names if (result := results.read_result(name, preset))]


def aucs(training: str, sites: str, start: str, preset: rows.Preset, mode: str = "federated") -> tuple[str, str, str]:
    group = seed_results(training, sites, start, preset, mode=mode)
    return (str(len(group)) if group else "", mean_auc(group), mean_auc(group, "last"))


def mean_auc(group: list[dict[str, Any]], model: str = compare.MODEL) -> str:
    return over_seeds([result["test"][model]["mean_auc"]["value"] for result in group])


def finding_auc(group: list[dict[str, Any]], finding: str) -> str:
    values = [result["test"][compare.MODEL]["findings"][finding]["auc"] for result in group]
    if values and None in values:
        return "one class only"
    return number(statistics.fmean(values)) if values else ""


def positives(group: dict[str, list[dict[str, Any]]], finding: str) -> str:
    for runs in group.values():
        for result in runs:
            return str(result["test"][compare.MODEL]["findings"][finding]["positives"])
    return ""


def difference(found: list[dict[str, Any]], training: str, fraction: float, first: str, second: str) -> str:
    entry = compare.find_comparison(found, training, fraction, first, second)
    return interval(entry["mean"], len(entry["seeds"])) if entry else ""


def interval(mean: dict[str, float | None], seeds: int) -> str:
    """Value and interval with signs; bold where the interval leaves out 0 and there are seeds enough to say so."""
    text = row_cells.interval(mean)
    return f"**{text}**" if text and seeds >= FEWEST_SEEDS and row_cells.away_from_0(mean) else text
