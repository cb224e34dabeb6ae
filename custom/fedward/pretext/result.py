"""What a pretraining leaves behind: the encoder alone, and a picture of the views it has learned from."""

from collections.abc import Sequence
from pathlib import Path

import torch

from fedward.datasets.registry import image_data_set
from fedward.networks.checkpoint import sha256_of
from fedward.networks.encoder import save_encoder
from fedward.pretext.contact_sheet import contact_sheet, draw_contact_sheet
from fedward.rounds.run_folder import RunFolder, write_json
from fedward.settings import RunSettings
from fedward.simulation import CACHE, find_sites
from fedward.training.xray_images import open_xrays

ROWS = 4  # example images in the picture


def write_result(
    folder: RunFolder, settings: RunSettings, sites_folder: Path | None, device_name: str = "auto"
) -> bool:
    """Write RUN/models/encoder.safetensors, test.json with its SHA-256 and, where the images are here, views.png."""
    encoder = folder.model("encoder")
    save_encoder(folder.model("last"), encoder)
    about = {"file": str(encoder.relative_to(folder.root)), "sha256": sha256_of(encoder)}
    write_json(folder.test, {"data_set": settings.data_set, "task": "pretext", "models": {}, "encoder": about})
    if sites_folder is not None:
        draw_views(folder, settings, sites_folder)
    return True


def write_local_result(
    folder: RunFolder, settings: RunSettings, sites_folder: Path, sites: Sequence[str], device_name: str
) -> bool:
    """An encoder for each hospital that pretrained alone."""
    for site in sites:
        own = RunFolder(folder.root / site)
        save_encoder(own.model("last"), own.model("encoder"))
    return False


def draw_views(folder: RunFolder, settings: RunSettings, sites_folder: Path) -> None:
    """Some images of the first site, their augmentations one by one, and two whole views."""
    assert settings.pretext is not None
    site = find_sites(sites_folder)[0]
    table = image_data_set(settings.data_set).read_table(sites_folder / site, settings.selection)
    images = open_xrays(table, settings.preprocessing.image_size, sites_folder / CACHE)
    generator = torch.Generator().manual_seed(settings.seed)
    shown = torch.randperm(len(images), generator=generator)[:ROWS]
    columns = contact_sheet(images.pixels(shown), settings.pretext, generator)
    rows = [f"image {number + 1}" for number in range(len(shown))]  # no name of a patient's file
    draw_contact_sheet(columns, rows, f"Views of {settings.pretext.method}", folder.root / "views.png")
