"""What every data set offers, and the names the rest of the project uses for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.image_table import ImageTable
from fedward.datasets.selection import SelectionSettings
from fedward.errors import DataError


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


class FileProblem(DataError):
    """A file or folder that cannot be used; `reason` starts with the kind of problem, then a colon and details."""

    def __init__(self, path: Path, reason: str, advice: str):
        super().__init__(path, reason, advice)  # all three, so that it travels between processes
        self.path, self.reason, self.advice = path, reason, advice

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; {self.advice}"


def no_image_file(path: Path) -> FileProblem:
    """What is wrong with a path that has an image's name and is no file: a folder, or a link to no file."""
    folder = path.is_dir()
    reason = "it is a folder, not an image" if folder else "a link that leads back to itself or nowhere"
    return FileProblem(path, f"wrong file: {reason}", "remove it, or put the image in its place")


@dataclass(frozen=True)
class CheckResult:
    """What a check found: counts for the summary line, every problem, and images by finding where there are labels."""

    patients: int
    images: int
    problems: tuple[Problem, ...] = field(default=())
    findings: dict[str, int] = field(default_factory=dict)

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
    read_labels(root, selection)  the same rows from the table alone: the images need not be there
    official_test(root)  the patients that the publishers hold back for tests, sorted; None where root names none
    check(root, workers, quiet)  every problem under root, read in parallel with a progress bar
    """

    name: str
    title: str
    findings: tuple[str, ...]
    read_table: Callable[[Path, SelectionSettings], ImageTable]
    read_labels: Callable[[Path, SelectionSettings], ImageTable]
    official_test: Callable[[Path], tuple[str, ...] | None]
    check: Callable[[Path, int, bool], CheckResult]

    def find_patients(self, root: Path) -> list[str]:
        """The patients under root, of all views, sorted; DataError where root holds none."""
        return sorted(set(self.read_table(root, SelectionSettings(views="all")).patients))
