"""Writes run folders as a classification and a pretraining would leave them, with made-up numbers."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from fake_run import SITES, START, weights_of

from fedward.datasets.chestxray14 import FINDINGS
from fedward.evaluation import Evaluation, pool
from fedward.networks.checkpoint import save_model, sha256_of
from fedward.training.auc import auc_intervals, auc_per_finding

PREVALENCE = np.array([0.1, 0.06, 0.12, 0.18, 0.06, 0.06, 0.02, 0.05, 0.05, 0.03, 0.03, 0.02, 0.04, 0.01])
ONE_CLASS = "Hernia"  # no test patient has one
ONE_CLASS_SITE = "hospital-07"  # its validation images have no finding at all
NO_VALIDATION = "hospital-03"
UPDATE_BYTES, CLASSIFIER_BYTES = 28_000_000, 57_400
FREE = FINDINGS.index(ONE_CLASS)
ENCODER_ARGS = {"in_channels": 3, "out_channels": 0, "growth_rate": 32}


def labels_and_scores(images: int, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (images, 14) and probabilities that tell the classes apart the better the higher `level` is.

    Labels depend on `images` alone. The last finding has no positive image.
    """
    labels = (np.random.default_rng(images).random((images, len(FINDINGS))) < 2 * PREVALENCE).astype(np.float32)
    labels[:, FREE] = 0
    noise = np.random.default_rng(seed).normal(size=labels.shape)
    spread = level * np.linspace(0.6, 1.6, len(FINDINGS))
    return labels, (1 / (1 + np.exp(-(spread * labels + noise - 2)))).astype(np.float32)


def evaluation_of(labels: np.ndarray, scores: np.ndarray, cost: float, patients: int) -> dict[str, Any]:
    auc = auc_per_finding(scores, labels)
    details = {f"auc.{f}": float(v) for f, v in zip(FINDINGS, auc.values, strict=True) if np.isfinite(v)}
    details |= {f"positives.{f}": int(n) for f, n in zip(FINDINGS, auc.positives, strict=True)}
    details |= {f"negatives.{f}": int(n) for f, n in zip(FINDINGS, auc.negatives, strict=True)}
    return Evaluation(cost, auc.mean, len(labels), patients, details=details).to_dict()


def made_up(
    positives: np.ndarray, images: int, progress: float, cost: float, rng: np.random.Generator
) -> dict[str, Any]:
    """An evaluation with these numbers of positive images; a finding without any has no AUC."""
    auc = np.clip(0.5 + 0.25 * progress + 0.03 * rng.standard_normal(len(FINDINGS)), 0, 1)
    details = {f"auc.{f}": float(v) for f, v, n in zip(FINDINGS, auc, positives, strict=True) if n}
    details |= {f"positives.{f}": int(n) for f, n in zip(FINDINGS, positives, strict=True)}
    details |= {f"negatives.{f}": int(images - n) for f, n in zip(FINDINGS, positives, strict=True)}
    known = auc[positives > 0]
    return Evaluation(cost, float(known.mean()) if len(known) else None, images, images // 2, details=details).to_dict()


def classification_records(
    rounds: int, planned: int, level: float, linear: bool = False, sites: list[str] = SITES
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    records = []
    for number in range(1, rounds + 2):
        final = number == rounds + 1
        if final and rounds < planned:
            break
        progress = level * (1 - np.exp(-(number - 1) / 4))
        answers: dict[str, Any] = {}
        for index, site in enumerate(sites):
            positives = np.zeros(len(FINDINGS)) if site == ONE_CLASS_SITE else (2 + index) * PREVALENCE // 0.1
            evaluation = made_up(positives, 40 + 8 * index, progress, 0.3 * float(np.exp(-number / 6)) + 0.15, rng)
            start = None if site == NO_VALIDATION else evaluation
            whole = number == 1 or not linear
            answers[site] = {"arrived": 3.0, "start": start, "sent": UPDATE_BYTES if whole else CLASSIFIER_BYTES}
            answers[site] |= {"bytes": 2000}
            if not final:
                answers[site] |= {
                    "bytes": CLASSIFIER_BYTES if linear else UPDATE_BYTES,
                    "samples": 200 + 40 * index,
                    "steps": 4 + index,
                    "train_seconds": 3.0 + index,
                    "loss": evaluation["cost"] * 1.1,
                    "end": start,
                }
        record = round_record(number, final, answers, sites)
        if not final:
            record["shares"], record["weights"] = weights_of({s: a["samples"] for s, a in answers.items()}, rng)
        records.append(record)
    return records


def round_record(number: int, final: bool, answers: dict[str, Any], sites: list[str]) -> dict[str, Any]:
    ended = START + timedelta(seconds=13 * number)
    record: dict[str, Any] = {
        "kind": "validation" if final else "training",
        "round": number - 1 if final else number,
        "answers": answers,
        "missing": {},
        "seconds": 12.0,
        "started": START.isoformat(),
        "ended": ended.isoformat(),
    }
    if not final:
        record |= {"asked": sites, "refused": {}, "warnings": []}
    pooled = pool(Evaluation(**a["start"]) for a in answers.values() if a["start"])
    record["received"] = pooled.to_dict() if pooled else None
    return record


def image_partition(data_set: str, sites: list[str], labelled: bool, test: bool) -> dict[str, Any]:
    found = {}
    for index, site in enumerate(sites):
        images = {"train": 200 + 40 * index, "validation": 40 + 8 * index}
        counts = {
            use: {f: int(n * p * (1 + (index % 4))) for f, p in zip(FINDINGS, PREVALENCE, strict=True)}
            | {"No Finding": n // 2}
            for use, n in images.items()
        }
        found[site] = {
            "institution": "",
            "patients": {use: n // 2 for use, n in images.items()},
            "images": images,
            "findings": counts if labelled else {"train": {}, "validation": {}},
        }
    settings = {"sites": len(sites), "by": "non_iid" if labelled else "iid", "alpha": 0.5, "no_finding": "proportional"}
    settings |= {"fold": None, "folds": 5, "official_test": False, "server_patients": 0}
    totals = {"patients": 150, "images": 300, "findings": dict.fromkeys(FINDINGS, 9)}
    return {
        "data_set": data_set,
        "seed": 1,
        "settings": settings,
        "sites": found,
        "test": totals if test else None,
        "server": None,
        "warnings": [],
    }


def run_info(root: Path, rounds: int, planned: int, mode: str, scheme: str, seed: int) -> dict[str, Any]:
    return {
        "name": root.name,
        "state": "finished" if rounds == planned else "interrupted",
        "error": None,
        "mode": mode,
        "environment": "loop",
        "scheme": scheme,
        "rounds": planned,
        "rounds_done": rounds,
        "seed": seed,
        "started": START.isoformat(),
        "ended": (START + timedelta(seconds=13 * rounds)).isoformat(),
        "seconds": 13.0 * rounds,
        "versions": {"fedward": "0.1.0", "torch": "2.13.0"},
        "machine": {"processor": "x86-64", "cores": 2, "memory_gib": 8, "device": "cpu", "threads_per_site": 1},
        "optimizer_steps": 85 * rounds,
        "final_record": rounds == planned,
    }


def write_files(root: Path, files: dict[str, Any], records: list[dict[str, Any]]) -> None:
    for name, value in files.items():
        (root / name).write_text(json.dumps(value, allow_nan=False), encoding="utf-8")
    (root / "rounds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")


def plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def tested(level: float, images: int, seed: int) -> tuple[dict[str, Any], bytes]:
    """test.json and predictions.npz of the best and the last model."""
    patients = [f"{n // 2:08d}" for n in range(images)]
    models, predictions = {}, {}
    for name, number, loss in (("best", 8, 0.0), ("last", 12, 0.1)):
        labels, predictions[name] = labels_and_scores(images, level - loss, seed + number)
        intervals = auc_intervals(predictions[name], labels, patients, seed=1, draws=50)
        models[name] = {
            "round": number,
            "evaluation": evaluation_of(labels, predictions[name], 0.16, images // 2),
            "mean_auc": dict(zip(("value", "low", "high"), map(plain, intervals.mean), strict=True)),
            "findings": {
                finding: {
                    **dict(zip(("auc", "low", "high"), map(plain, interval), strict=True)),
                    "positives": int((labels[:, c] == 1).sum()),
                    "negatives": int((labels[:, c] == 0).sum()),
                }
                for c, (finding, interval) in enumerate(zip(FINDINGS, intervals.findings, strict=True))
            },
            "per_patient": {},
        }
    buffer = io.BytesIO()
    names = np.array([f"{p}_{n % 2:03d}.png" for n, p in enumerate(patients)])
    np.savez_compressed(buffer, labels=labels, patients=np.array(patients), images=names, **predictions)
    about = {"data_set": "chestxray14", "task": "classification", "findings": list(FINDINGS)}
    return {**about, "models": models}, buffer.getvalue()


def write_classification_run(
    root: Path,
    rounds: int = 12,
    planned: int = 12,
    scheme: str = "dcew",
    mode: str = "federated",
    level: float = 1.5,
    seed: int = 1,
    start: str = "random",
    linear: bool = False,
    images: int = 300,
    **selection: Any,
) -> Path:
    """A classification run at `root`; one with fewer rounds than planned was interrupted and has no test result."""
    root.mkdir(parents=True)
    settings = {
        "name": root.name,
        "preprocessing": {"image_size": 256},
        "training": {
            "network": "densenet121",
            "network_args": {"in_channels": 3, "out_channels": 14, "growth_rate": 32},
            "loss": "bce",
            "optimizer": "sgd",
            "learning_rate": 1e-3,
            "batch_size": 64,
            "local_epochs": 1,
            "mode": "linear" if linear else "fine_tune",
        },
        "aggregation": {"scheme": scheme, "alpha": 0.5},
        "selection": {"uncertain": "ignore", "views": "frontal", "label_fraction": 1.0, "draw": 1, **selection},
        "starting_weights": start,
        "rounds": planned,
        "seed": seed,
    }
    weights = {"name": start, "sha256": "ab" * 32, "loaded": 604, "fresh": ["classifier.bias"], "unused": []}
    info = run_info(root, rounds, planned, mode, scheme, seed)
    info["starting_weights"] = "random" if start == "random" else weights
    files = {"run.json": info, "settings.json": settings}
    files["partition.json"] = image_partition("chestxray14", SITES, labelled=True, test=True)
    if rounds == planned:
        files["test.json"], predictions = tested(level, images, seed)
        (root / "predictions.npz").write_bytes(predictions)
    write_files(root, files, classification_records(rounds, planned, level, linear))
    return root


def write_pretext_run(
    root: Path, rounds: int = 20, planned: int = 20, method: str = "moco_v2", probe: bool = True, sites: Any = None
) -> Path:
    """A pretraining at the coordinator (or federated, at `sites`) with a collapse warning in epoch 3."""
    root.mkdir(parents=True)
    names = sites or ["coordinator"]
    records = []
    for number in range(1, rounds + 2):
        final = number == rounds + 1
        if final and rounds < planned:
            break
        answers: dict[str, Any] = {}
        for index, site in enumerate(names):
            grown = 1 - np.exp(-number / 5)
            details = {"features.std": 0.004 + 0.02 * float(grown), "features.rank": 4 + 60 * float(grown)}
            quality = 0.5 + 0.15 * float(grown) if probe and number % 4 == 1 else None
            if quality is not None:
                details["knn.auc"] = quality
            cost = 1.2 + 5 * float(np.exp(-number / 6))
            start = Evaluation(cost, quality, 100, 100, details=details).to_dict()
            answers[site] = {"arrived": 3.0, "start": start, "sent": UPDATE_BYTES, "bytes": 2000}
            if not final:
                own = {"bytes": UPDATE_BYTES, "samples": 2000, "steps": 7, "train_seconds": 20.0 + index}
                answers[site] |= own | {"loss": cost * 1.05, "end": None}
        record = round_record(number, final, answers, names)
        if not final:
            record |= {"weights": dict.fromkeys(names, 1 / len(names)), "shares": {}}
            if number == 3:
                record["warnings"] = [{"site": names[0], "message": "the features have collapsed: rank 1.4"}]
        records.append(record)
    settings = {
        "name": root.name,
        "preprocessing": {"image_size": 256},
        "training": {
            "network": method,
            "network_args": {"in_channels": 3, "growth_rate": 32},
            "loss": "pretext",
            "batch_size": 256,
            "local_epochs": 1,
        },
        "aggregation": {"scheme": "fedavg"},
        "pretext": {"method": method, "temperature": 0.2, "crop_size": 224, "probe_data_set": "chestxray14"},
        "starting_weights": "random",
        "rounds": planned,
    }
    files = {"run.json": run_info(root, rounds, planned, "federated", "fedavg", 1), "settings.json": settings}
    files["partition.json"] = image_partition("image_folder", names, labelled=False, test=False)
    if rounds == planned:
        encoder = root / "models" / "encoder.safetensors"
        save_model(encoder, {"features.conv0.weight": np.zeros((64, 3, 7, 7), np.float32)}, "densenet121", ENCODER_ARGS)
        about = {"file": "models/encoder.safetensors", "sha256": sha256_of(encoder)}
        files["test.json"] = {"data_set": "image_folder", "task": "pretext", "models": {}, "encoder": about}
    write_files(root, files, records)
    return root
