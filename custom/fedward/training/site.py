"""What one hospital does in a run, free of FLARE: load its images once, then train and validate when asked."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fedward.datasets.layout import read_split
from fedward.datasets.registry import get_data_set
from fedward.errors import DataError, FedwardError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import Parameters
from fedward.preprocessing.cache import prepare_cases
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.images import Images, join_images, stack_cases
from fedward.training.segmentation import SegmentationTrainer

log = logging.getLogger(__name__)
Report = dict[str, Any]


@dataclass(frozen=True)
class SiteImages:
    """A site's training images and, where it has any, its validation images."""

    train: Images
    validation: Images | None


def join_site_images(parts: Sequence[SiteImages]) -> SiteImages:
    """The images of several sites as those of one."""
    return SiteImages(
        join_images([part.train for part in parts]),
        join_images([part.validation for part in parts if part.validation is not None])
        if any(part.validation is not None for part in parts)
        else None,
    )


def load_site_images(
    site: str, config: SiteConfig, data_set: str, preprocessing: PreprocessingSettings, seed: int
) -> SiteImages:
    """Read, preprocess (or take from the cache) and stack a site's images; DataError where none is to train on."""
    reader = get_data_set(data_set)
    folder = config.data_folder(data_set)
    cases = reader.find_cases(folder)
    split = read_split(folder, cases, seed)
    prepared = prepare_cases(reader, cases, preprocessing, config.cache_folder(), workers=1, quiet=True)
    by_patient = {case.patient: case for case in prepared}
    if len(split.train) < config.min_patients:
        raise DataError(
            f"{site}: {len(split.train)} training patients, and {config.source} asks for min_patients "
            f"{config.min_patients} at least: this site does not train on so few"
        )
    train = stack_cases([by_patient[p] for p in split.train])
    if train is None:
        raise DataError(f"{site}: no training patient in {folder}: check its split.json or add patients")
    return SiteImages(train, stack_cases([by_patient[p] for p in split.validation]))


class Site:
    """One hospital's side of a run. Its reports are plain values, as the round record keeps them."""

    def __init__(
        self,
        name: str,
        settings: RunSettings,
        images: SiteImages,
        threads: int = 1,
        device: str = "auto",
        optimizer_folder: Path | None = None,
    ):
        if threads:
            torch.set_num_threads(threads)
        self.name = name
        self.settings = settings
        self.trainer = SegmentationTrainer(
            name,
            images.train,
            images.validation,
            settings.training,
            settings.rounds,
            settings.seed,
            device,
            optimizer_folder,
        )
        self.claims_from = "training" if settings.aggregation.cost_source == "site_training" else "validation"
        self.without_tumour, self.warnings = _judge(images, self.claims_from)
        for warning in self.warnings:
            log.warning("%s: %s", name, warning)

    def train(self, parameters: Parameters, round_number: int) -> tuple[Parameters, Report]:
        """Validate the received parameters, train, validate the own ones: (own parameters, report)."""
        start = self.trainer.evaluate(parameters)
        result = self.trainer.train(parameters, round_number)
        end = self.trainer.evaluate(result.parameters, self.claims_from)
        return result.parameters, {
            "samples": result.samples,
            "steps": result.steps,
            "train_seconds": result.seconds,
            "loss": result.loss,
            "start": self._report(start, "validation"),
            "end": self._report(end, self.claims_from),
            "warnings": self.warnings,
        }

    def validate(self, parameters: Parameters) -> Report:
        """Validate the received parameters only, as is done with the last global model."""
        started = time.monotonic()
        start = self.trainer.evaluate(parameters)
        return {
            "start": self._report(start, "validation"),
            "train_seconds": time.monotonic() - started,
            "warnings": self.warnings,
        }

    def _report(self, evaluation: Evaluation | None, on: str) -> Report | None:
        if evaluation is None:
            return None
        report = evaluation.to_dict()
        if {"training", on} & self.without_tumour:  # neither cost nor Dice says anything about the model
            report["cost"] = report["quality"] = None
        return report


def _judge(images: SiteImages, claims_from: str) -> tuple[set[str], list[str]]:
    """Which of the site's image sets hold no tumour pixel, and the warnings that its claims need."""
    parts = {"training": images.train, "validation": images.validation}
    without = {what for what, part in parts.items() if part is not None and not part.mask.any()}
    warnings = []
    if images.validation is None:
        missing = "its cost and Dice are missing" if claims_from == "validation" else "the global model is not measured"
        warnings.append(f"no validation patient: the site trains, {missing}")
    warnings += [
        f"no tumour pixel in its {what} images: the site trains, its cost and Dice are missing"
        for what in sorted(without)
    ]
    return without, warnings


def open_site(name: str, settings: RunSettings, config: SiteConfig) -> Site:
    """A site with the images that its configuration names."""
    images = load_site_images(name, config, settings.data_set, settings.preprocessing, settings.seed)
    return Site(name, settings, images, config.threads, config.device)


def check_site(name: str, settings: RunSettings, config: SiteConfig) -> None:
    """Fail before anything starts where a site's data folder is missing, empty or unreadable."""
    try:
        get_data_set(settings.data_set).find_cases(config.data_folder(settings.data_set))
    except FedwardError as error:
        raise DataError(f"{name}: {error}") from error
