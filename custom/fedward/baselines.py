"""What federation is compared with: all training images in one place, and each hospital on its own.

Both are federations of one site in the plain loop, so they run the same trainer with the same seeds. Centralised
training takes as many optimiser steps a round as the hospitals take together, and keeps its optimiser from round to
round; a hospital alone does exactly what it would have done in the federation.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from fedward.errors import UsageError
from fedward.evaluation import Evaluation, pooled_dice
from fedward.loop import run_loop
from fedward.rounds.record import Record
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import RunSettings
from fedward.training.segmentation import choose_device, steps_per_round
from fedward.training.site import Site, SiteImages, join_site_images
from fedward.training.test_set import MODELS, load_test_images, patient_entries, score_model

CENTRAL = "central"
OnRecord = Callable[[Record], None]


def run_central(
    settings: RunSettings,
    folder: RunFolder,
    images: Mapping[str, SiteImages],
    about: dict[str, Any],
    threads: int,
    device: str,
    on_record: OnRecord,
) -> None:
    """Train on all hospitals' training images together, in the run folder of an ordinary run with one site."""
    steps = sum(steps_per_round(len(part.train), settings.training) for part in images.values())
    training = replace(settings.training, local_epochs=None, local_steps=steps)
    settings = _alone(replace(settings, training=training), CENTRAL)
    joined = join_site_images([images[site] for site in sorted(images)])
    site = Site(CENTRAL, settings, joined, threads, device, optimizer_folder=folder.state)
    run_loop(settings, folder, {CENTRAL: site}, about, on_record=on_record)


def run_local(
    settings: RunSettings,
    folder: RunFolder,
    images: Mapping[str, SiteImages],
    about: dict[str, Any],
    threads: int,
    device: str,
    on_record: OnRecord,
) -> None:
    """Train each hospital alone, in a run folder of its own under RUN; a finished hospital is not trained again."""
    for name in sorted(images):
        own, alone = RunFolder(folder.root / name), _alone(settings, name)
        if own.finished():
            if read_json(own.run).get("fingerprint") != alone.fingerprint():
                raise UsageError(f"{own.root} was trained with other settings: use them again, or another --out")
            continue
        site = Site(name, alone, images[name], threads, device)
        run_loop(alone, own, {name: site}, about, on_record=on_record)


def _alone(settings: RunSettings, site: str) -> RunSettings:
    """The settings of a run with one site, whose weight is always 1: the server need not measure anything."""
    aggregation = replace(settings.aggregation, cost_source="site_validation")
    return replace(settings, sites=(site,), min_sites=1, aggregation=aggregation)


def write_local_test(
    folder: RunFolder, settings: RunSettings, sites_folder: Path, sites: tuple[str, ...], device_name: str
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
