"""The test patients of a segmentation into structures, who belong to no hospital: RUN/test.json and what goes with it.

Scans are scored as they were prepared, in 3-D: what preprocessing crops away counts neither for nor against a model. A
patient's value is the mean over the patient's scans; means and intervals are over patients, so that both frames of a
patient always go together. RUN/predictions.npz holds `truth`, `best` and `last` (N, S, S) uint8, all slices of all
scans, with `scan` (N,), the position of each slice's scan in `patients`, `frames` and `spacing`.
"""

import io
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedward.datasets.registry import scan_data_set
from fedward.datasets.scan import Scan
from fedward.evaluation import DICE, Evaluation
from fedward.networks.checkpoint import load_model
from fedward.preprocessing.scan_cache import prepare_scans
from fedward.rounds.run_folder import RunFolder, write_bytes, write_json
from fedward.settings import RunSettings
from fedward.simulation import CACHE
from fedward.training.patient_bootstrap import mean_with_interval
from fedward.training.scan_scores import StructureScore, average, mean_known, score_scan
from fedward.training.scan_slices import Slices, stack_scans
from fedward.training.structures import evaluate_slices, labels_of
from fedward.training.trainer import choose_device

MODELS = ("best", "last")
Scores = list[dict[str, StructureScore]]  # of one model, scan by scan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestSet:
    """The labelled test scans, prepared, and how many more have no labels."""

    __test__ = False  # for pytest: no test case

    scans: list[Scan]
    slices: Slices
    structures: tuple[str, ...]
    unlabelled: int


def load_test_set(settings: RunSettings, sites_folder: Path) -> TestSet | None:
    """The scans of SITES/test; None where the partition set no test patients apart, or none of them has labels."""
    folder = sites_folder / "test"
    if not folder.is_dir():
        return None
    reader = scan_data_set(settings.data_set)
    found = reader.find_scans(folder)
    scans = [scan for scan in found if scan.labels is not None]
    unlabelled = len(found) - len(scans)
    if unlabelled:
        log.warning("%d of %d test scans in %s have no labels: they are left out", unlabelled, len(found), folder)
    prepared = prepare_scans(reader, scans, settings.preprocessing, sites_folder / CACHE)
    slices = stack_scans(prepared, True)
    return None if slices is None else TestSet(scans, slices, reader.structures, unlabelled)


def write_test(folder: RunFolder, settings: RunSettings, sites_folder: Path | None, device_name: str = "auto") -> bool:
    """Evaluate the run's models on the test scans: test.json, predictions.npz and overlays/; False without any."""
    test = load_test_set(settings, sites_folder) if sites_folder is not None else None
    if test is None:
        return False
    device = choose_device(device_name)
    models, predictions = {}, {}
    for name in MODELS:
        round_number, evaluation, predicted = _apply(folder.model(name), test, device)
        predictions[name] = predicted
        models[name] = {
            "round": round_number,
            "evaluation": evaluation.to_dict(),
            **summary(test, [scores_of(test, predicted)], evaluation.details),
        }
    _write(folder, settings, test, models)
    _write_predictions(folder, test, predictions)
    draw_overlays(folder, test, predictions["best"], models["best"])
    return True


def write_local_test(
    folder: RunFolder, settings: RunSettings, sites_folder: Path, sites: Sequence[str], device_name: str
) -> bool:
    """test.json of `--mode local`: each hospital's own model is scored, and each value averaged over the hospitals."""
    test = load_test_set(settings, sites_folder)
    if test is None:
        return False
    device = choose_device(device_name)
    models = {}
    for name in MODELS:
        applied = [_apply(RunFolder(folder.root / site).model(name), test, device) for site in sites]
        evaluations = [evaluation for _, evaluation, _ in applied]
        mean = _mean_evaluation(evaluations)
        models[name] = {
            "round": settings.rounds,
            "evaluation": mean.to_dict(),
            **summary(test, [scores_of(test, predicted) for *_, predicted in applied], mean.details),
            "hospitals": {site: e.quality for site, e in zip(sites, evaluations, strict=True)},
        }
    _write(folder, settings, test, models)
    return True


def _apply(path: Path, test: TestSet, device: torch.device) -> tuple[int, Evaluation, NDArray[np.uint8]]:
    """Round of a model file, its evaluation on the test scans, and the labels it gives them, in float32."""
    model, metadata = load_model(path)
    evaluation, predicted = evaluate_slices(model.to(device), test.slices, test.structures, device)
    return metadata["round"], evaluation, predicted.numpy()


def scores_of(test: TestSet, predicted: NDArray[np.uint8]) -> Scores:
    """Scores of each scan, from the labels (N, S, S) of all slices."""
    truth, owner = labels_of(test.slices).numpy(), test.slices.scan.numpy()
    scores = []
    for number, scan in enumerate(test.slices.scans):
        own = owner == number
        scores.append(
            score_scan(predicted[own], truth[own], scan.spacing if scan.spacing_known else None, test.structures)
        )
    return scores


def summary(test: TestSet, models: Sequence[Scores], pooled: Mapping[str, float]) -> dict[str, Any]:
    """The entry of test.json for one model, or for several whose scores are averaged; `pooled` has their dice.S."""
    scores = [{s: average([own[s] for own in scan]) for s in test.structures} for scan in zip(*models, strict=True)]
    patients = [scan.patient for scan in test.scans]
    structures = {}
    for name in test.structures:
        missing = Counter(scan[name].missing for own in models for scan in own if scan[name].missing)
        structures[name] = {
            "pooled_dice": pooled.get(DICE + name),
            "dice": patient_interval(patients, [scan[name].dice for scan in scores]),
            "hd95": {**patient_interval(patients, [scan[name].hd95 for scan in scores]), "missing": dict(missing)},
        }
    dice = [mean_known([score.dice for score in scan.values()]) for scan in scores]
    hd95 = [mean_known([score.hd95 for score in scan.values()]) for scan in scores]
    entries = zip(test.scans, scores, dice, hd95, torch.bincount(test.slices.scan).tolist(), strict=True)
    per_scan = [
        {
            **{"patient": scan.patient, "frame": scan.frame, "group": scan.group, "images": images},
            **{"dice": mean, "hd95": distance},
            "structures": {n: {"dice": s.dice, "hd95": s.hd95, "hd95_missing": s.missing} for n, s in own.items()},
        }
        for scan, own, mean, distance, images in entries
    ]
    return {
        "mean_dice": patient_interval(patients, dice),
        "hd95": patient_interval(patients, hd95),
        "structures": structures,
        "per_scan": per_scan,
        "per_patient": {patient: _patient(patient, per_scan) for patient in sorted(set(patients))},
    }


def _patient(patient: str, per_scan: list[dict[str, Any]]) -> dict[str, Any]:
    own = [entry for entry in per_scan if entry["patient"] == patient]
    return {
        "group": own[0]["group"],
        **{key: mean_known([entry[key] for entry in own]) for key in ("dice", "hd95")},
        "images": sum(entry["images"] for entry in own),
        "scans": len(own),
    }


def patient_interval(patients: Sequence[str], values: Sequence[float | None]) -> dict[str, Any]:
    """Mean over patients of the mean of their scans' values, and its 95 % interval: patients drawn with replacement.

    Scans without a value are left out; no interval with fewer than two patients. The order does not matter.
    """
    by_patient: dict[str, list[float]] = {}
    for patient, value in sorted(zip(patients, values, strict=True), key=lambda pair: pair[0]):
        if value is not None:
            by_patient.setdefault(patient, []).append(value)
    found = mean_with_interval(np.array([fmean(own) for own in by_patient.values()]))
    known = {key: v if np.isfinite(v) else None for key, v in zip(("value", "low", "high"), found, strict=True)}
    return {**known, "patients": len(by_patient), "scans": sum(len(own) for own in by_patient.values())}


def _mean_evaluation(parts: Sequence[Evaluation]) -> Evaluation:
    """The same images under several models: cost, quality and Dice averaged; pixel counts would belong to none."""
    details = {}
    for name in sorted({name for part in parts for name in part.details if name.startswith(DICE)}):
        details[name] = fmean(part.details[name] for part in parts if name in part.details)
    cost, quality = mean_known([p.cost for p in parts]), mean_known([p.quality for p in parts])
    return Evaluation(cost, quality, parts[0].images, parts[0].patients, details=details)


def _write(folder: RunFolder, settings: RunSettings, test: TestSet, models: dict[str, Any]) -> None:
    about = {"data_set": settings.data_set, "task": "structures", "structures": list(test.structures)}
    write_json(folder.test, {**about, "unlabelled": test.unlabelled, "models": models})


def _write_predictions(folder: RunFolder, test: TestSet, predictions: dict[str, NDArray[np.uint8]]) -> None:
    slices, buffer = test.slices, io.BytesIO()
    np.savez_compressed(
        buffer,
        truth=labels_of(slices).numpy(),
        scan=slices.scan.numpy(),
        patients=np.array([scan.patient for scan in slices.scans]),
        frames=np.array([scan.frame for scan in slices.scans]),
        spacing=np.array([scan.spacing if scan.spacing_known else (np.nan,) * 3 for scan in slices.scans]),
        **predictions,
    )
    write_bytes(folder.root / "predictions.npz", buffer.getvalue())


def draw_overlays(folder: RunFolder, test: TestSet, predicted: NDArray[np.uint8], entry: dict[str, Any]) -> None:
    """Pictures of the best, median and worst test scan: truth and prediction, slice by slice."""
    from fedward.reports.metrics import representative_patients
    from fedward.reports.overlays import save_pictures
    from fedward.reports.structure_sheet import structure_sheet

    titles = [f"{scan['patient']} {scan['frame']}".strip() for scan in entry["per_scan"]]
    dice = {t: scan["dice"] for t, scan in zip(titles, entry["per_scan"], strict=True) if scan["dice"] is not None}
    image, truth, owner = (part.numpy() for part in (test.slices.image[:, 0], labels_of(test.slices), test.slices.scan))
    pictures = []
    for label, title in representative_patients(dice):
        own = owner == titles.index(title)
        sheet = structure_sheet(image[own], truth[own], predicted[own], test.structures)
        pictures.append((f"{label}: {title}, Dice {dice[title]:.2f}", sheet))
    save_pictures(folder.root / "overlays", pictures)
