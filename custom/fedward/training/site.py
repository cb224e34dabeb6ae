"""What one site does in a run, free of FLARE: load its images once, then train and validate when asked."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

from fedward.errors import DataError, FedwardError, UsageError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import Parameters
from fedward.rounds.exchange import FeatureTable, exchanges
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.task import SiteImages, get_task

log = logging.getLogger(__name__)
Report = dict[str, Any]


class Site:
    """One site's side of a run. Its reports are plain values, as the round record keeps them.

    `state_folder` keeps what a trainer needs from one round to the next, where it needs anything. `config` tells where
    the site's cache is.
    """

    def __init__(
        self,
        name: str,
        settings: RunSettings,
        images: SiteImages,
        threads: int = 1,
        device: str = "auto",
        state_folder: Path | None = None,
        config: SiteConfig | None = None,
    ):
        if threads:
            torch.set_num_threads(threads)
        self.name = name
        self.settings = settings
        task = get_task(settings)
        self.trainer = task.trainer(name, images, settings, device, state_folder, config)
        self.claims_from = "training" if settings.aggregation.cost_source == "site_training" else "validation"
        judgement = task.judge(images, self.claims_from)
        self.unmeasured, self.warnings = judgement.unmeasured, [*images.notes, *judgement.warnings]
        for warning in self.warnings:
            log.info("%s: %s", name, warning)  # the round's record warns the user

    def bank(self, parameters: Parameters, round_number: int) -> tuple[FeatureTable, Report]:
        """The features of its images that the site offers to the others before a round: (features, report)."""
        started = time.monotonic()
        offering: Any = self.trainer  # of a task whose sites exchange features
        table: FeatureTable = offering.bank(parameters, round_number)
        return table, {"train_seconds": time.monotonic() - started}

    def train(
        self, parameters: Parameters, round_number: int, others: FeatureTable | None = None
    ) -> tuple[Parameters, Report]:
        """Validate the received parameters, train, validate the own ones: (own parameters, report).

        `others` are the features that the other sites offered before this round, where sites exchange them.
        """
        if exchanges(self.settings):
            offered: Any = self.trainer
            offered.others = others
        self.trainer.rounds_done = round_number - 1
        start = self.trainer.evaluate(parameters)
        result = self.trainer.train(parameters, round_number)
        self.trainer.rounds_done = round_number
        end = self.trainer.evaluate(result.parameters, self.claims_from)
        return result.parameters, {
            "samples": result.samples,
            "steps": result.steps,
            "train_seconds": result.seconds,
            "loss": result.loss,
            "start": self._report(start, "validation"),
            "end": self._report(end, self.claims_from),
            "warnings": [*self.warnings, *self.trainer.warnings],
        }

    def validate(self, parameters: Parameters) -> Report:
        """Validate the received parameters only, as is done with the last global model."""
        started = time.monotonic()
        self.trainer.rounds_done = None
        start = self.trainer.evaluate(parameters)
        return {
            "start": self._report(start, "validation"),
            "train_seconds": time.monotonic() - started,
            "warnings": [*self.warnings, *self.trainer.warnings],
        }

    def _report(self, evaluation: Evaluation | None, on: str) -> Report | None:
        if evaluation is None:
            return None
        report = evaluation.to_dict()
        if {"training", on} & self.unmeasured:  # neither cost nor quality says anything about the model
            report["cost"] = report["quality"] = None
        return report


def open_site(name: str, settings: RunSettings, config: SiteConfig) -> Site:
    """A site with the images that its configuration names."""
    images = get_task(settings).load(name, config, settings)
    folder = state_folder(name, settings, config)
    return Site(name, settings, images, config.threads, config.device, folder, config)


def state_folder(name: str, settings: RunSettings, config: SiteConfig) -> Path | None:
    """Where the site keeps what its next round needs; None where each round begins with the received model alone.

    It lies in the cache, named by the settings' fingerprint: another run never takes it up.
    """
    pretext, contrast = settings.pretext, settings.contrast
    kept = pretext is not None and pretext.private_state == "keep"
    if not kept and (contrast is None or contrast.momentum_encoder != "keep"):
        return None
    return config.cache_folder() / "state" / f"{settings.name}-{settings.fingerprint()[:16]}" / name


def check_site(name: str, settings: RunSettings, config: SiteConfig) -> None:
    """Fail before anything starts where a site's data folder is missing, unreadable or too small for the settings."""
    try:
        get_task(settings).check(settings, config)
    except FedwardError as error:
        kind = UsageError if isinstance(error, UsageError) else DataError
        raise kind(f"{name}: {error}") from error
