"""A site's X-rays: rows of uint8 packs on disk, with their labels and patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedward.datasets.image_table import ImageTable
from fedward.datasets.layout import read_split
from fedward.datasets.registry import image_data_set
from fedward.errors import DataError
from fedward.preprocessing.pack import open_pack
from fedward.settings import RunSettings


@dataclass(frozen=True)
class XrayImages:
    """N images that stay on disk (memory-mapped) until a batch needs them.

    packs     uint8 arrays (M, S, S)
    where     (N, 2) int64: which pack, and which row of it
    labels    (N, C) float32: 1 present, 0 absent, NaN unknown; C is 0 without labels
    patients  N names
    """

    packs: tuple[NDArray[np.uint8], ...]
    where: NDArray[np.int64]
    labels: Tensor
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.where)

    def pixels(self, index: Tensor | NDArray[Any] | slice, device: torch.device | None = None) -> Tensor:
        """uint8 (B, 1, S, S) of these rows, on the device."""
        where = self.where[index.numpy() if isinstance(index, Tensor) else index]
        size = self.packs[0].shape[-1]
        images = np.empty((len(where), 1, size, size), np.uint8)
        for number, pack in enumerate(self.packs):
            mine = np.flatnonzero(where[:, 0] == number)
            images[mine, 0] = pack[where[mine, 1]]
        batch = torch.from_numpy(images)
        if device is None or device.type != "cuda":
            return batch
        return batch.pin_memory().to(device, non_blocking=True)

    def of_patients(self, patients: Sequence[str]) -> "XrayImages | None":
        """The images of these patients; None where there is none."""
        wanted = set(patients)
        rows = np.array([patient in wanted for patient in self.patients], bool)
        if not rows.any():
            return None
        chosen = tuple(patient for patient, keep in zip(self.patients, rows, strict=True) if keep)
        return XrayImages(self.packs, self.where[rows], self.labels[torch.from_numpy(rows)], chosen)


def join_xrays(parts: Sequence[XrayImages]) -> XrayImages:
    """Put several sites' images one after the other; `parts` must not be empty."""
    first_pack = np.cumsum([0, *(len(part.packs) for part in parts[:-1])])
    return XrayImages(
        packs=tuple(pack for part in parts for pack in part.packs),
        where=np.concatenate(
            [part.where + np.array([first, 0]) for part, first in zip(parts, first_pack, strict=True)]
        ),
        labels=torch.cat([part.labels for part in parts]),
        patients=tuple(patient for part in parts for patient in part.patients),
    )


def open_xrays(table: ImageTable, image_size: int, cache: Path, workers: int = 1, quiet: bool = True) -> XrayImages:
    """The images of a table, decoded once into the cache at `image_size` pixels."""
    pack = open_pack(table.paths, image_size, cache, workers, quiet)
    where = np.stack([np.zeros(len(table), np.int64), np.arange(len(table))], axis=1)
    return XrayImages((pack,), where, torch.from_numpy(table.labels), table.patients)


def site_xrays(
    site: str, folder: Path, cache: Path, settings: RunSettings
) -> tuple[XrayImages | None, XrayImages | None]:
    """(training, validation) images of a site's folder, by its split; DataError where it has no image at all."""
    data_set = image_data_set(settings.data_set)
    split = read_split(folder, data_set.find_patients(folder), settings.seed)
    table = data_set.read_table(folder, settings.selection)
    if not len(table):
        raise DataError(
            f"{site}: {folder} has no image of the views {settings.selection.views}, which the job asks for"
        )
    images = open_xrays(table, settings.preprocessing.image_size, cache)
    return images.of_patients(split.train), images.of_patients(split.validation)


def prepare_folders(settings: RunSettings, folders: Sequence[Path], cache: Path) -> None:
    """Decode every image below the folders into the cache, a progress bar each."""
    for folder in folders:
        table = image_data_set(settings.data_set).read_table(folder, settings.selection)
        open_pack(table.paths, settings.preprocessing.image_size, cache, 0, False)
