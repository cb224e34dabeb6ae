"""The task of segmenting scans into structures: how a site's scans are loaded, judged, prepared and scored."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fedward.datasets.labelled_patients import check_count, draw_labelled
from fedward.datasets.layout import read_split
from fedward.datasets.registry import scan_data_set
from fedward.datasets.scan import Scan, ScanDataSet
from fedward.errors import DataError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import load_parameters
from fedward.networks.registry import build_network
from fedward.preprocessing.scan_cache import prepare_scans
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.scan_slices import Slices, join_slices, stack_scans
from fedward.training.structures import StructuresTrainer, evaluate_slices, labels_of
from fedward.training.structures_test_set import write_local_test, write_test
from fedward.training.task import Judgement, SiteImages, Task
from fedward.training.trainer import choose_device

NO_VALIDATION = {
    "validation": "no validation patient: the site trains, its cost and Dice are missing",
    "training": "no validation patient: the site trains, the global model is not measured",
}
NO_STRUCTURE = {
    part: f"no structure in its {part} images: the site trains, its cost and Dice are missing"
    for part in ("training", "validation")
}
ONE_ABSENT = {
    "training": "a structure is absent from its training images: only other sites can teach it",
    "validation": "a structure is absent from its validation images: its Dice is over the others",
}
UNLABELLED = "scans without labels are left out"
WARNINGS = (*NO_VALIDATION.values(), *NO_STRUCTURE.values(), *ONE_ABSENT.values(), UNLABELLED)


def load(site: str, config: SiteConfig, settings: RunSettings) -> SiteImages:
    """A site's labelled scans, those of the drawn training patients; DataError where there is none to train on.

    Scans without labels are left out, and patients are drawn from those who have labels.
    """
    folder = config.data_folder(settings.data_set)
    reader = scan_data_set(settings.data_set)
    train, validation = _split(folder, settings)
    unlabelled = [scan for scan in (*train, *validation) if scan.labels is None]
    patients = _labelled(train)
    if not patients:
        without = f": {unlabelled[0].patient} and the others have none" if unlabelled else ""
        raise DataError(
            f"{site}: no training patient with labels in {folder}{without}; add labels beside the scans, check its "
            "split.json, or add patients"
        )
    selection = settings.selection
    if selection.labelled_patients is not None:
        patients = draw_labelled(patients, selection.labelled_patients, settings.seed, selection.draw, site)
    config.check_enough(site, len(patients))
    train = [scan for scan in train if scan.patient in patients]
    slices = {
        name: _prepare(settings, [scan for scan in part if scan.labels is not None], config.cache_folder())
        for name, part in (("training", train), ("validation", validation))
    }
    assert slices["training"] is not None  # a patient with labels has a scan with labels
    absent = [ONE_ABSENT[name] for name, part in slices.items() if part is not None and _lacks_some(part, reader)]
    notes = (*([UNLABELLED] if unlabelled else []), *absent)
    return SiteImages(slices["training"], slices["validation"], notes)


def _split(folder: Path, settings: RunSettings) -> tuple[list[Scan], list[Scan]]:
    """The scans of a site's training patients, and of its validation patients."""
    scans = scan_data_set(settings.data_set).find_scans(folder)
    split = read_split(folder, sorted({scan.patient for scan in scans}), settings.seed)
    train, validation = ([s for s in scans if s.patient in part] for part in (split.train, split.validation))
    return train, validation


def _labelled(scans: Sequence[Scan]) -> tuple[str, ...]:
    """The patients of whom a scan has labels, sorted."""
    return tuple(sorted({scan.patient for scan in scans if scan.labels is not None}))


def _lacks_some(slices: Slices, reader: ScanDataSet) -> bool:
    """Whether some structures are there and some are not."""
    found = int((labels_of(slices).unique() > 0).sum())
    return 0 < found < len(reader.structures)


def _prepare(settings: RunSettings, scans: list[Scan], cache: Path) -> Slices | None:
    reader = scan_data_set(settings.data_set)
    return stack_scans(prepare_scans(reader, scans, settings.preprocessing, cache, workers=1, quiet=True), True)


def make_trainer(
    site: str,
    images: SiteImages,
    settings: RunSettings,
    device: str,
    state_folder: Path | None,
    config: SiteConfig | None,
) -> StructuresTrainer:
    training, rounds, seed = settings.training, settings.rounds, settings.seed
    common = (site, images.train, images.validation, training, rounds, seed, device, state_folder)
    return StructuresTrainer(*common, structures=scan_data_set(settings.data_set).structures)


def judge(images: SiteImages, claims_from: str) -> Judgement:
    """Which of the site's parts show no structure at all, and the warnings that its claims need."""
    parts: dict[str, Slices | None] = {"training": images.train, "validation": images.validation}
    without = {name for name, part in parts.items() if part is not None and not labels_of(part).any()}
    warnings = [] if images.validation is not None else [NO_VALIDATION[claims_from]]
    warnings += [NO_STRUCTURE[name] for name in sorted(without)]
    return Judgement(frozenset(without), tuple(warnings))


def prepare(settings: RunSettings, folders: Sequence[Path], cache: Path) -> None:
    reader = scan_data_set(settings.data_set)
    scans = [scan for folder in folders for scan in reader.find_scans(folder) if scan.labels is not None]
    prepare_scans(reader, scans, settings.preprocessing, cache)


def check(settings: RunSettings, config: SiteConfig) -> None:
    train, _ = _split(config.data_folder(settings.data_set), settings)
    count = settings.selection.labelled_patients
    if count is not None:
        check_count(count, len(_labelled(train)))


def score(settings: RunSettings, config: SiteConfig) -> Callable[[Mapping[str, NDArray[np.generic]]], Evaluation]:
    """A function that measures parameters on the server's labelled validation scans, which belong to no hospital."""
    reader, folder = scan_data_set(settings.data_set), config.validation_folder(settings.data_set)
    scans = [scan for scan in reader.find_scans(folder) if scan.labels is not None]
    slices = _prepare(settings, scans, config.cache_folder())
    if slices is None:
        raise DataError(f"no scan in {folder} has labels: add them, or lay out other patients for the server")
    if config.threads:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    model = build_network(settings.training.network, settings.training.network_args).to(device)

    def measured(parameters: Mapping[str, NDArray[np.generic]]) -> Evaluation:
        load_parameters(model, parameters)
        return evaluate_slices(model, slices, reader.structures, device, settings.training.precision)[0]

    return measured


TASK = Task(
    load=load,
    join=join_slices,
    trainer=make_trainer,
    judge=judge,
    prepare=prepare,
    check=check,
    score=score,
    write_test=write_test,
    write_local_test=write_local_test,
)
