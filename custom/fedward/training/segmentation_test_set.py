"""The test patients, who belong to no hospital: evaluated once, after training, on the best and the last model."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from fedward.datasets.base import Case
from fedward.datasets.registry import volume_data_set
from fedward.evaluation import Evaluation, pooled_dice
from fedward.networks.checkpoint import load_model
from fedward.preprocessing.cache import prepare_cases
from fedward.rounds.run_folder import RunFolder, write_json
from fedward.settings import RunSettings
from fedward.simulation import CACHE
from fedward.training.images import Images, stack_cases
from fedward.training.segmentation import PatientScore, evaluate_model, predict_masks
from fedward.training.trainer import choose_device

MODELS = ("best", "last")
Scores = dict[str, PatientScore]


def load_test_images(
    settings: RunSettings, sites_folder: Path, quiet: bool = False
) -> tuple[Images, list[Case]] | None:
    """Prepared images of SITES/test, and its cases; None where the partition set no test patients apart."""
    folder = sites_folder / "test"
    if not folder.is_dir():
        return None
    reader = volume_data_set(settings.data_set)
    cases = reader.find_cases(folder)
    prepared = prepare_cases(reader, cases, settings.preprocessing, sites_folder / CACHE, quiet=quiet)
    images = stack_cases(prepared)
    assert images is not None  # find_cases raises where there is no patient
    return images, cases


def score_model(path: Path, images: Images, device: torch.device) -> tuple[dict[str, Any], Scores]:
    """One model file on the test images, in float32: (the entry for test.json without patients, counts per patient)."""
    model, metadata = load_model(path)
    evaluation, scores = evaluate_model(model.to(device), images, device)
    return {"round": metadata["round"], "evaluation": evaluation.to_dict()}, scores


def patient_entries(scores: Scores, cases: list[Case]) -> dict[str, Any]:
    """Per-patient part of test.json."""
    return {
        case.patient: {
            "institution": case.institution,
            "dice": scores[case.patient].dice,
            "iou": scores[case.patient].iou,
            "images": scores[case.patient].images,
        }
        for case in cases
    }


def write_test(folder: RunFolder, settings: RunSettings, sites_folder: Path | None, device_name: str = "auto") -> bool:
    """Evaluate the run's models on the test patients and write test.json and overlays; False without test patients."""
    found = load_test_images(settings, sites_folder) if sites_folder is not None else None
    if found is None:
        return False
    images, cases = found
    device = choose_device(device_name)
    models = {}
    for name in MODELS:
        entry, scores = score_model(folder.model(name), images, device)
        models[name] = {**entry, "per_patient": patient_entries(scores, cases)}
    write_json(folder.test, {"data_set": settings.data_set, "models": models})
    draw_overlays(
        folder, folder.model("best"), images, {p: v["dice"] for p, v in models["best"]["per_patient"].items()}, device
    )
    return True


def write_local_test(
    folder: RunFolder, settings: RunSettings, sites_folder: Path, sites: Sequence[str], device_name: str
) -> bool:
    """test.json of `--mode local`: pixel counts are summed, each patient's Dice is averaged over the hospitals."""
    found = load_test_images(settings, sites_folder)
    if found is None:
        return False
    images, cases = found
    device = choose_device(device_name)
    models = {}
    for name in MODELS:
        scored = [score_model(RunFolder(folder.root / site).model(name), images, device) for site in sites]
        entries = [patient_entries(scores, cases) for _, scores in scored]
        models[name] = {
            "round": settings.rounds,
            "evaluation": _mean_evaluation([Evaluation(**entry["evaluation"]) for entry, _ in scored]).to_dict(),
            "per_patient": {
                patient: {**first, **{key: mean(entry[patient][key] for entry in entries) for key in ("dice", "iou")}}
                for patient, first in entries[0].items()
            },
        }
    write_json(folder.test, {"data_set": settings.data_set, "models": models})
    return True


def _mean_evaluation(parts: list[Evaluation]) -> Evaluation:
    """The same images under several models: counts are summed over the models, the cost is averaged."""
    counts = [sum(getattr(p, key) for p in parts) for key in ("true_positive", "false_positive", "false_negative")]
    costs = [p.cost for p in parts if p.cost is not None]
    return Evaluation(mean(costs) if costs else None, pooled_dice(*counts), parts[0].images, parts[0].patients, *counts)


def draw_overlays(
    folder: RunFolder, model_file: Path, images: Images, dice: dict[str, float], device: torch.device
) -> None:
    """Pictures of the best, median and worst test patient (by `dice`): of each the slice with most tumour."""
    from fedward.reports.metrics import representative_patients
    from fedward.reports.overlays import save_overlays

    model, _ = load_model(model_file)
    model.to(device)
    rows = []
    for label, patient in representative_patients(dice):
        slices = torch.nonzero(images.patient == images.patients.index(patient)).squeeze(1)
        shown = slices[images.mask[slices].sum(dim=(1, 2, 3)).argmax()]
        image = images.image[shown]
        predicted = predict_masks(model, image.unsqueeze(0), device)[0]
        title = f"{label}: {patient}, Dice {dice[patient]:.2f}"
        rows.append((title, image.float().numpy(), images.mask[shown, 0].numpy(), predicted.numpy()))
    save_overlays(folder.root / "overlays", rows)
