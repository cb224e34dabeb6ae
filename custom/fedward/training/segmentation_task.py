"""The segmentation task: how a site's volumes are loaded, judged, prepared and scored."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fedward.datasets.base import Case, DataSet
from fedward.datasets.layout import read_split
from fedward.datasets.registry import volume_data_set
from fedward.errors import DataError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import load_parameters
from fedward.networks.registry import build_network
from fedward.preprocessing.cache import prepare_cases
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.images import Images, join_images, stack_cases
from fedward.training.segmentation import SegmentationTrainer, evaluate_model
from fedward.training.segmentation_test_set import write_local_test, write_test
from fedward.training.task import Judgement, SiteImages, Task
from fedward.training.trainer import choose_device


def find_cases(settings: RunSettings, folder: Path) -> tuple[DataSet, list[Case]]:
    reader = volume_data_set(settings.data_set)
    return reader, reader.find_cases(folder)


def load_site_images(site: str, config: SiteConfig, settings: RunSettings) -> SiteImages:
    """Read, preprocess (or take from the cache) and stack a site's images; DataError where none is to train on."""
    folder = config.data_folder(settings.data_set)
    reader, cases = find_cases(settings, folder)
    split = read_split(folder, [case.patient for case in cases], settings.seed)
    prepared = prepare_cases(reader, cases, settings.preprocessing, config.cache_folder(), workers=1, quiet=True)
    by_patient = {case.patient: case for case in prepared}
    config.check_enough(site, len(split.train))
    train = stack_cases([by_patient[p] for p in split.train])
    if train is None:
        raise DataError(f"{site}: no training patient in {folder}: check its split.json or add patients")
    return SiteImages(train, stack_cases([by_patient[p] for p in split.validation]))


def make_trainer(
    site: str,
    images: SiteImages,
    settings: RunSettings,
    device: str,
    state_folder: Path | None,
    config: SiteConfig | None,
) -> SegmentationTrainer:
    training, rounds, seed = settings.training, settings.rounds, settings.seed
    return SegmentationTrainer(site, images.train, images.validation, training, rounds, seed, device, state_folder)


def judge(images: SiteImages, claims_from: str) -> Judgement:
    """Which of the site's image sets hold no tumour pixel, and the warnings that its claims need."""
    parts: dict[str, Images | None] = {"training": images.train, "validation": images.validation}
    without = {what for what, part in parts.items() if part is not None and not part.mask.any()}
    warnings = []
    if images.validation is None:
        missing = "its cost and Dice are missing" if claims_from == "validation" else "the global model is not measured"
        warnings.append(f"no validation patient: the site trains, {missing}")
    warnings += [
        f"no tumour pixel in its {what} images: the site trains, its cost and Dice are missing"
        for what in sorted(without)
    ]
    return Judgement(frozenset(without), tuple(warnings))


def prepare(settings: RunSettings, folders: Sequence[Path], cache: Path) -> None:
    reader = volume_data_set(settings.data_set)
    cases = [case for folder in folders for case in reader.find_cases(folder)]
    prepare_cases(reader, cases, settings.preprocessing, cache)


def check(settings: RunSettings, config: SiteConfig) -> None:
    find_cases(settings, config.data_folder(settings.data_set))


def server_score(
    settings: RunSettings, config: SiteConfig
) -> Callable[[Mapping[str, NDArray[np.generic]]], Evaluation]:
    """A function that measures parameters on the server's validation set, which belongs to no hospital."""
    reader, cases = find_cases(settings, config.validation_folder(settings.data_set))
    prepared = prepare_cases(reader, cases, settings.preprocessing, config.cache_folder(), workers=1, quiet=True)
    images = stack_cases(prepared)
    assert images is not None  # find_cases raises where there is no patient
    if config.threads:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    model = build_network(settings.training.network, settings.training.network_args).to(device)

    def score(parameters: Mapping[str, NDArray[np.generic]]) -> Evaluation:
        load_parameters(model, parameters)
        return evaluate_model(model, images, device, settings.training.precision)[0]

    return score


TASK = Task(
    load=load_site_images,
    join=join_images,
    trainer=make_trainer,
    judge=judge,
    prepare=prepare,
    check=check,
    score=server_score,
    write_test=write_test,
    write_local_test=write_local_test,
)
