"""The contrastive task: how a site pretrains on volumes without labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fedward.contrast.result import write_result
from fedward.contrast.site_slices import site_slices
from fedward.contrast.trainer import ContrastTrainer
from fedward.datasets.layout import read_split
from fedward.datasets.registry import scan_data_set
from fedward.errors import DataError, UsageError
from fedward.preprocessing.scan_cache import prepare_scans
from fedward.pretext.agreed_warnings import FEW_VALIDATION, NO_VALIDATION
from fedward.pretext.feature_statistics import FEWEST_IMAGES
from fedward.pretext.result import write_local_result
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.scan_slices import join_slices
from fedward.training.task import Judgement, SiteImages, Task


def load(site: str, config: SiteConfig, settings: RunSettings) -> SiteImages:
    """Read, prepare (or take from the cache) and stack a site's scans; DataError where none is to train on."""
    folder = config.data_folder(settings.data_set)
    train, validation = site_slices(settings, folder, config.cache_folder())
    if train is None:
        raise DataError(f"{site}: no training patient in {folder}: check its split.json or add patients")
    config.check_enough(site, len({scan.patient for scan in train.scans}))
    return SiteImages(train, validation)


def make_trainer(
    site: str,
    images: SiteImages,
    settings: RunSettings,
    device: str,
    state_folder: Path | None,
    config: SiteConfig | None,
) -> ContrastTrainer:
    assert settings.contrast is not None  # RunSettings has checked it
    return ContrastTrainer(
        site,
        images.train,
        images.validation,
        settings.training,
        settings.rounds,
        settings.seed,
        device,
        state_folder,
        settings.contrast,
    )


def judge(images: SiteImages, claims_from: str) -> Judgement:
    """Which warnings the site's scans give rise to; without labels there is nothing that a claim could lack."""
    if images.validation is None:
        return Judgement(frozenset(), (NO_VALIDATION,))
    return Judgement(frozenset(), (FEW_VALIDATION,) if len(images.validation) < FEWEST_IMAGES else ())


def prepare(settings: RunSettings, folders: Sequence[Path], cache: Path) -> None:
    data_set = scan_data_set(settings.data_set)
    scans = [scan for folder in folders for scan in data_set.find_scans(folder)]
    prepare_scans(data_set, scans, settings.preprocessing, cache)


def check(settings: RunSettings, config: SiteConfig) -> None:
    folder = config.data_folder(settings.data_set)
    read_split(folder, scan_data_set(settings.data_set).find_patients(folder), settings.seed)


def no_score(settings: RunSettings, config: SiteConfig) -> NoReturn:
    raise UsageError("a server has no judgement of its own on a pretraining: take cost_source site_validation")


TASK = Task(
    load=load,
    join=join_slices,
    trainer=make_trainer,
    judge=judge,
    prepare=prepare,
    check=check,
    score=no_score,
    write_test=write_result,
    write_local_test=write_local_result,
)
