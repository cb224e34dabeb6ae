"""What every data set offers, and the names the rest of the project uses for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.image_table import ImageTable
from fedward.datasets.selection import SelectionSettings


@dataclass(frozen=True)
class Case:
    """One patient's volume on disk, slices in anatomical order (sorted as integers)."""

    patient: str
    institution: str
    slices: tuple[int, ...]
    images: tuple[Path, ...]
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class Volume:
    """One patient's pixels: image (S, H, W, C) uint8, mask (S, H, W) bool."""

    patient: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """Something a data manager should know about one file or folder."""

    severity: Literal["error", "warning"]
    path: str
    reason: str
    advice: str


@dataclass(frozen=True)
class CheckResult:
    """What a check found: counts for the summary line, and every problem."""

    patients: int
    images: int
    problems: tuple[Problem, ...] = field(default=())

    @property
    def errors(self) -> int:
        return sum(p.severity == "error" for p in self.problems)


@dataclass(frozen=True)
class Split:
    """Patients of one site: those it trains on and those it validates on. Disjoint."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True)
class DataSet:
    """A supported data set of volumes with masks, by its registered name.

    find_cases(root)  the patients under root, sorted by name; DataError where root holds none
    read_case(case)   the pixels; DataError names file and reason
    check(root, workers, quiet)  every problem under root, read in parallel with a progress bar
    """

    name: str
    title: str
    find_cases: Callable[[Path], list[Case]]
    read_case: Callable[[Case], Volume]
    check: Callable[[Path, int, bool], CheckResult]

    def find_patients(self, root: Path) -> list[str]:
        """The patients under root, sorted; DataError where root holds none."""
        return sorted({case.patient for case in self.find_cases(root)})


@dataclass(frozen=True)
class ImageDataSet:
    """A supported data set of single images, with labels a finding or without, by its registered name.

    findings  names of the labels' columns; empty where the set has no labels
    read_table(root, selection)  the images under root; DataError where root holds none or its table is wrong
    check(root, workers, quiet)  every problem under root, read in parallel with a progress bar
    """

    name: str
    title: str
    findings: tuple[str, ...]
    read_table: Callable[[Path, SelectionSettings], ImageTable]
    check: Callable[[Path, int, bool], CheckResult]

    def find_patients(self, root: Path) -> list[str]:
        """The patients under root, of all views, sorted; DataError where root holds none."""
        return sorted(set(self.read_table(root, SelectionSettings(views="all")).patients))
