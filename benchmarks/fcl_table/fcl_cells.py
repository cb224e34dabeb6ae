"""Cells of the tables of FCL, and the results of a row's seeds."""

from typing import Any

import fcl_compare
import fcl_results
import fcl_rows
from row_cells import FEWEST_SEEDS, away_from_0, interval, number
from row_runner import RANDOM

NAMES = {
    RANDOM: "random",
    fcl_rows.OWN: "FCL, each hospital alone",
    "rotation": "FedRotation",
    "simclr": "FedSimCLR",
    fcl_rows.ALONE: "FCL without exchange",
    fcl_rows.LITERAL: "FCL, literal",
    fcl_rows.MASKED: "FCL, masked",
    **{f"{fcl_rows.NOISY}{noise}": f"FCL, masked, noise {noise}" for noise in fcl_rows.NOISES},
}


def seed_results(mode: str, patients: int, init: str, preset: fcl_rows.Preset) -> list[dict[str, Any]]:
    """The results of a row's seeds, as many as there are."""
    names = [fcl_rows.fine_tuning(mode, patients, init, seed, preset).name for seed in fcl_compare.SEEDS]
    return [result for name in names if (result := fcl_results.read_result(name, preset))]


def dice_of(mode: str, patients: int, init: str, preset: fcl_rows.Preset, kind: str = "mean_dice") -> list[float]:
    """Mean Dice of each seed, over volumes (`mean_dice`) or `pooled_dice`."""
    values = [result["test"][kind] for result in seed_results(mode, patients, init, preset)]
    return [value["value"] if isinstance(value, dict) else value for value in values]


def clear(entry: dict[str, Any]) -> bool:
    """Whether a difference stands beyond test patients and seeds: all seeds agree in sign, and the interval."""
    seeds = entry["by_seed"]
    same = all(part > 0 for part in seeds) or all(part < 0 for part in seeds)
    return len(seeds) >= FEWEST_SEEDS and same and away_from_0(entry)


def difference(found: list[dict[str, Any]], mode: str, patients: int, first: str, second: str) -> str:
    entry = fcl_compare.find_comparison(found, mode, patients, first, second)
    return words(entry) if entry else ""


def words(entry: dict[str, Any]) -> str:
    """Value, interval by patient and the seeds' lowest and highest; bold where it is clear."""
    seeds = entry["by_seed"]
    spread = f" ({number_signed(min(seeds))} to {number_signed(max(seeds))})" if len(seeds) > 1 else ""
    text = interval(entry) + spread
    return f"**{text}**" if clear(entry) else text


def number_signed(value: float) -> str:
    return ("+" if value >= 0 else "") + number(value)
