"""Writes run folders as a contrastive pretraining and a segmentation into structures would leave them, made-up."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from fake_run import weights_of
from fake_xray_run import round_record, run_info, write_files

from fedward.cardiac_contrastive import SETTINGS as CONTRASTIVE
from fedward.cardiac_segmentation import SETTINGS as SEGMENTATION
from fedward.contrast.agreed_warnings import COLLAPSED
from fedward.datasets.acdc import STRUCTURES
from fedward.datasets.scan import Scan
from fedward.evaluation import Evaluation, mean_dice, structure_details
from fedward.training.scan_scores import NOT_PREDICTED, SPACING_UNKNOWN, StructureScore
from fedward.training.structures_test_set import TestSet, summary

SITES = [f"hospital-{n:02d}" for n in range(1, 5)]
LATE, HOSTILE = SITES[2], SITES[3]  # has no features in round 3, is refused in round 4
ROWS = 80
BYTES = ROWS * (128 * 2 + 1)
UPDATE_BYTES = 95_376


def scan_partition(sites: list[str] = SITES, test: bool = True) -> dict[str, Any]:
    counts = {"patients": (5, 1), "scans": (10, 2), "slices": (80, 16)}
    each = {what: dict(zip(("train", "validation"), both, strict=True)) for what, both in counts.items()}
    groups = {"train": {"DCM": 3, "NOR": 2}, "validation": {"NOR": 1}}
    apart = {"patients": 6, "scans": 12, "slices": 96, "groups": {"DCM": 3, "NOR": 3}}
    return {
        "data_set": "acdc",
        "seed": 1,
        "settings": {"sites": len(sites), "by": "stratified"},
        "sites": {site: {"institution": "", **each, "groups": groups} for site in sites},
        "test": apart if test else None,
        "server": None,
        "warnings": [],
    }


# --- contrastive pretraining ----------------------------------------------------------------------------------------


def exchange_of(number: int) -> dict[str, Any]:
    """Before round 3 one site is late, whose earlier features stand in; before round 4 another is refused."""
    bank = {"rows": ROWS, "bytes": BYTES, "age": 0, "arrived": 0.9, "train_seconds": 0.4}
    banks = {site: dict(bank) for site in SITES}
    exchange: dict[str, Any] = {"missing": {}, "refused": {}, "seconds": 2.5}
    if number == 3:
        banks[LATE] |= {"age": 1, "arrived": None, "train_seconds": None}
        exchange["missing"] = {LATE: "no answer in time"}
    if number == 4:
        del banks[HOSTILE]
        exchange["refused"] = {HOSTILE: "the features are not all of length 1"}
    total = BYTES * len(banks)
    offered = [site for site in SITES if banks.get(site, {}).get("arrived")]
    models = dict.fromkeys(offered, UPDATE_BYTES)
    return exchange | {"banks": banks, "models": models, "sent": {s: total - BYTES * (s in banks) for s in SITES}}


def contrast_records(rounds: int, planned: int, exchange: bool, probed: bool, collapsed: bool) -> list[dict[str, Any]]:
    records = []
    for number in range(1, rounds + 2):
        final = number == rounds + 1
        if final and rounds < planned:
            break
        grown = 1 - float(np.exp(-(number - 1) / 3))
        answers: dict[str, Any] = {}
        for place, site in enumerate(SITES):
            details = {"features.std": 0.007 + 0.05 * grown, "features.rank": 2 + 9 * grown}
            quality = 0.28 + 0.5 * grown if probed else None
            if quality is not None:
                details["knn.partition"] = quality
            start = Evaluation(1.9 - grown, quality, 16, 1, details=details).to_dict()
            answers[site] = {"arrived": 3.0, "start": start, "sent": UPDATE_BYTES, "bytes": 2000}
            if not final:
                own = {"bytes": UPDATE_BYTES, "samples": 40, "steps": 2, "train_seconds": 2.0, "end": None}
                answers[site] |= own | {"loss": 8 - grown - 0.1 * place}
        record = round_record(number, final, answers, SITES)
        if not final:
            record |= {"weights": dict.fromkeys(SITES, 0.25), "shares": {"samples": dict.fromkeys(SITES, 0.25)}}
            if exchange and number > 1:
                record["exchange"] = exchange_of(number)
            if collapsed:
                record["warnings"] = [{"site": SITES[0], "message": COLLAPSED}]
        records.append(record)
    return records


def write_features(path: Path, partitions: int = 4, dimensions: int = 32) -> None:
    """12 slices a scan whose features say their partition, a little their hospital; the last scan is a test's."""
    rng = np.random.default_rng(0)
    partition = np.tile(np.arange(12) * partitions // 12, len(SITES) + 1)
    hospital = np.repeat([*range(len(SITES)), -1], 12)
    rows = rng.normal(0, 0.1, (len(partition), dimensions))
    rows[:, 0] += partition
    rows[:, 1] += 0.3 * hospital
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.savez(
        path,
        rows=rows.astype(np.float16),
        partition=partition.astype(np.uint8),
        scan=np.repeat(np.arange(len(SITES) + 1), 12).astype(np.int32),
        hospital=hospital.astype(np.int16),
        member=hospital >= 0,
        hospitals=np.array(SITES),
    )


def write_contrast_run(
    root: Path,
    rounds: int = 5,
    planned: int = 5,
    probed: bool = True,
    collapsed: bool = False,
    mode: str = "federated",
    **contrast: Any,
) -> Path:
    """A pretraining at `root`; one with fewer rounds than planned was interrupted and has no result."""
    root.mkdir(parents=True)
    changed = replace(CONTRASTIVE.contrast, **contrast)
    training = replace(CONTRASTIVE.training, network=changed.network, network_args={"features": 4, "depth": 3})
    settings = replace(
        CONTRASTIVE,
        name=root.name,
        sites=tuple(SITES),
        min_sites=len(SITES),
        rounds=planned,
        contrast=changed,
        training=training,
    )
    files = {
        "run.json": run_info(root, rounds, planned, mode, "fedavg", 1),
        "settings.json": settings.to_dict(),
        "partition.json": scan_partition(),
    }
    if rounds == planned:
        found = {"auc": 0.62, "low": 0.53, "high": 0.71, "members": 40, "others": 20}
        near = {"auc": 0.58, "low": 0.44, "high": 0.7, "members": 40, "others": 20} if changed.exchange else None
        files["test.json"] = {
            "data_set": "acdc",
            "task": "contrast",
            "models": {},
            "encoder": {"file": "models/encoder.safetensors", "sha256": "ab" * 32},
            "membership": {"alignment": found, "exchanged": near},
        }
        write_features(root / "features.npz", changed.partitions)
    write_files(root, files, contrast_records(rounds, planned, changed.exchange, probed, collapsed))
    return root


# --- structures -----------------------------------------------------------------------------------------------------


def structures_evaluation(level: float, cost: float, patients: int) -> dict[str, Any]:
    counts = {}
    for place, name in enumerate(STRUCTURES):
        right = round(1000 * (level - 0.1 * place))
        counts[name] = (right, 1000 - right, 1000 - right)
    details = structure_details(counts)
    return Evaluation(cost, mean_dice(details), 16 * patients, patients, details=details).to_dict()


def structures_records(rounds: int, planned: int, level: float, sites: list[str]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(4)
    records = []
    for number in range(1, rounds + 2):
        final = number == rounds + 1
        if final and rounds < planned:
            break
        grown = level * (1 - float(np.exp(-number / 3)))
        answers: dict[str, Any] = {}
        for place, site in enumerate(sites):
            start = None if place == 1 else structures_evaluation(0.3 + 0.6 * grown - 0.02 * place, 1 - 0.5 * grown, 1)
            answers[site] = {"arrived": 3.0, "start": start, "sent": UPDATE_BYTES, "bytes": 2000}
            if not final:
                own = {"bytes": UPDATE_BYTES, "samples": 32, "steps": 4, "train_seconds": 2.0, "end": start}
                answers[site] |= own | {"loss": 2 - grown}
        record = round_record(number, final, answers, sites)
        if not final:
            samples = {site: a["samples"] for site, a in answers.items()}
            record["shares"], record["weights"] = weights_of(samples, rng)
        records.append(record)
    return records


def structures_test(
    level: float, patients: int = 6, seed: int = 2, spacing: bool = True, sites: list[str] | None = None
) -> dict[str, Any]:
    """test.json of made-up scores; the first patient's right ventricle is not predicted at ED."""
    scans = [
        Scan(f"patient{n:03d}", frame, Path("no"), Path("no"), ("DCM", "NOR")[n % 2])
        for n in range(1, patients + 1)
        for frame in ("ED", "ES")
    ]
    hardness = np.random.default_rng(1).random((len(scans), len(STRUCTURES))) * 0.2
    noise = np.random.default_rng(seed).normal(0, 0.01, hardness.shape)
    slices: Any = SimpleNamespace(scan=torch.arange(len(scans)).repeat_interleave(8))
    test = TestSet(scans, slices, STRUCTURES, 2)
    models = {}
    for name, number, loss in (("best", 4, 0.0), ("last", 6, 0.03)):
        dice = level - loss - hardness + noise
        scores = [
            {
                structure: StructureScore(
                    float(d), 20 * (1 - float(d)) if spacing else None, None if spacing else SPACING_UNKNOWN
                )
                for structure, d in zip(STRUCTURES, row, strict=True)
            }
            for row in dice
        ]
        scores[0][STRUCTURES[0]] = StructureScore(0.0, None, NOT_PREDICTED)
        evaluation = structures_evaluation(level - loss, 0.4, patients)
        models[name] = {
            "round": number,
            "evaluation": evaluation,
            **summary(test, [scores], evaluation["details"]),
        }
        if sites:
            models[name]["hospitals"] = {site: level - 0.1 * place for place, site in enumerate(sites)}
    about = {"data_set": "acdc", "task": "structures", "structures": list(STRUCTURES), "unlabelled": 2}
    return {**about, "models": models}


def write_structures_run(
    root: Path,
    rounds: int = 6,
    planned: int = 6,
    scheme: str = "fedavg",
    mode: str = "federated",
    level: float = 0.8,
    seed: int = 1,
    start: str = "random",
    draw: int = 1,
    labelled: int | None = 2,
    **test: Any,
) -> Path:
    """A segmentation at `root`; one with fewer rounds than planned was interrupted and has no test result."""
    root.mkdir(parents=True)
    settings = replace(
        SEGMENTATION, name=root.name, sites=tuple(SITES), min_sites=len(SITES), rounds=planned, seed=seed
    ).to_dict()
    settings["aggregation"]["scheme"] = scheme
    settings["starting_weights"] = start
    settings["selection"] = {**(settings.get("selection") or {}), "labelled_patients": labelled, "draw": draw}
    files = {
        "run.json": run_info(root, rounds, planned, mode, scheme, seed),
        "settings.json": settings,
        "partition.json": scan_partition(),
    }
    if rounds == planned:
        own = SITES if mode == "local" else None
        files["test.json"] = structures_test(level, **{"seed": seed, "sites": own, **test})
    if mode == "local":
        for site in SITES:
            (root / site).mkdir()
            lines = [json.dumps(r) + "\n" for r in structures_records(rounds, planned, level, [site])]
            (root / site / "rounds.jsonl").write_text("".join(lines), encoding="utf-8")
    write_files(root, files, structures_records(rounds, planned, level, SITES))
    return root
