"""Small hearts on disk in ACDC's layout: bright rings in noise, brightness tells the structure."""

import json

import numpy as np

from fedward.settings import run_settings_from_dict
from fedward.site_config import SiteConfig

SHAPE, SPACING = (3, 20, 24), (1.5, 1.5, 8.0)
NETWORK = {"in_channels": 1, "out_channels": 4, "features": 2, "depth": 1}


def heart(seed, shape=SHAPE, labels=(1, 2, 3)):
    """Image int16 and labels uint8, both (Z, H, W)."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, np.uint8)
    for label in labels:
        y, x = rng.integers(2, 10, 2)
        truth[:, y : y + 6, x : x + 6] = label
    return (60 * truth + rng.normal(100, 8, shape)).astype(np.int16), truth


def write_nifti(path, voxels, spacing=SPACING):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_patient(root, number, frames=(1, 9), unlabelled=(), labels=(1, 2, 3), spacing=SPACING):
    """patientNNN with its frames; those in `unlabelled` have no _gt file."""
    name = f"patient{number:03d}"
    for frame in frames:
        image, truth = heart(100 * number + frame, labels=labels)
        write_nifti(root / name / f"{name}_frame{frame:02d}.nii.gz", image, spacing)
        if frame not in unlabelled:
            write_nifti(root / name / f"{name}_frame{frame:02d}_gt.nii.gz", truth, spacing)
    return name


def write_split(root, train, validation=()):
    (root / "split.json").write_text(json.dumps({"train": list(train), "validation": list(validation)}))


def run_settings(sites=("hospital-01",), labelled=None, **changes):
    values = {
        "name": "hearts",
        "sites": list(sites),
        "rounds": 1,
        "data_set": "acdc",
        "preprocessing": {"bias_field": "none", "image_size": 16, "pixel_spacing": 1.5},
        "training": {"network": "unet_structures", "network_args": NETWORK, "loss": "dice_ce", "batch_size": 4},
        "selection": {} if labelled is None else {"labelled_patients": labelled},
        **changes,
    }
    return run_settings_from_dict(values)


def config(folder, tmp_path, **changes):
    return SiteConfig("fedward.yml", data_sets={"acdc": folder}, cache=tmp_path / "cache", **changes)
