"""What every data set of scans offers: 3-D volumes, several a patient, with or without labels of structures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import CheckResult


@dataclass(frozen=True)
class Scan:
    """One volume on disk.

    frame   "ED" or "ES" (end of diastole, of systole), the frame's number as text where it is neither, or ""
    labels  the file of its structures; None where it has none
    group   the patient's disease; "" where it is unknown
    """

    patient: str
    frame: str
    image: Path
    labels: Path | None
    group: str


@dataclass(frozen=True)
class ScanVolume:
    """One scan's voxels, axes in order of LPS: z towards the head, y towards the back, x towards the patient's left.

    image    (Z, H, W) float32, finite
    labels   (Z, H, W) uint8, 0 is background, 1, 2, ... the data set's structures; None where the scan has none
    spacing  (z, y, x) mm between the centres of voxels
    spacing_known  False where the file plainly lost it: all three are exactly 1
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8] | None
    spacing: tuple[float, float, float]
    spacing_known: bool


@dataclass(frozen=True)
class ScanDataSet:
    """A supported data set of scans, by its registered name.

    structures  names of labels 1, 2, ...; empty where the set has no labels that are known
    find_scans(root)  the scans under root, sorted by patient, then in the heart's order; DataError where it holds none
    read_scan(scan)   the voxels; DataError names file and reason
    check(root, workers, quiet)  every problem under root, read in parallel with a progress bar
    """

    name: str
    title: str
    structures: tuple[str, ...]
    find_scans: Callable[[Path], list[Scan]]
    read_scan: Callable[[Scan], ScanVolume]
    check: Callable[[Path, int, bool], CheckResult]

    def find_patients(self, root: Path) -> list[str]:
        """The patients under root, sorted; DataError where root holds none."""
        return sorted({scan.patient for scan in self.find_scans(root)})
