"""Volumes in NIfTI files (.nii, .nii.gz), all turned to one orientation; slices run along the file's last axis.

Each axis points the way LPS has it (x to the patient's left, y to the back, z to the head), and the two axes within a
slice stand in that order. The last axis stays last even where slices are not axial, as in a short-axis view of the
heart: turning such a volume to LPS proper would cut its thick slices across.
"""

import gzip
import math
import re
import zlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import FileProblem
from fedward.datasets.scan import ScanVolume

NIFTI_FILE = re.compile(r"([^.].*?)\.nii(\.gz)?", re.IGNORECASE)
HEADER = 348  # bytes of a NIfTI-1 header, as its first number says
NIFTI_2 = b"n+2"  # behind the first number of a NIfTI-2 header
PACKED = b"\x1f\x8b"  # how a gzip file begins
FLOATS = {16: np.float32, 64: np.float64}  # NIfTI's codes of types
OPPOSITE = {"R": "L", "A": "P", "I": "S"}
COPY_AGAIN = "copy it again from the original"


@dataclass(frozen=True)
class Grid:
    """Where a volume's voxels lie: size and spacing (mm) in order z, y, x, and the file's own axes, such as LPS.

    corners  (8, 3) mm, the places of the corner voxels in LPS, in the order of the turned volume
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    axes: str
    corners: NDArray[np.float64]

    @property
    def spacing_known(self) -> bool:
        """False where all three are exactly 1 mm, which no scanner writes: a conversion has lost them."""
        return self.spacing != (1.0, 1.0, 1.0)

    @property
    def file_spacing(self) -> tuple[float, float, float]:
        """Spacing (mm) in the order of the file's axes, as people and other programs know the file."""
        z, y, x = self.spacing
        first, second = (OPPOSITE.get(axis, axis) for axis in self.axes[:2])
        return (x, y, z) if "LPS".index(first) < "LPS".index(second) else (y, x, z)


def nifti_stem(name: str) -> str | None:
    """The name of a NIfTI file without its ending; None for other files and hidden ones."""
    match = NIFTI_FILE.fullmatch(name)
    return match[1] if match else None


def read_volume(image: Path, labels: Path | None, most: int) -> ScanVolume:
    """A scan's image and, where it has them, its labels 0 to `most`.

    Raises FileProblem where a file is missing, damaged or no NIfTI, is not 3-D, holds NaN or infinite voxels or one
    value only, or where the labels hold other values or do not lie on the image's grid.
    """
    voxels, grid = read_nifti(image)
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
        pixels = voxels.astype(np.float32)
    _check_finite(image, pixels)
    if pixels.min() == pixels.max():
        raise FileProblem(image, f"constant image: every voxel is {pixels.flat[0]:g}", "export it again, or remove it")
    classes = None if labels is None else _read_labels(labels, most, image, grid)
    return ScanVolume(pixels, classes, grid.spacing, grid.spacing_known)


def read_nifti(path: Path) -> tuple[NDArray[Any], Grid]:
    """The voxels (Z, H, W) of a whole file, turned, in the file's own type, and where they lie."""
    sitk = _sitk()
    reader = _open(path)
    _check_content(path, reader)
    try:
        image = reader.Execute()
        grid = _grid(image)
        return sitk.GetArrayFromImage(_turned(image)), grid
    except RuntimeError as error:
        raise _unreadable(path, error) from error


def read_grid(path: Path) -> Grid:
    """Where a file's voxels lie, from its header alone; FileProblem where it is missing, no NIfTI, or not 3-D."""
    reader = _open(path)
    sitk = _sitk()
    # A grid of the same place without the voxels: turning it would need them, and one value stands for all.
    empty = sitk.Image(reader.GetSize(), sitk.sitkUInt8)
    empty.SetSpacing(reader.GetSpacing())
    empty.SetOrigin(reader.GetOrigin())
    empty.SetDirection(reader.GetDirection())
    return _grid(empty)


def turned_back(labels: NDArray[np.uint8], like: Path) -> NDArray[np.uint8]:
    """Labels (Z, H, W) as `read_nifti` gives the file `like`, turned to that file's own axes: its last axis first."""
    sitk = _sitk()
    original = _open(like).Execute()
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels))
    image.CopyInformation(_turned(original))
    back: NDArray[np.uint8] = sitk.GetArrayFromImage(sitk.DICOMOrient(image, _axes(original)))
    return back


def _sitk() -> Any:
    sitk: Any = import_module("SimpleITK")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # of a header's oddities; what matters is an error here
    return sitk


def _open(path: Path) -> Any:
    """A reader that has read the header of a 3-D volume with one real number a voxel."""
    if not path.is_file():
        raise FileProblem(path, "missing: no such file", "restore it from the original")
    if path.stat().st_size == 0:
        raise FileProblem(path, "unreadable: the file is empty", COPY_AGAIN)
    if first_bytes(path, 7)[4:] == NIFTI_2:  # the NIfTI library may take it for another format
        advice = 'convert it to NIfTI-1, as with nibabel: Nifti1Image.from_image(load("OLD")).to_filename("NEW")'
        raise FileProblem(path, "unreadable: it is NIfTI-2, and NIfTI-1 alone is read", advice)
    reader = _sitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NiftiImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        _content(path)  # where the file is damaged, that is what is wrong
        raise _unreadable(path, error) from error
    size = reader.GetSize()
    if len(size) != 3:
        advice = "save each frame as a volume of its own" if len(size) > 3 else "save the slices as one volume"
        shape = "x".join(str(n) for n in size)
        raise FileProblem(path, f"not 3-D: {len(size)} axes ({shape})", advice)
    if reader.GetNumberOfComponents() != 1:
        advice = "save one grey value a voxel"
        raise FileProblem(path, f"wrong type: {reader.GetNumberOfComponents()} values a voxel", advice)
    if not all(math.isfinite(s) and s > 0 for s in reader.GetSpacing()):
        raise FileProblem(path, f"wrong spacing: {reader.GetSpacing()} mm", "export it again with its geometry")
    return reader


def _check_content(path: Path, reader: Any) -> None:
    """FileProblem where voxels are missing, damaged, NaN or infinite: the reader itself puts zeros there, silently."""
    content = _content(path)
    voxels = math.prod(reader.GetSize())
    start = int(float(reader.GetMetaData("vox_offset")))
    missing = start + voxels * int(reader.GetMetaData("bitpix")) // 8 - len(content)
    if missing > 0:
        raise FileProblem(path, f"truncated: {missing:,} bytes of its voxels are missing", COPY_AGAIN)
    kind = FLOATS.get(int(reader.GetMetaData("datatype")))
    if kind is not None:
        little = int.from_bytes(content[:4], "little") == HEADER
        stored = np.dtype(kind).newbyteorder("<" if little else ">")
        _check_finite(path, np.frombuffer(content, stored, voxels, start))


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file's unpacked content; none where it cannot be unpacked."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == PACKED
        with gzip.open(path) if packed else path.open("rb") as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error):
        return b""


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(PACKED) else content
    except EOFError:
        raise FileProblem(path, "truncated: the compressed file ends too soon", COPY_AGAIN) from None
    except (OSError, zlib.error) as error:
        raise FileProblem(path, f"damaged: {error}", COPY_AGAIN) from error


def _check_finite(path: Path, voxels: NDArray[Any]) -> None:
    if bad := int((~np.isfinite(voxels)).sum()):
        raise FileProblem(path, f"not finite: {bad} of {voxels.size} voxels are NaN or infinite", "export it again")


def _unreadable(path: Path, error: RuntimeError) -> FileProblem:
    text = str(error)
    if "Unable to determine ImageIO" in text or "could not be read" in text.lower() or "not recognized" in text:
        return FileProblem(path, "unreadable: it is no NIfTI file", "save it as NIfTI, .nii or .nii.gz")
    if "orthonormal" in text:
        advice = "resample it to a grid with right angles"
        return FileProblem(path, "unreadable: the axes of its grid are not at right angles", advice)
    last = text.strip().splitlines()[-1].replace(str(path), path.name)
    return FileProblem(path, f"unreadable: {last}", COPY_AGAIN)


def _axes(image: Any) -> str:
    """Where the axes x, y, z of an image point, such as LPS."""
    orient = _sitk().DICOMOrientImageFilter
    return str(orient.GetOrientationFromDirectionCosines(image.GetDirection()))


def _turned(image: Any) -> Any:
    first, second, last = (OPPOSITE.get(axis, axis) for axis in _axes(image))
    return _sitk().DICOMOrient(image, "".join(sorted((first, second), key="LPS".index)) + last)


def _grid(image: Any) -> Grid:
    axes = _axes(image)
    turned = _turned(image)
    x, y, z = turned.GetSize()
    ends = [(i, j, k) for k in (0, z - 1) for j in (0, y - 1) for i in (0, x - 1)]
    corners = np.array([turned.TransformIndexToPhysicalPoint(end) for end in ends])
    spacing = turned.GetSpacing()
    return Grid((z, y, x), (spacing[2], spacing[1], spacing[0]), axes, corners)


def _read_labels(path: Path, most: int, image: Path, grid: Grid) -> NDArray[np.uint8]:
    values, own = read_nifti(path)
    if own.size != grid.size:
        raise FileProblem(
            path, f"wrong size: {_size(own)} voxels, but {image.name} has {_size(grid)}", "draw the labels on the image"
        )
    # Half a voxel: less is rounding in a header, more puts labels beside the structure that they mark.
    apart = float(np.abs(own.corners - grid.corners).max())
    if not apart < min(grid.spacing) / 2:
        raise FileProblem(
            path,
            f"wrong geometry: a corner lies {apart:.3g} mm from where {image.name} has it",
            "copy the image's header if the voxels do belong together",
        )
    found = np.unique(values)
    if wrong := [value for value in found.tolist() if not 0 <= value <= most or value != int(value)]:
        shown = ", ".join(f"{value:g}" for value in wrong[:6]) + (", ..." if len(wrong) > 6 else "")
        raise FileProblem(path, f"wrong labels: {shown}", f"export it with whole numbers 0 to {most}")
    return values.astype(np.uint8)


def _size(grid: Grid) -> str:
    """Width x height x slices, as people write it."""
    return "x".join(str(n) for n in reversed(grid.size))
