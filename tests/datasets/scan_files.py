"""Small NIfTI files and a small set of scans in the layout of ACDC, for tests."""

import gzip
import struct

import numpy as np
import SimpleITK as sitk

SPACING = (8.0, 1.5, 1.25)  # z, y, x mm


def write_nifti(path, voxels, spacing=SPACING, axes="LPS", origin=(3.0, -7.0, 11.0)):
    """Voxels (Z, H, W) whose axes are those of LPS, in a file whose axes are `axes`."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.DICOMOrient(image, axes), str(path))
    return path


def write_nifti_2(path, voxels, order):
    """int16 voxels (Z, H, W) in a NIfTI-2 file with the bytes of a number in `order`, < or >, as nibabel writes it."""
    header = bytearray(544)
    depth, height, width = voxels.shape
    for place, kind, values in (
        (0, "i8s", (540, b"n+2\0\r\n\x1a\n")),
        (12, "2h", (4, 16)),
        (16, "8q", (3, width, height, depth, 1, 1, 1, 1)),
        (104, "8d", (1, *SPACING[::-1], 1, 1, 1, 1)),
        (168, "q2d", (544, 1, 0)),
        (344, "2i", (0, 1)),
        (400, "12d", (SPACING[2], 0, 0, 3, 0, SPACING[1], 0, -7, 0, 0, SPACING[0], 11)),
    ):
        struct.pack_into(order + kind, header, place, *values)
    content = bytes(header) + voxels.astype(f"{order}i2").tobytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path


def voxels(seed=0, shape=(4, 6, 5)):
    return np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16)


def classes(seed=0, shape=(4, 6, 5), most=3):
    return np.random.default_rng(seed + 100).integers(0, most + 1, shape).astype(np.uint8)


def write_patient(folder, number, frames=(1, 9), info="ED: 1\nES: 9\nGroup: NOR\nNbFrame: 30\n"):
    """One patient of ACDC: frames with labels and Info.cfg; no Info.cfg where `info` is None."""
    name = f"patient{number:03d}"
    for frame in frames:
        stem = folder / name / f"{name}_frame{frame:02d}"
        write_nifti(stem.with_name(f"{stem.name}.nii.gz"), voxels(100 * number + frame))
        write_nifti(stem.with_name(f"{stem.name}_gt.nii.gz"), classes(100 * number + frame))
    if info is not None:
        (folder / name / "Info.cfg").write_text(info)
    return folder / name


def write_set(folder, patients=3):
    for number in range(1, patients + 1):
        write_patient(folder, number)
    return folder
