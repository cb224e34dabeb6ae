"""Differences of mean AUC between starts, on the same test patients: paired bootstrap by patient, seeds averaged.

They need the predictions under WORK, which name patients and are not kept; the differences are, in comparisons.json, as
long as the published rows give the same.
"""

from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import rows
from results import RESULTS, read_result

from fedward.rounds.run_folder import read_json, write_json
from fedward.training.auc import Interval, auc_difference

MODEL = "best"  # on the hospitals' validation images: the one a user would take
SEED = 1
SAME = 1e-6
SETTINGS = (("linear", "iid"), ("fine_tune", "non_iid"))
PAIRS = (
    *((start, rows.RANDOM) for start in (rows.IMAGENET, *rows.METHODS, *rows.ABLATION, rows.FEDERATED)),
    *((start, "byol") for start in rows.ABLATION),
    *(("frid", start) for start in rows.ABLATION),
    (rows.FEDERATED, "moco_v2"),
    ("moco_v2", rows.IMAGENET),
    *combinations(rows.METHODS, 2),
)
PER_FINDING = (("moco_v2", rows.RANDOM), ("frid", rows.RANDOM))


def comparisons_path(preset: rows.Preset) -> Path:
    return RESULTS / preset.name / "comparisons.json"


def find_comparison(
    found: list[dict[str, Any]], training: str, fraction: float, first: str, second: str
) -> dict[str, Any] | None:
    """The difference of AUC of `first` minus `second`, which may be kept the other way round; None where not known."""
    for entry in found:
        if (entry["training"], entry["fraction"]) != (training, fraction):
            continue
        if (entry["first"], entry["second"]) == (first, second):
            return entry
        if (entry["first"], entry["second"]) == (second, first):
            mean = entry["mean"]
            turned = {"value": -mean["value"], "low": -mean["high"], "high": -mean["low"]}
            return {**entry, "first": first, "second": second, "mean": turned}
    return None


def read_comparisons(preset: rows.Preset) -> list[dict[str, Any]]:
    path = comparisons_path(preset)
    return list(read_json(path)) if path.is_file() else []


def write_comparisons(preset: rows.Preset, work: Path, seeds: range = range(1, 21)) -> None:
    """Compare what is published and under WORK; an older difference stays where the published rows still give it."""
    kept = {_key(entry): entry for entry in read_comparisons(preset) if _is_of_published_rows(entry, preset)}
    for training, _ in SETTINGS:
        for fraction in preset.fractions:
            for first, second in PAIRS:
                sides = [
                    {
                        s: work / name
                        for s in seeds
                        if _is_published(name := _name(training, fraction, start, s, preset), work, preset)
                    }
                    for start in (first, second)
                ]
                common = [s for s in seeds if all(s in side for side in sides)]
                entry = {"training": training, "fraction": fraction, "first": first, "second": second}
                if common and not set(common) <= set(kept.get(_key(entry), {}).get("seeds", ())):
                    per_finding = (first, second) in PER_FINDING
                    found = compare(*([side[s] / "predictions.npz" for s in common] for side in sides), per_finding)
                    kept[_key(entry)] = {**entry, "seeds": common, **found}
    write_json(comparisons_path(preset), [kept[key] for key in sorted(kept)])


def _is_of_published_rows(entry: dict[str, Any], preset: rows.Preset) -> bool:
    means = []
    for side in ("first", "second"):
        names = [_name(entry["training"], entry["fraction"], entry[side], seed, preset) for seed in entry["seeds"]]
        results = [result for name in names if (result := read_result(name, preset))]
        if len(results) < len(names):
            return False
        means.append(fmean(result["test"][MODEL]["mean_auc"]["value"] for result in results))
    return abs(means[0] - means[1] - entry["mean"]["value"]) < SAME


def _is_published(name: str, work: Path, preset: rows.Preset) -> bool:
    """Whether the row under WORK is the one whose result is published."""
    result = read_result(name, preset)
    if result is None or not (work / name / "predictions.npz").is_file():
        return False
    return bool(read_json(work / name / "run.json")["ended"] == result["date"])


def _name(training: str, fraction: float, start: str, seed: int, preset: rows.Preset) -> str:
    return rows.classification(training, dict(SETTINGS)[training], start, seed, preset, fraction).name


def _key(entry: dict[str, Any]) -> str:
    return " ".join(str(entry[name]) for name in ("training", "fraction", "first", "second"))


def compare(first: list[Path], second: list[Path], per_finding: bool) -> dict[str, Any]:
    """Mean AUC of the models in `first` minus that of `second`, and the same of each finding where it is asked for."""
    sides, tables = [], []
    for paths in (first, second):
        opened = [np.load(path) for path in paths]
        tables += opened
        sides.append([file[MODEL] for file in opened])
    labels, patients, images = (tables[0][name] for name in ("labels", "patients", "images"))
    if any(not np.array_equal(images, table["images"]) for table in tables):
        raise SystemExit(f"{first[0].parent} and {second[0].parent} were tested on other images: use another WORK")
    result: dict[str, Any] = {"mean": _plain(auc_difference(*sides, labels, patients, SEED))}
    if per_finding:
        result["findings"] = [
            _plain(auc_difference(*([s[:, [f]] for s in side] for side in sides), labels[:, [f]], patients, SEED))
            for f in range(labels.shape[1])
        ]
    return result


def _plain(interval: Interval) -> dict[str, float | None]:
    values = zip(("value", "low", "high"), interval, strict=True)
    return {name: float(value) if np.isfinite(value) else None for name, value in values}
