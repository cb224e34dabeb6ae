"""What a task (segmentation, classification, pretext) must say, so that a site can run it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from fedward.networks.registry import task_of
from fedward.rounds.run_folder import RunFolder
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.trainer import Trainer

MODULES = {
    "segmentation": "fedward.training.segmentation_task",
    "classification": "fedward.training.classification_task",
    "pretext": "fedward.pretext.task",
    "structures": "fedward.training.structures_task",
    "contrast": "fedward.contrast.task",
}


@dataclass(frozen=True)
class SiteImages:
    """A site's training images and, where it has any, its validation images, as its task keeps them.

    `notes` are agreed sentences about how they were chosen, for the site's report.
    """

    train: Any
    validation: Any | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What a site's images allow it to claim: `unmeasured` of ("training", "validation") say nothing about a model."""

    unmeasured: frozenset[str]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """A task's own part of a run.

    load(site, config, settings)   the site's images, decoded and split; DataError where there is none to train on
    join(parts)   one set of images after the other, as `join_sites` does it for several sites
    trainer(site, images, settings, device, state folder, config)
    judge(images, claims_from)     what the site may claim on its "training" or "validation" images
    prepare(settings, folders, cache)   fill the cache for all images below the folders, with progress
    check(settings, config)        fail early where the site's data folder is missing, empty or unreadable
    score(settings, config)        the server's own judgement of parameters; None where the task has none
    write_test(folder, settings, sites_folder, device)   evaluate the test patients, where their images are here, and
                                   write what else the run leaves behind; False where there is no such patient
    write_local_test(folder, settings, sites_folder, sites, device)   the same for hospitals that trained alone
    """

    load: Callable[[str, SiteConfig, RunSettings], SiteImages]
    join: Callable[[Sequence[Any]], Any]
    trainer: Callable[[str, SiteImages, RunSettings, str, Path | None, SiteConfig | None], Trainer]
    judge: Callable[[SiteImages, str], Judgement]
    prepare: Callable[[RunSettings, Sequence[Path], Path], None]
    check: Callable[[RunSettings, SiteConfig], None]
    score: Callable[[RunSettings, SiteConfig], Any]
    write_test: Callable[[RunFolder, RunSettings, Path | None, str], bool]
    write_local_test: Callable[[RunFolder, RunSettings, Path, Sequence[str], str], bool]


def join_sites(task: Task, sites: Sequence[SiteImages]) -> SiteImages:
    """The images of several sites as those of one: centralised training. Notes are of single sites and stay there."""
    validation = [site.validation for site in sites if site.validation is not None]
    return SiteImages(task.join([site.train for site in sites]), task.join(validation) if validation else None)


def get_task(settings: RunSettings) -> Task:
    """The task of a run, which follows from its network."""
    name = task_of(settings.training.network)
    task: Task = import_module(MODULES[name]).TASK
    return task


def server_score(settings: RunSettings, config: SiteConfig) -> Any:
    """A function that measures parameters on the server's own validation images; None unless the settings ask."""
    if settings.aggregation.cost_source != "server_validation":
        return None
    return get_task(settings).score(settings, config)
