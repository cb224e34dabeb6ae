"""The table of an image data set: one row an image, with its file, its patient and its labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ImageTable:
    """The images of a folder, one row each; N rows, C findings.

    paths     N files, in the order of the table they were read from
    patients  N names; all images of a patient carry the same one
    labels    (N, C) float32: 1 finding present, 0 absent, NaN unknown (carries no loss and counts in no metric)
    findings  C names, the columns of `labels`; none for a set without labels
    """

    paths: tuple[Path, ...]
    patients: tuple[str, ...]
    labels: NDArray[np.float32]
    findings: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (len(self.paths), len(self.findings))
        if len(self.patients) != len(self.paths) or self.labels.shape != shape or self.labels.dtype != np.float32:
            raise ValueError(
                f"{len(self.paths)} paths, {len(self.patients)} patients and labels {self.labels.dtype} "
                f"{self.labels.shape} do not belong together"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, rows: ArrayLike) -> "ImageTable":
        """These rows, in this order: whole numbers, or N booleans."""
        chosen = np.asarray(rows)
        index = np.arange(len(self))[chosen if chosen.size else np.array([], np.int64)]
        return ImageTable(
            tuple(self.paths[i] for i in index),
            tuple(self.patients[i] for i in index),
            self.labels[index],
            self.findings,
        )

    def of_patients(self, patients: Sequence[str]) -> "ImageTable":
        """The rows of these patients, in the order of the table."""
        wanted = set(patients)
        return self.select(np.array([patient in wanted for patient in self.patients], bool))


def image_names(paths: Sequence[Path], root: Path) -> list[str]:
    """A name for each image: its file's, or where two files share one, the paths from `root` on, with slashes."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [path.relative_to(root).as_posix() for path in paths]


def finding_counts(table: ImageTable) -> dict[str, int]:
    """Images with each finding, and `No Finding`: images whose labels are all 0, or the column of that name."""
    counts = {name: int((table.labels[:, i] == 1).sum()) for i, name in enumerate(table.findings)}
    if table.findings and "No Finding" not in counts:
        counts["No Finding"] = int((table.labels == 0).all(axis=1).sum())
    return counts
