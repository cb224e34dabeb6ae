"""Apply a segmentation model to images: masks in the images' own size, and pictures to look at.

The same preprocessing as in training is applied: its settings travel in the model file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import Volume
from fedward.datasets.lgg import SLICE_FILE, data_folder, find_case, list_names, patient_folders, read_image, read_mask
from fedward.errors import DataError
from fedward.evaluation import pooled_dice
from fedward.preprocessing.prepare import PreparedCase, prepare_volume
from fedward.preprocessing.resize import restore_size
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.progress import map_in_processes
from fedward.reports.overlays import FLAIR, PICTURE_HEIGHT, overlay, write_png
from fedward.rounds.run_folder import write_bytes


@dataclass(frozen=True)
class Patient:
    """Images of one patient in anatomical order; `folder` is where its masks go, relative to the output."""

    name: str
    folder: Path
    images: tuple[Path, ...]


@dataclass(frozen=True)
class Prediction:
    """What was written for one patient. `dice` of the volume, where each image has a true mask beside it."""

    patient: str
    slices: int
    tumour_slices: int
    dice: float | None


def find_patients(folder: Path) -> list[Patient]:
    """Patients in a folder of the data set's layout, with or without masks, or the one patient of a flat folder.

    Raises DataError where there is no image.
    """
    if folder.is_dir() and (flat := images_in(folder)):
        return [Patient(folder.resolve().name, Path(), tuple(flat))]
    root = data_folder(folder)
    cases = [find_case(path) for path in patient_folders(root)]
    if not cases:
        raise DataError(
            f"{folder} holds neither images (NAME_<n>.tif) nor folders of patients "
            "(TCGA_<institution>_<patient>_<date>): give a folder that does"
        )
    return [Patient(case.patient, Path(case.patient), case.images) for case in cases]


def images_in(folder: Path) -> list[Path]:
    """The TIFF images of a flat folder, without masks, in the order of their numbers, then of their names."""
    names = [n for n in list_names(folder) if n.lower().endswith((".tif", ".tiff")) and (folder / n).is_file()]
    images = [n for n in names if not ((match := SLICE_FILE.fullmatch(n)) and match[3]) and "_mask." not in n.lower()]
    return [folder / name for name in sorted(images, key=_natural)]


def predict_masks(
    model: Any, metadata: dict[str, Any], source: Path, out: Path, device_name: str = "auto", workers: int = 0
) -> Iterator[Prediction]:
    """Write OUT/[PATIENT/]NAME_mask.tif (0 or 255) and OUT/overlays/[PATIENT/]NAME.png for each image of `source`.

    Yields each patient when it is written. Volumes are prepared in parallel.

    `model` and `metadata` are what `fedward.prediction.open_model` gives. DataError where an image cannot be read.
    """
    from fedward.training.trainer import choose_device

    patients = find_patients(source)
    settings = PreprocessingSettings(**metadata["preprocessing"])
    device = choose_device(device_name)
    model.to(device)
    prepared = map_in_processes(partial(_prepare, settings=settings), patients, "Predicting", workers)
    for patient, case in zip(patients, prepared, strict=True):
        yield _write(patient, _probability(model, case, device), out)


def _prepare(patient: Patient, settings: PreprocessingSettings) -> PreparedCase:
    image = _read_volume(patient)
    return prepare_volume(Volume(patient.name, image, np.zeros(image.shape[:3], dtype=bool)), settings)


def _read_volume(patient: Patient) -> NDArray[np.uint8]:
    images = [read_image(path) for path in patient.images]
    for path, image in zip(patient.images, images, strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{path} has {image.shape[1]}x{image.shape[0]} pixels but {patient.images[0].name} "
                f"{images[0].shape[1]}x{images[0].shape[0]}: all images of a patient must have one size"
            )
    return np.stack(images)


def _probability(model: Any, case: PreparedCase, device: Any) -> NDArray[np.float32]:
    import torch

    from fedward.training.segmentation import predict_logits

    logits = predict_logits(model, torch.from_numpy(case.image), device)
    probability: NDArray[np.float32] = torch.sigmoid(logits).squeeze(1).cpu().numpy()
    return probability


def _write(patient: Patient, probability: NDArray[np.float32], out: Path) -> Prediction:
    """Bring the probabilities back to the images' size, and write masks and overlays."""
    volume = _read_volume(patient)
    height, width = volume.shape[1:3]
    masks = restore_size(probability, height, width) > 0.5
    truths = [_truth(path, volume.shape[1:3]) for path in patient.images]
    scale = max(1, round(PICTURE_HEIGHT / height))
    # One brightness for the whole patient, so that dark slices stay dark.
    brightest = max(float(np.percentile(volume[..., FLAIR], 99.5)), 1.0)
    for path, image, truth, mask in zip(patient.images, volume, truths, masks, strict=True):
        write_mask(out / patient.folder / f"{path.stem}_mask.tif", mask)
        picture = overlay(image[..., FLAIR] / brightest, truth, mask, scale)
        write_png(out / "overlays" / patient.folder / f"{path.stem}.png", picture)
    return Prediction(patient.name, len(masks), int(masks.any(axis=(1, 2)).sum()), _dice(truths, masks))


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write a mask (H, W) as an 8-bit TIFF of 0 and 255, losslessly compressed, atomically."""
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "TIFF", compression="tiff_deflate")
    write_bytes(path, buffer.getvalue())


def _truth(image: Path, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    path = image.with_name(f"{image.stem}_mask{image.suffix}")
    if not path.is_file():
        return None
    mask = read_mask(path)
    if mask.shape != shape:
        raise DataError(f"{path} has another size than {image.name}: mend or remove the mask")
    return mask


def _dice(truths: list[NDArray[np.bool_] | None], masks: NDArray[np.bool_]) -> float | None:
    known = [truth for truth in truths if truth is not None]
    if len(known) < len(truths):
        return None
    truth = np.stack(known)
    dice = pooled_dice(int((truth & masks).sum()), int((~truth & masks).sum()), int((truth & ~masks).sum()))
    return 1.0 if dice is None else dice


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorting key in which slice 2 comes before slice 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
