"""The test patients of a classification run, who belong to no hospital: AUC of each finding, with intervals.

RUN/test.json, RUN/predictions.npz and RUN/saliency/ are made here, for the best and the last model.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedward.datasets.image_table import ImageTable, image_names
from fedward.datasets.registry import image_data_set
from fedward.networks.checkpoint import load_model
from fedward.rounds.run_folder import RunFolder, write_bytes, write_json
from fedward.settings import RunSettings
from fedward.simulation import CACHE
from fedward.training.auc import Interval, auc_intervals, auc_per_finding, bootstrap_auc, draw_means, interval
from fedward.training.classification import class_activation, evaluation_of, predict_logits
from fedward.training.trainer import choose_device
from fedward.training.xray_images import XrayImages, open_xrays

MODELS = ("best", "last")
LEAST, MOST = np.finfo(np.float32).tiny, np.nextafter(np.float32(1), np.float32(0))  # probabilities with a finite logit
PICTURES = 6  # findings with most positives, the most probable true image of each


def load_test_images(settings: RunSettings, sites_folder: Path) -> tuple[XrayImages, ImageTable] | None:
    """Images of SITES/test and their table; None where the partition set no test patients apart."""
    folder = sites_folder / "test"
    if not folder.is_dir():
        return None
    table = image_data_set(settings.data_set).read_table(folder, settings.selection)
    return open_xrays(table, settings.preprocessing.image_size, sites_folder / CACHE, workers=0, quiet=False), table


def write_test(folder: RunFolder, settings: RunSettings, sites_folder: Path | None, device_name: str = "auto") -> bool:
    """Evaluate the run's models on the test patients; False where there is none."""
    found = load_test_images(settings, sites_folder) if sites_folder is not None else None
    if found is None:
        return False
    images, table = found
    device, crop = choose_device(device_name), settings.training.crop_size or settings.preprocessing.image_size
    models, predictions = {}, {}
    for name in MODELS:
        model, metadata = load_model(folder.model(name))
        logits = predict_logits(model.to(device), images, crop, device)
        predictions[name] = logits.sigmoid().cpu().numpy()
        evaluation = evaluation_of(logits, images, table.findings).to_dict()
        intervals = auc_intervals(predictions[name], table.labels, table.patients)
        models[name] = {
            "round": metadata["round"],
            "evaluation": evaluation,
            **_aucs(table, intervals.mean, intervals.findings),
        }
    _write(folder, settings, sites_folder / "test", table, models, predictions)
    draw_saliency(folder, images, table, predictions["best"], crop, device)
    return True


def write_local_test(
    folder: RunFolder, settings: RunSettings, sites_folder: Path, sites: Sequence[str], device_name: str
) -> bool:
    """test.json of `--mode local`: each AUC is the mean over the hospitals' own models."""
    found = load_test_images(settings, sites_folder)
    if found is None:
        return False
    images, table = found
    device, crop = choose_device(device_name), settings.training.crop_size or settings.preprocessing.image_size
    models, predictions = {}, {}
    for name in MODELS:
        scores = []
        for site in sites:
            model, _ = load_model(RunFolder(folder.root / site).model(name))
            scores.append(predict_logits(model.to(device), images, crop, device).sigmoid().cpu().numpy())
        predictions[name] = np.stack(scores)
        values = np.mean([auc_per_finding(s, table.labels).values for s in scores], axis=0)
        drawn = np.mean([bootstrap_auc(s, table.labels, table.patients) for s in scores], axis=0)
        findings = tuple(interval(float(value), drawn[:, i]) for i, value in enumerate(values))
        mean = interval(float(np.nanmean(values)) if np.isfinite(values).any() else np.nan, draw_means(drawn))
        pooled = torch.from_numpy(np.mean(scores, axis=0).clip(LEAST, MOST)).logit()
        models[name] = {
            "round": settings.rounds,
            "evaluation": {**evaluation_of(pooled, images, table.findings).to_dict(), "quality": _plain(mean.value)},
            **_aucs(table, mean, findings),
        }
    _write(folder, settings, sites_folder / "test", table, models, predictions)
    return True


def _write(
    folder: RunFolder,
    settings: RunSettings,
    root: Path,
    table: ImageTable,
    models: dict[str, Any],
    predictions: dict[str, NDArray[np.float32]],
) -> None:
    write_predictions(folder.root / "predictions.npz", root, table, predictions)
    about = {"data_set": settings.data_set, "task": "classification", "findings": list(table.findings)}
    write_json(folder.test, {**about, "models": {name: {**m, "per_patient": {}} for name, m in models.items()}})


def write_predictions(path: Path, root: Path, table: ImageTable, predictions: dict[str, NDArray[np.float32]]) -> None:
    """The probabilities of each model beside labels, patients and images, which are named from `root` on."""
    buffer, names = io.BytesIO(), np.array(image_names(table.paths, root))
    np.savez_compressed(buffer, labels=table.labels, patients=np.array(table.patients), images=names, **predictions)
    write_bytes(path, buffer.getvalue())


def _aucs(table: ImageTable, mean: Interval, findings: Sequence[Interval]) -> dict[str, Any]:
    """Mean AUC and AUC of each finding for test.json; null where a finding has one class only."""
    positives, negatives = (table.labels == 1).sum(axis=0), (table.labels == 0).sum(axis=0)
    return {
        "mean_auc": {key: _plain(value) for key, value in zip(("value", "low", "high"), mean, strict=True)},
        "findings": {
            name: {
                **{key: _plain(value) for key, value in zip(("auc", "low", "high"), interval, strict=True)},
                "positives": int(positives[i]),
                "negatives": int(negatives[i]),
            }
            for i, (name, interval) in enumerate(zip(table.findings, findings, strict=True))
        },
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def draw_saliency(
    folder: RunFolder,
    images: XrayImages,
    table: ImageTable,
    probabilities: NDArray[np.float32],
    crop: int,
    device: torch.device,
) -> None:
    """Class activation maps of the best model: for the most frequent findings, the true image it is surest of."""
    from fedward.reports.saliency_pictures import save_saliency

    model, _ = load_model(folder.model("best"))
    model.to(device)
    positives = (table.labels == 1).sum(axis=0)
    rows = []
    for finding in np.argsort(-positives, kind="stable")[:PICTURES]:
        true = np.flatnonzero(table.labels[:, finding] == 1)
        if not len(true):
            continue
        chosen = int(true[np.argmax(probabilities[true, finding])])
        image = images.pixels(slice(chosen, chosen + 1))[0, 0].numpy()
        heat = class_activation(model, image, int(finding), crop, device)
        start = (image.shape[0] - crop) // 2
        title = f"{table.findings[finding]}, probability {probabilities[chosen, finding]:.2f}"
        rows.append((title, image[start : start + crop, start : start + crop] / 255.0, heat))
    save_saliency(folder.root / "saliency", rows)
