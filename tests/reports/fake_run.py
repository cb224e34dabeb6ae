"""Writes a run folder as a run of ten hospitals would leave it, with made-up numbers."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from fedward.evaluation import Evaluation, pool, pooled_dice

SITES = [f"hospital-{n:02d}" for n in range(1, 11)]
INSTITUTION = dict(zip(SITES, ["CS", "CS", "DU", "DU", "DU", "DU", "EZ", "FG", "HT", "HT"], strict=True))
PATIENTS = dict(zip(SITES, [9, 4, 16, 10, 7, 3, 1, 11, 15, 12], strict=True))
NO_VALIDATION = "hospital-07"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UPDATE_BYTES = 1_952_000


def evaluation(dice: float, cost: float, patients: int, tumour: int = 9000) -> dict[str, Any]:
    """An evaluation whose pixel counts give about `dice`."""
    tp = round(tumour * dice)
    fp, fn = round(tumour * (1 - dice) * 0.8), tumour - tp
    return Evaluation(cost, pooled_dice(tp, fp, fn), 22 * patients, patients, tp, fp, fn).to_dict()


def weights_of(samples: dict[str, int], rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, float]]:
    size = sum(samples.values())
    share = {site: n / size for site, n in samples.items()}
    shares = {"samples": share}
    for name in ("cost_ratio", "quality_ratio"):
        raw = {site: 1 + 0.15 * rng.standard_normal() for site in samples}
        shares[name] = {site: max(value, 0.2) / sum(max(v, 0.2) for v in raw.values()) for site, value in raw.items()}
    mix = {"samples": 0.5, "cost_ratio": 0.25, "quality_ratio": 0.25}
    return shares, {site: sum(mix[name] * shares[name][site] for name in mix) for site in samples}


def fake_records(rounds: int = 25, planned: int = 25, level: float = 0.8, seed: int = 1) -> list[dict[str, Any]]:
    """Records of `rounds` finished rounds; the run is complete (has its validation record) at `planned` rounds.

    hospital-07 has one patient and no validation; hospital-04 is missing in round 3; hospital-09 is refused in round 5.
    """
    rng = np.random.default_rng(seed)
    records = []
    clock = START
    for number in range(1, rounds + 2):
        final = number == rounds + 1
        if final and rounds < planned:
            break
        progress = 1 - np.exp(-(number - 1) / 6)
        answers: dict[str, Any] = {}
        for site in SITES:
            patients = max(1, PATIENTS[site] // 6)
            dice = float(np.clip(level * progress + 0.03 * rng.standard_normal(), 0, 1))
            cost = float(0.65 * np.exp(-number / 5) + 0.05 + 0.01 * rng.random())
            start = None if site == NO_VALIDATION else evaluation(dice, cost, patients)
            end = None if site == NO_VALIDATION else evaluation(min(dice + 0.04, 1), cost * 0.9, patients)
            answers[site] = {"arrived": 2 + rng.random(), "start": start}
            if not final:
                answers[site] |= {
                    "bytes": UPDATE_BYTES,
                    "samples": 22 * (PATIENTS[site] - patients if start else PATIENTS[site]),
                    "steps": 20,
                    "train_seconds": 1.5 + 0.1 * PATIENTS[site],
                    "loss": cost * 1.1,
                    "end": end,
                }
        record: dict[str, Any] = {"round": number - 1 if final else number, "answers": answers, "missing": {}}
        record |= {"kind": "validation" if final else "training", "seconds": 11.4 + rng.random()}
        record |= {"started": clock.isoformat(), "ended": (clock + timedelta(seconds=12)).isoformat()}
        clock += timedelta(seconds=13)
        if not final:
            record |= {"asked": SITES, "refused": {}, "warnings": []}
            if number == 3:
                del answers["hospital-04"]
                record["missing"]["hospital-04"] = "no answer within 600 s"
            if number == 5:
                record["refused"]["hospital-09"] = "values that are not finite in down1.conv.weight"
            if number in (2, 3, 8):
                record["warnings"] = [{"site": "hospital-06", "message": "Dice ratio 14.2 clipped to 10"}]
            samples = {s: a["samples"] for s, a in answers.items() if s not in record["refused"]}
            record["shares"], record["weights"] = weights_of(samples, rng)
        pooled = pool(Evaluation(**a["start"]) for a in answers.values() if a["start"])
        record["received"] = pooled.to_dict() if pooled else None
        records.append(record)
    return records


def fake_test(level: float = 0.8, patients: int = 22, seed: int = 2, fold: int = 0) -> dict[str, Any]:
    """A test result of the best and the last model, which is a little worse."""
    names = [f"TCGA_{['CS', 'DU', 'DU', 'FG', 'HT'][n % 5]}_{fold}{n:03d}_19990101" for n in range(patients)]
    rng = np.random.default_rng(seed)
    hardness = np.minimum(rng.gamma(1.2, 0.12, patients), 0.7)
    noise = np.random.default_rng([seed, round(1000 * level)])
    models = {}
    for model, number, loss in (("best", 17, 0.0), ("last", 25, 0.02)):
        dice = np.clip(level - loss + 0.1 - hardness + 0.03 * noise.standard_normal(patients), 0, 1)
        models[model] = {
            "round": number,
            "evaluation": evaluation(level - loss, 0.1, patients, tumour=80_000),
            "per_patient": {
                name: {"institution": name.split("_")[1], "dice": float(d), "iou": float(d / (2 - d)), "images": 22}
                for name, d in zip(names, dice, strict=True)
            },
        }
    return {"data_set": "lgg", "models": models}


def fake_partition(test_patients: int = 22) -> dict[str, Any]:
    sites = {}
    for site, count in PATIENTS.items():
        held = 0 if site == NO_VALIDATION else max(1, count // 6)
        patients = {"train": count - held, "validation": held}
        sites[site] = {
            "institution": INSTITUTION[site],
            "patients": patients,
            "slices": {use: 22 * n for use, n in patients.items()},
            "slices_with_tumour": {use: 8 * n for use, n in patients.items()},
        }
    test = {"patients": test_patients, "slices": 22 * test_patients, "slices_with_tumour": 8 * test_patients}
    warning = f"{NO_VALIDATION} has one patient: it trains only"
    settings = {"sites": 10, "by": "institution", "alpha": None, "fold": 0, "folds": 5, "server_patients": 0}
    return {
        "data_set": "lgg",
        "seed": 0,
        "settings": settings,
        "sites": sites,
        "test": test,
        "server": None,
        "warnings": [warning],
    }


def write_fake_run(
    root: Path,
    rounds: int = 25,
    planned: int = 25,
    scheme: str = "dcew",
    mode: str = "federated",
    level: float = 0.8,
    seed: int = 0,
    fold: int = 0,
    state: str | None = None,
    error: dict[str, str] | None = None,
) -> Path:
    """Write a run folder at `root`; a run with fewer rounds than planned was interrupted and has no test result."""
    root.mkdir(parents=True)
    complete = rounds == planned
    records = fake_records(rounds, planned, level)
    info = {
        "name": root.name,
        "state": state or ("finished" if complete else "interrupted"),
        "error": error,
        "mode": mode,
        "environment": "simulator",
        "scheme": scheme,
        "rounds": planned,
        "rounds_done": rounds,
        "seed": seed,
        "started": START.isoformat(),
        "ended": (START + timedelta(seconds=13 * rounds)).isoformat(),
        "seconds": 13.0 * rounds,
        "versions": {"fedward": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "nvflare": "2.9.0"},
        "machine": {"processor": "x86-64", "cores": 2, "memory_gib": 8, "device": "cpu", "threads_per_site": 1},
        "optimizer_steps": 20 * 10 * rounds,
        "final_record": complete,
    }
    settings = {
        "preprocessing": {"bias_field": "n4", "percentiles": [1.0, 99.0], "image_size": 96},
        "training": {"loss": "dice_bce", "optimizer": "adam", "learning_rate": 1e-3, "batch_size": 16},
        "aggregation": {"scheme": scheme, "alpha": 0.5, "beta": 0.25, "gamma": 0.25},
        "rounds": planned,
    }
    files = {"run.json": info, "settings.json": settings, "partition.json": fake_partition()}
    if complete:
        files["test.json"] = fake_test(level, fold=fold)
    for name, value in files.items():
        (root / name).write_text(json.dumps(value), encoding="utf-8")
    (root / "rounds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return root
