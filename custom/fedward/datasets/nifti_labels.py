"""Labels written as NIfTI on the grid of another file, whose geometry is kept byte for byte.

SimpleITK would write its own rendering of the geometry: rounded cosines where the axes are oblique, and other codes.
"""

import gzip
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.nifti import turned_back
from fedward.rounds.run_folder import write_bytes

UINT8 = 2  # NIfTI's code


class Fields(NamedTuple):
    """Where a NIfTI header holds what changes with the voxels' type: byte offset and type, as in `struct`."""

    size: int
    datatype: tuple[int, str]
    bits: tuple[int, str]
    start: tuple[int, str]
    scaling: tuple[int, str]
    calibration: tuple[int, str]


NIFTI_1 = Fields(348, (70, "h"), (72, "h"), (108, "f"), (112, "2f"), (124, "2f"))
NIFTI_2 = Fields(540, (12, "h"), (14, "h"), (168, "q"), (176, "2d"), (192, "2d"))


def write_labels(path: Path, labels: NDArray[np.uint8], like: Path) -> None:
    """Write labels (Z, H, W), turned as `read_nifti` gives them, on the grid and in the axes of the file `like`.

    Size, spacing, units and both affines with their codes are those of `like`, bit by bit. `path` ends in .nii.gz.
    FileProblem where `like` is no NIfTI volume.
    """
    voxels = turned_back(labels, like)
    header = _header(like)
    order = "<" if struct.unpack_from("<i", header)[0] == len(header) else ">"
    fields = NIFTI_1 if len(header) == NIFTI_1.size else NIFTI_2
    start = len(header) + 4  # four zeros: no extension follows
    for (offset, kind), values in (
        (fields.datatype, (UINT8,)),
        (fields.bits, (8,)),
        (fields.start, (start,)),
        (fields.scaling, (1, 0)),
        (fields.calibration, (0, 0)),
    ):
        struct.pack_into(order + kind, header, offset, *values)
    write_bytes(path, gzip.compress(bytes(header) + bytes(4) + voxels.tobytes(), mtime=0))


def _header(path: Path) -> bytearray:
    """The header of a file that `turned_back` has read, so that it is known to be NIfTI."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        start = file.read(NIFTI_2.size)
    sizes = struct.unpack_from("<i", start)[0], struct.unpack_from(">i", start)[0]
    return bytearray(start if NIFTI_2.size in sizes else start[: NIFTI_1.size])
