"""The pretext task: how a site pretrains without labels, and how its encoder is probed where there are labels."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from fedward.datasets.layout import read_split
from fedward.datasets.registry import image_data_set
from fedward.errors import DataError, FedwardError, UsageError
from fedward.pretext.agreed_warnings import FEW_VALIDATION, NO_VALIDATION
from fedward.pretext.feature_statistics import FEWEST_IMAGES
from fedward.pretext.result import write_local_result, write_result
from fedward.pretext.trainer import PretextTrainer, Probe
from fedward.settings import RunSettings
from fedward.simulation import PROBE
from fedward.site_config import SiteConfig
from fedward.training.classification_task import load
from fedward.training.task import Judgement, SiteImages, Task
from fedward.training.xray_images import join_xrays, prepare_folders, site_xrays


def make_trainer(
    site: str,
    images: SiteImages,
    settings: RunSettings,
    device: str,
    state_folder: Path | None,
    config: SiteConfig | None,
) -> PretextTrainer:
    assert settings.pretext is not None  # RunSettings has checked it
    return PretextTrainer(
        site,
        images.train,
        images.validation,
        settings.training,
        settings.rounds,
        settings.seed,
        device,
        state_folder,
        settings.pretext,
        open_probe(site, images, settings, config),
    )


def open_probe(site: str, images: SiteImages, settings: RunSettings, config: SiteConfig | None) -> Probe | None:
    """The labelled images of the probe: training patients vote on validation patients. None where none is asked for.

    Where the probe's data set is the one that is trained on, these are the site's own images.
    """
    assert settings.pretext is not None
    name = settings.pretext.probe_data_set
    if name is None:
        return None
    if name == settings.data_set:
        return None if images.validation is None else Probe(images.train, images.validation)
    if config is None:
        raise FedwardError(f"{site}: a probe on {name} needs the site's configuration, which says where its images lie")
    folder = config.data_folder(name)
    bank, judged = site_xrays(site, folder, config.cache_folder(), replace(settings, data_set=name))
    if bank is None or judged is None:
        raise DataError(f"{site}: the probe needs training and validation patients in {folder}: check its split.json")
    return Probe(bank, judged)


def judge(images: SiteImages, claims_from: str) -> Judgement:
    """Which warnings the site's images give rise to; without labels there is nothing that a claim could lack."""
    if images.validation is None:
        return Judgement(frozenset(), (NO_VALIDATION,))
    return Judgement(frozenset(), (FEW_VALIDATION,) if len(images.validation) < FEWEST_IMAGES else ())


def prepare(settings: RunSettings, folders: Sequence[Path], cache: Path) -> None:
    """Decode the images to train on and those of the probe, which all sites of a simulation share."""
    assert settings.pretext is not None
    prepare_folders(settings, folders, cache)
    name = settings.pretext.probe_data_set
    probe = cache.parent / PROBE / str(name)
    if name is not None and name != settings.data_set and probe.is_dir():
        prepare_folders(replace(settings, data_set=name), [probe], cache)


def check(settings: RunSettings, config: SiteConfig) -> None:
    assert settings.pretext is not None
    folder = config.data_folder(settings.data_set)
    data_set = image_data_set(settings.data_set)
    split = read_split(folder, data_set.find_patients(folder), settings.seed)
    images = len(data_set.read_table(folder, settings.selection).of_patients(split.train))
    settings.pretext.check_data_size(images, settings.training.batch_size)
    probe = settings.pretext.probe_data_set
    if probe is not None and probe != settings.data_set:
        image_data_set(probe).read_table(config.data_folder(probe), settings.selection)


def no_score(settings: RunSettings, config: SiteConfig) -> NoReturn:
    raise UsageError("a server has no judgement of its own on a pretraining: take cost_source site_validation")


TASK = Task(
    load=load,
    join=join_xrays,
    trainer=make_trainer,
    judge=judge,
    prepare=prepare,
    check=check,
    score=no_score,
    write_test=write_result,
    write_local_test=write_local_result,
)
