"""Labels on another file's grid: the geometry of the header comes back bit by bit, the voxels where they were."""

import gzip
import itertools
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from fedward.datasets.base import FileProblem
from fedward.datasets.nifti import read_nifti
from fedward.datasets.nifti_labels import write_labels

# byte ranges of a NIfTI-1 header: dim; pixdim; units; codes of both affines; quaternion, offsets and the rows
GEOMETRY = ((40, 56), (76, 108), (123, 124), (252, 328))
FLIPS = [
    np.eye(3)[list(order)] * np.array(signs)[:, None]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
RNG = np.random.default_rng(0)
OBLIQUE = [np.linalg.qr(RNG.normal(size=(3, 3)))[0] for _ in range(4)]  # of both hands


def plain(path):
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def write_image(path, direction, shape=(4, 9, 7)):
    image = sitk.GetImageFromArray(RNG.normal(size=shape).astype(np.float32))
    image.SetSpacing((1.3671875, 1.4, 9.99))
    image.SetOrigin((12.345, -67.1, 3.3))
    image.SetDirection(np.asarray(direction).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def same_grid(one, other):
    a, b = sitk.ReadImage(str(one)), sitk.ReadImage(str(other))
    parts = ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")
    return all(getattr(a, part)() == getattr(b, part)() for part in parts)


@pytest.mark.parametrize("direction", [*FLIPS[::5], *OBLIQUE], ids=lambda d: f"{np.ravel(d).round(2).tolist()}")
def test_geometry_bit_by_bit_and_voxels_in_their_place(tmp_path, direction):
    source = write_image(tmp_path / "scan.nii.gz", direction)
    voxels, _ = read_nifti(source)
    labels = np.digitize(voxels, (-0.5, 0.3, 1)).astype(np.uint8)
    write_labels(tmp_path / "labels.nii.gz", labels, like=source)
    before, after = plain(source), plain(tmp_path / "labels.nii.gz")
    assert all(before[slice(*part)] == after[slice(*part)] for part in GEOMETRY)
    assert same_grid(source, tmp_path / "labels.nii.gz")
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "labels.nii.gz")))
    original = sitk.GetArrayFromImage(sitk.ReadImage(str(source)))
    assert np.array_equal(written, np.digitize(original, (-0.5, 0.3, 1)))
    again, _ = read_nifti(tmp_path / "labels.nii.gz")
    assert np.array_equal(again, labels)


@pytest.mark.parametrize("codes", [(0, 2), (1, 0), (0, 0), (4, 1)])
def test_the_codes_of_the_affines_stay(tmp_path, codes):
    """The shared ACDC files have a row affine alone, code 2; SimpleITK would write both with code 1."""
    source = write_image(tmp_path / "a.nii", np.diag([-1, 1, -1]))
    data = bytearray(source.read_bytes())
    struct.pack_into("<2h", data, 252, *codes)
    source.write_bytes(data)
    write_labels(tmp_path / "labels.nii.gz", np.ones((4, 9, 7), np.uint8), like=source)
    assert struct.unpack_from("<2h", plain(tmp_path / "labels.nii.gz"), 252) == codes
    assert same_grid(source, tmp_path / "labels.nii.gz")


def test_scaled_integers_with_an_extension(tmp_path):
    """The slope and intercept of a scaled image are not those of its labels, and its extension stays behind."""
    source = write_image(tmp_path / "a.nii", OBLIQUE[0])
    data = bytearray(source.read_bytes())
    struct.pack_into("<f", data, 108, 352 + 32)
    struct.pack_into("<2f", data, 112, 2.5, -7)
    extension = bytes([1, 0, 0, 0]) + struct.pack("<2i", 32, 6) + b"patient's name".ljust(24)
    source.write_bytes(bytes(data[:348]) + extension + bytes(data[352:]))
    labels = RNG.integers(0, 4, read_nifti(source)[0].shape).astype(np.uint8)
    write_labels(tmp_path / "labels.nii.gz", labels, like=source)
    assert np.array_equal(read_nifti(tmp_path / "labels.nii.gz")[0], labels)
    assert b"patient" not in plain(tmp_path / "labels.nii.gz")
    assert same_grid(source, tmp_path / "labels.nii.gz")


def test_the_other_order_of_bytes(tmp_path):
    source = write_image(tmp_path / "a.nii", np.diag([1, -1, 1]))
    data = source.read_bytes()
    swapped = bytearray(data)
    for start, kind in ((0, "i"), (40, "8h"), (56, "3f"), (68, "4h"), (76, "8f"), (108, "3f"), (120, "h")):
        struct.pack_into(">" + kind, swapped, start, *struct.unpack_from("<" + kind, data, start))
    for start, kind in ((124, "4f"), (252, "2h"), (256, "18f"), (352, f"{4 * 9 * 7}f")):
        struct.pack_into(">" + kind, swapped, start, *struct.unpack_from("<" + kind, data, start))
    source.write_bytes(swapped)
    labels = RNG.integers(0, 4, (4, 9, 7)).astype(np.uint8)
    write_labels(tmp_path / "labels.nii.gz", labels, like=source)
    assert np.array_equal(read_nifti(tmp_path / "labels.nii.gz")[0], labels)
    assert same_grid(source, tmp_path / "labels.nii.gz")


def test_no_nifti(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"no such thing")
    with pytest.raises(FileProblem, match=r"a\.nii\.gz"):
        write_labels(tmp_path / "labels.nii.gz", np.ones((4, 9, 7), np.uint8), like=tmp_path / "a.nii.gz")
    assert not (tmp_path / "labels.nii.gz").exists()
