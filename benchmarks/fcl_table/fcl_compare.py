"""Differences of Dice between starts on the same test patients and the same draws of labelled ones.

They need RUN/test.json under WORK, which names patients and is not kept; the differences are, in comparisons.json, as
long as the published rows give the same.
"""

from pathlib import Path
from typing import Any

import fcl_rows
import numpy as np
from fcl_results import MODEL, RESULTS, read_result
from numpy.typing import NDArray
from row_runner import RANDOM

from fedward.rounds.run_folder import read_json, write_json
from fedward.training.patient_bootstrap import mean_with_interval

SEEDS = range(1, 21)  # looked for
SAME = 1e-6
PAIRS = (
    *((init, RANDOM) for init in fcl_rows.INITS[1:]),
    (fcl_rows.MASKED, fcl_rows.LITERAL),
    (fcl_rows.MASKED, fcl_rows.ALONE),
    (fcl_rows.MASKED, "rotation"),
    (fcl_rows.MASKED, "simclr"),
    *((f"{fcl_rows.NOISY}{noise}", fcl_rows.MASKED) for noise in fcl_rows.NOISES),
)


def comparisons_path(preset: fcl_rows.Preset) -> Path:
    return RESULTS / preset.name / "comparisons.json"


def read_comparisons(preset: fcl_rows.Preset) -> list[dict[str, Any]]:
    path = comparisons_path(preset)
    return list(read_json(path)) if path.is_file() else []


def find_comparison(
    found: list[dict[str, Any]], mode: str, patients: int, first: str, second: str
) -> dict[str, Any] | None:
    """Dice of `first` minus that of `second`; None where it is not known."""
    wanted = {"mode": mode, "patients": patients, "first": first, "second": second}
    return next((entry for entry in found if entry.items() >= wanted.items()), None)


def write_comparisons(preset: fcl_rows.Preset, work: Path) -> None:
    """Compare what is published and under WORK; an older difference stays where the published rows still give it."""
    kept = {_key(entry): entry for entry in read_comparisons(preset) if _is_of_published_rows(entry, preset)}
    for mode in fcl_rows.MODES:
        for patients in preset.patients:
            for first, second in PAIRS:
                sides = [_dice(work, mode, patients, init, preset) for init in (first, second)]
                common = [seed for seed in SEEDS if all(seed in side for side in sides)]
                entry = {"mode": mode, "patients": patients, "first": first, "second": second}
                if common and not set(common) < set(kept.get(_key(entry), {}).get("seeds", ())):
                    kept[_key(entry)] = {**entry, "seeds": common, **compare(*sides, common)}
    write_json(comparisons_path(preset), [kept[key] for key in sorted(kept)])


def _is_of_published_rows(entry: dict[str, Any], preset: fcl_rows.Preset) -> bool:
    sides = [_published(entry["mode"], entry["patients"], entry[side], preset) for side in ("first", "second")]
    return all(
        all(seed in side for side in sides) and abs(sides[0][seed] - sides[1][seed] - apart) < SAME
        for seed, apart in zip(entry["seeds"], entry["by_seed"], strict=True)
    )


def _published(mode: str, patients: int, init: str, preset: fcl_rows.Preset) -> dict[int, float]:
    """Seed -> mean Dice of the row that the table shows."""
    results = {s: read_result(fcl_rows.fine_tuning(mode, patients, init, s, preset).name, preset) for s in SEEDS}
    return {seed: float(result["test"]["mean_dice"]["value"]) for seed, result in results.items() if result}


def _key(entry: dict[str, Any]) -> str:
    return " ".join(str(entry[name]) for name in ("mode", "patients", "first", "second"))


def _dice(work: Path, mode: str, patients: int, init: str, preset: fcl_rows.Preset) -> dict[int, dict[str, float]]:
    """Seed -> Dice of each test patient, of the rows under WORK that are the published ones."""
    found = {}
    for seed, published in _published(mode, patients, init, preset).items():
        path = work / fcl_rows.fine_tuning(mode, patients, init, seed, preset).name / "test.json"
        if path.is_file():
            dice = {p: v["dice"] for p, v in read_json(path)["models"][MODEL]["per_patient"].items()}
            if abs(sum(dice.values()) / len(dice) - published) < SAME:
                found[seed] = dice
    return found


def compare(
    first: dict[int, dict[str, float]], second: dict[int, dict[str, float]], seeds: list[int]
) -> dict[str, Any]:
    """Mean difference over patients and seeds with its 95 % interval by patient, and the mean difference of each seed.

    The interval covers the choice of test patients; the seeds' differences cover draws of labelled patients and
    weights.
    """
    names = sorted(first[seeds[0]])
    if any(sorted(side[seed]) != names for side in (first, second) for seed in seeds):
        raise SystemExit("the rows were tested on other patients: use another WORK")
    apart: NDArray[np.float64] = np.array(
        [[first[seed][name] - second[seed][name] for name in names] for seed in seeds]
    )
    value, low, high = mean_with_interval(apart.mean(axis=0))
    return {"value": value, "low": low, "high": high, "by_seed": [float(part) for part in apart.mean(axis=1)]}
