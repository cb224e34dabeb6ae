"""Labels written as NIfTI on the grid of another file, whose geometry is kept byte for byte.

SimpleITK would write its own rendering of the geometry: rounded cosines where the axes are oblique, and other codes.
"""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.nifti import HEADER, first_bytes, turned_back
from fedward.rounds.run_folder import write_bytes

UINT8 = 2  # NIfTI's code
# byte offset in a NIfTI-1 header and type, as in `struct`, of what changes with the voxels' type
DATATYPE, BITS, START, SCALING, CALIBRATION = (70, "h"), (72, "h"), (108, "f"), (112, "2f"), (124, "2f")


def write_labels(path: Path, labels: NDArray[np.uint8], like: Path) -> None:
    """Write labels (Z, H, W), turned as `read_nifti` gives them, on the grid and in the axes of the file `like`.

    Size, spacing, units and both affines with their codes are those of `like`, bit by bit. `path` ends in .nii.gz.
    FileProblem where `like` is no NIfTI volume.
    """
    voxels = turned_back(labels, like)
    header = bytearray(first_bytes(like, HEADER))
    order = "<" if struct.unpack_from("<i", header)[0] == HEADER else ">"
    start = HEADER + 4  # four zeros: no extension follows
    for (offset, kind), values in (
        (DATATYPE, (UINT8,)),
        (BITS, (8,)),
        (START, (start,)),
        (SCALING, (1, 0)),
        (CALIBRATION, (0, 0)),
    ):
        struct.pack_into(order + kind, header, offset, *values)
    write_bytes(path, gzip.compress(bytes(header) + bytes(4) + voxels.tobytes(), mtime=0))
