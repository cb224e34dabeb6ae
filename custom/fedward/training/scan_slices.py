"""A site's prepared scans as tensors of slices."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedward.errors import DataError
from fedward.preprocessing.scan import PreparedScan


@dataclass(frozen=True)
class ScanInfo:
    """Whose slices they are; spacing (z, y, x) in mm of the prepared scan, a guess where it is not known."""

    patient: str
    frame: str
    spacing: tuple[float, float, float]
    spacing_known: bool


@dataclass(frozen=True)
class Slices:
    """All slices of some scans, one scan after the other, each scan's in order of z.

    image     (N, 1, S, S) float16, z-scored; batches are widened when they are used
    labels    (N, S, S) uint8; None where they are not used
    scan      (N,) int64, the position of each slice's scan in `scans`
    position  (N,) int64, the slice's number within its scan, from 0
    depth     (N,) int64, how many slices that scan has
    """

    image: Tensor
    labels: Tensor | None
    scan: Tensor
    position: Tensor
    depth: Tensor
    scans: tuple[ScanInfo, ...]

    def __len__(self) -> int:
        return len(self.image)


def stack_scans(scans: Sequence[PreparedScan], labelled: bool) -> Slices | None:
    """Put the slices of `scans` one after the other; None where there is no scan.

    `labelled` keeps the labels, and every scan must have them (segmentation); without, they are left out (contrastive
    learning, which must not see them). Raises DataError that names a scan without labels.
    """
    if not scans:
        return None
    if labelled and (without := [scan for scan in scans if scan.labels is None]):
        raise DataError(
            f"{without[0].patient} {without[0].frame}".strip()
            + f" has no labels ({len(without)} of {len(scans)} scans have none): "
            "add them, or leave these patients out of what is trained and tested with labels"
        )
    depths = torch.tensor([len(scan.image) for scan in scans])
    return Slices(
        image=torch.cat([torch.from_numpy(scan.image) for scan in scans]).unsqueeze(1),
        labels=torch.cat([torch.from_numpy(scan.labels) for scan in scans]) if labelled else None,
        scan=torch.arange(len(scans)).repeat_interleave(depths),
        position=torch.cat([torch.arange(len(scan.image)) for scan in scans]),
        depth=depths.repeat_interleave(depths),
        scans=tuple(ScanInfo(scan.patient, scan.frame, scan.spacing, scan.spacing_known) for scan in scans),
    )


def join_slices(parts: Sequence[Slices]) -> Slices:
    """Put several sites' slices one after the other; `parts` must not be empty, and all have labels or none has."""
    first_scan = torch.tensor([0, *(len(part.scans) for part in parts[:-1])]).cumsum(0)
    labels = [part.labels for part in parts if part.labels is not None]
    if labels and len(labels) < len(parts):
        raise DataError(f"{len(labels)} of {len(parts)} sites have labels: join sites that all have them, or none")
    return Slices(
        image=torch.cat([part.image for part in parts]),
        labels=torch.cat(labels) if labels else None,
        scan=torch.cat([part.scan + first for part, first in zip(parts, first_scan, strict=True)]),
        position=torch.cat([part.position for part in parts]),
        depth=torch.cat([part.depth for part in parts]),
        scans=tuple(scan for part in parts for scan in part.scans),
    )
