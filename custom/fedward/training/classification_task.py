"""The classification task: how a site's X-rays are loaded, judged, prepared and scored."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fedward.datasets.label_fraction import fraction_of_patients
from fedward.datasets.registry import image_data_set
from fedward.errors import DataError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import load_parameters
from fedward.networks.registry import build_network
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.classification import ClassificationTrainer, LinearTrainer, evaluation_of, predict_logits
from fedward.training.classification_test_set import write_local_test, write_test
from fedward.training.frozen_features import FeatureStore
from fedward.training.task import Judgement, SiteImages, Task
from fedward.training.trainer import choose_device
from fedward.training.xray_images import (
    XrayImages,
    join_xrays,
    open_xrays,
    prepare_folders,
    site_xrays,
)

NO_VALIDATION = {
    "validation": "no validation patient: the site trains, its cost and AUC are missing",
    "training": "no validation patient: the site trains, the global model is not measured",
}
NO_LABEL = {
    part: f"no known label in its {part} images: the site trains, its cost and AUC are missing"
    for part in ("training", "validation")
}
ONE_CLASS = {
    part: f"no finding has both classes in its {part} images: the site trains, its AUC is missing"
    for part in ("training", "validation")
}
ONE_IMAGE = "a single training image: batch normalisation keeps the received statistics"
ONE_PATIENT = "the label fraction is less than one patient: one patient is used"
WARNINGS = (*NO_VALIDATION.values(), *NO_LABEL.values(), *ONE_CLASS.values(), ONE_IMAGE, ONE_PATIENT)


def load(site: str, config: SiteConfig, settings: RunSettings) -> SiteImages:
    """A site's images, its training patients reduced to the label fraction; DataError where none is to train on."""
    folder = config.data_folder(settings.data_set)
    train, validation = site_xrays(site, folder, config.cache_folder(), settings)
    if train is None:
        raise DataError(f"{site}: no training patient in {folder}: check its split.json or add patients")
    selection = settings.selection
    notes: tuple[str, ...] = ()
    if selection.label_fraction < 1:
        if selection.label_fraction * len(set(train.patients)) < 1:
            notes = (ONE_PATIENT,)
        chosen = fraction_of_patients(train.patients, selection.label_fraction, settings.seed, site, selection.draw)
        train = train.of_patients(chosen)
        assert train is not None  # a fraction holds at least one patient
    config.check_enough(site, len(set(train.patients)))
    return SiteImages(train, validation, notes)


def crop_size(settings: RunSettings) -> int:
    return settings.training.crop_size or settings.preprocessing.image_size


def make_trainer(
    site: str,
    images: SiteImages,
    settings: RunSettings,
    device: str,
    state_folder: Path | None,
    config: SiteConfig | None,
) -> ClassificationTrainer:
    training = settings.training
    findings = image_data_set(settings.data_set).findings
    common = (site, images.train, images.validation, training, settings.rounds, settings.seed, device, state_folder)
    if training.mode == "fine_tune":
        return ClassificationTrainer(*common, findings, crop_size(settings))
    run = f"{settings.name}-{settings.fingerprint()[:16]}-{site}"
    store = FeatureStore(config.cache if config else None, _content(images, settings), run)
    return LinearTrainer(*common, findings, crop_size(settings), store=store)


def _content(images: SiteImages, settings: RunSettings) -> str:
    """What features depend on besides the encoder."""
    parts = [f"{settings.data_set} {crop_size(settings)} {settings.training.precision}"]
    for part in (images.train, images.validation):
        if part is not None:
            packs = [Path(getattr(pack, "filename", "") or "").name for pack in part.packs]
            parts.append(f"{packs} {part.where.tobytes().hex()}")
    return "\n".join(parts)


def judge(images: SiteImages, claims_from: str) -> Judgement:
    """Which of the site's images have no known label, and the warnings that its claims need."""
    warnings = [] if images.validation is not None else [NO_VALIDATION[claims_from]]
    unmeasured = set()
    parts: dict[str, XrayImages | None] = {"training": images.train, "validation": images.validation}
    for name, part in parts.items():
        if part is None:
            continue
        labels = part.labels
        if labels.isnan().all():
            unmeasured.add(name)
            warnings.append(NO_LABEL[name])
        elif name == claims_from and not (((labels == 1).any(dim=0)) & ((labels == 0).any(dim=0))).any():
            warnings.append(ONE_CLASS[name])
    if len(images.train) < 2:
        warnings.append(ONE_IMAGE)
    return Judgement(frozenset(unmeasured), tuple(warnings))


def check(settings: RunSettings, config: SiteConfig) -> None:
    image_data_set(settings.data_set).read_table(config.data_folder(settings.data_set), settings.selection)


def score(settings: RunSettings, config: SiteConfig) -> Callable[[Mapping[str, NDArray[np.generic]]], Evaluation]:
    """A function that measures parameters on the server's validation images, which belong to no hospital."""
    data_set = image_data_set(settings.data_set)
    table = data_set.read_table(config.validation_folder(settings.data_set), settings.selection)
    images = open_xrays(table, settings.preprocessing.image_size, config.cache_folder())
    if config.threads:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    model = build_network(settings.training.network, settings.training.network_args).to(device)

    def measured(parameters: Mapping[str, NDArray[np.generic]]) -> Evaluation:
        load_parameters(model, parameters)
        logits = predict_logits(model, images, crop_size(settings), device, settings.training.precision)
        return evaluation_of(logits, images, data_set.findings)

    return measured


TASK = Task(
    load=load,
    join=join_xrays,
    trainer=make_trainer,
    judge=judge,
    prepare=prepare_folders,
    check=check,
    score=score,
    write_test=write_test,
    write_local_test=write_local_test,
)
