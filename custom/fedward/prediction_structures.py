"""Apply a segmentation model of structures to scans: labels on each scan's own grid, and pictures to look at.

The same preprocessing as in training is applied: its settings travel in the model file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.acdc import UNUSED_FILE
from fedward.datasets.base import FileProblem
from fedward.datasets.nifti import nifti_stem, read_volume
from fedward.datasets.nifti_folder import find_files
from fedward.datasets.nifti_labels import write_labels
from fedward.datasets.registry import scan_data_set
from fedward.datasets.scan import Scan, ScanVolume
from fedward.errors import DataError, FedwardError, UsageError
from fedward.evaluation import pooled_dice
from fedward.prediction import none_readable
from fedward.preprocessing.scan import PreparedScan, prepare_scan, restore_labels
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.progress import map_in_processes
from fedward.reports.overlays import write_png
from fedward.reports.structure_sheet import structure_sheet

ENDING = "_structures"
NO_VOLUMES = "its file says 1 x 1 x 1 mm, so volumes in ml are not known"


@dataclass(frozen=True)
class Prediction:
    """What was written for one scan.

    name       its path below the input, without its ending
    slices     how many it has
    millilitres  volume of each structure; None where the spacing is not known
    dice       of each structure, where a truth lies beside the scan; None where neither has the structure
    notes      what a reader should know, e.g. that the spacing is lost and 1 mm was assumed
    """

    name: str
    slices: int
    millilitres: dict[str, float] | None
    dice: dict[str, float | None] | None
    notes: tuple[str, ...]


def how_prepared(metadata: dict[str, Any]) -> tuple[tuple[str, ...], PreprocessingSettings]:
    """Names of the structures and how scans are prepared, from a model file's metadata; FedwardError where it lacks."""
    try:
        structures = scan_data_set(metadata["data_set"]).structures
        settings = PreprocessingSettings(**metadata["preprocessing"])
    except (KeyError, TypeError, UsageError) as error:
        raise FedwardError(
            f"the model file does not say which structures it tells and how scans are prepared ({error}): give the "
            "model of a run"
        ) from error
    outputs = metadata["network_args"].get("out_channels", len(structures) + 1)
    if outputs != len(structures) + 1:
        raise FedwardError(
            f"the model has {outputs} outputs but {metadata['data_set']} has {len(structures)} structures and the "
            "background: the file is of another version or another data set"
        )
    return structures, settings


def find_scans(source: Path) -> list[Scan]:
    """The scan in a NIfTI file, or those in a folder and below it; `frame` is empty and `patient` the path in there.

    NAME_gt and NAME_seg are the truth of NAME, NAME_structures a prediction; ACDC's whole cines (_4d) are passed over.
    DataError where there is no scan.
    """
    if source.is_file():
        stem = nifti_stem(source.name)
        if stem is None:
            raise FileProblem(source, "no NIfTI file by its name", "give a file that ends in .nii or .nii.gz")
        truths = (source.with_name(stem + label + end) for label in ("_gt", "_seg") for end in (".nii.gz", ".nii"))
        return [Scan(stem, "", source, next((path for path in truths if path.is_file()), None), "")]
    found = find_files(source)
    volumes = {
        key: path
        for key, path in found.volumes.items()
        if not UNUSED_FILE.fullmatch(path.name) and not key.name.endswith(ENDING)
    }
    if not volumes:
        raise DataError(
            f"{source} holds no scan (NAME.nii or NAME.nii.gz), nor does a folder in it: give one that does"
        )
    return [
        Scan(key.relative_to(source).as_posix(), "", path, found.labels.get(key), "") for key, path in volumes.items()
    ]


def predict_structures(
    model: Any,
    metadata: dict[str, Any],
    source: Path,
    out: Path,
    unreadable: list[str],
    device_name: str = "auto",
    workers: int = 0,
) -> Iterator[Prediction]:
    """Write OUT/NAME_structures.nii.gz on the scan's own grid and OUT/overlays/NAME.png for each scan of `source`.

    Yields each scan when it is written; why the others cannot be used is added to `unreadable`. Scans are read and
    prepared in parallel.

    `model` and `metadata` are what `fedward.prediction.open_model` gives. DataError where no scan can be used.
    """
    from fedward.training.trainer import choose_device

    structures, settings = how_prepared(metadata)
    scans = find_scans(source)
    device = choose_device(device_name)
    model.to(device)
    prepare = partial(_prepare, settings=settings, most=len(structures))
    prepared = map_in_processes(prepare, scans, "Predicting", workers)
    for scan, result in zip(scans, prepared, strict=True):
        if isinstance(result, str):
            unreadable.append(result)
            continue
        volume, ready = result
        labels = restore_labels(_labels(model, ready, device), volume, scan, settings)
        write_labels(out / f"{scan.patient}{ENDING}.nii.gz", labels, like=scan.image)
        sheet = structure_sheet(volume.image, volume.labels, labels, structures)
        write_png(out / "overlays" / f"{scan.patient}.png", sheet, scan.patient)
        yield _prediction(scan, volume, labels, structures, ready.notes)
    if len(unreadable) == len(scans):
        raise none_readable(unreadable, "scans", source)


def _prepare(scan: Scan, settings: PreprocessingSettings, most: int) -> tuple[ScanVolume, PreparedScan] | str:
    """The scan, or what is wrong with it: one bad file must not cost the others."""
    try:
        volume = read_volume(scan.image, scan.labels, most)
        return volume, prepare_scan(volume, scan, settings)
    except DataError as problem:
        return str(problem)


def _labels(model: Any, scan: PreparedScan, device: Any) -> NDArray[np.uint8]:
    """The most probable label of each prepared pixel; FedwardError where the model's outputs are not finite."""
    import torch

    from fedward.training.segmentation import predict_logits

    logits = predict_logits(model, torch.from_numpy(scan.image).unsqueeze(1), device)
    if not bool(logits.isfinite().all()):
        raise FedwardError("the model gives outputs that are not finite: damaged weights; give another")
    labels: NDArray[np.uint8] = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
    return labels


def _prediction(
    scan: Scan, volume: ScanVolume, labels: NDArray[np.uint8], structures: tuple[str, ...], notes: tuple[str, ...]
) -> Prediction:
    voxels = np.bincount(labels.ravel(), minlength=len(structures) + 1)
    millilitres = None
    if volume.spacing_known:
        voxel = float(np.prod(volume.spacing)) / 1000
        millilitres = {name: float(voxels[n]) * voxel for n, name in enumerate(structures, start=1)}
    dice = None
    if volume.labels is not None:
        dice = {name: _dice(volume.labels == n, labels == n) for n, name in enumerate(structures, start=1)}
    notes = notes if volume.spacing_known else (*notes, NO_VOLUMES)
    return Prediction(scan.patient, len(labels), millilitres, dice, notes)


def _dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float | None:
    return pooled_dice(int((truth & found).sum()), int((~truth & found).sum()), int((truth & ~found).sum()))
