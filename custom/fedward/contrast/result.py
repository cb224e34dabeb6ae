"""What a contrastive pretraining leaves behind: encoder, features, a picture of views, and what it gives away."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fedward.contrast.membership import alignment_scores, membership_auc, nearness_scores
from fedward.contrast.positions import cells_of
from fedward.contrast.settings import ContrastSettings
from fedward.contrast.site_slices import held_out_slices, site_slices
from fedward.contrast.trainer import ContrastTrainer
from fedward.contrast.view_sheet import view_sheet
from fedward.contrast.views import random_views
from fedward.networks.checkpoint import get_parameters, load_model, sha256_of
from fedward.networks.encoder import save_encoder
from fedward.pretext.contact_sheet import draw_contact_sheet
from fedward.rounds.run_folder import RunFolder, write_bytes, write_json
from fedward.seeds import derive_seed
from fedward.settings import RunSettings
from fedward.simulation import CACHE
from fedward.training.scan_slices import Slices
from fedward.training.segmentation import EVALUATION_BATCH, predict_logits
from fedward.training.trainer import choose_device

ROWS = 4  # example scans in the picture
OF_NO_HOSPITAL = -1


class Part(NamedTuple):
    """Slices of one hospital, by its place among the run's sites, or of none; and whether they were trained on."""

    hospital: int
    member: bool
    slices: Slices


def write_result(
    folder: RunFolder, settings: RunSettings, sites_folder: Path | None, device_name: str = "auto"
) -> bool:
    """Write RUN/models/encoder.safetensors and test.json with its SHA-256.

    Where the images are here, features.npz and views.png too, and the figures of membership into test.json.
    """
    encoder = folder.model("encoder")
    save_encoder(folder.model("last"), encoder)
    about = {"file": str(encoder.relative_to(folder.root)), "sha256": sha256_of(encoder)}
    test: dict[str, Any] = {"data_set": settings.data_set, "task": "contrast", "models": {}, "encoder": about}
    parts = read_parts(settings, sites_folder) if sites_folder is not None else []
    if any(part.member for part in parts):
        network: Any = load_model(folder.model("last"))[0].to(choose_device(device_name))
        write_features(folder.root / "features.npz", settings, parts, network)
        test["membership"] = measure_membership(settings, parts, network)
        draw_views(folder.root / "views.png", settings, parts)
    write_json(folder.test, test)
    return True


def read_parts(settings: RunSettings, sites_folder: Path) -> list[Part]:
    """Training and validation slices of each hospital, and the test patients', who belong to none."""
    cache, parts = sites_folder / CACHE, []
    for number, site in enumerate(settings.sites):
        if not (sites_folder / site).is_dir():
            continue  # a run on a network, of hospitals whose images are elsewhere
        train, validation = site_slices(settings, sites_folder / site, cache)
        parts += [Part(number, True, train)] if train is not None else []
        parts += [Part(number, False, validation)] if validation is not None else []
    test = held_out_slices(settings, sites_folder, cache)
    return parts if test is None else [*parts, Part(OF_NO_HOSPITAL, False, test)]


def write_features(path: Path, settings: RunSettings, parts: list[Part], network: Any) -> None:
    """Features of every slice as arrays of one file, for a projection.

    rows       float16 (N, D) of length 1, the encoder's features
    partition  uint8 (N,); scan  int32 (N,), numbered over all parts
    hospital   int16 (N,), place in `hospitals` or -1: of none; member  bool (N,), trained on
    hospitals  names
    """
    device = next(network.parameters()).device
    rows = [normalize(predict_logits(network.encoder, part.slices.image, device)) for part in parts]
    sizes = [len(part.slices) for part in parts]
    first_scan = np.cumsum([0, *(len(part.slices.scans) for part in parts[:-1])])
    assert settings.contrast is not None
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        rows=torch.cat(rows).cpu().numpy().astype(np.float16),
        partition=np.concatenate(
            [cells_of(part.slices, settings.contrast.partitions).partition for part in parts]
        ).astype(np.uint8),
        scan=np.concatenate([p.slices.scan + first for p, first in zip(parts, first_scan, strict=True)]).astype(
            np.int32
        ),
        hospital=np.repeat([part.hospital for part in parts], sizes).astype(np.int16),
        member=np.repeat([part.member for part in parts], sizes),
        hospitals=np.array(settings.sites),
    )
    write_bytes(path, buffer.getvalue())


def measure_membership(settings: RunSettings, parts: list[Part], network: Any) -> dict[str, Any]:
    """How well an outsider tells the volumes that were trained on from held-out ones, by `contrast.membership`.

    alignment  with the final encoder alone
    exchanged  with the features too that the sites would exchange next; None without an exchange
    """
    contrast = settings.contrast
    assert contrast is not None
    generator = torch.Generator().manual_seed(derive_seed(settings.seed, "membership views"))
    judged = network.encoder if contrast.method == "rotation" else network
    offered = _offered(settings, contrast, parts, network) if contrast.exchange else None
    aligned, near = [], []
    for part in parts:
        slices = part.slices
        aligned.append(alignment_scores(*_two_views(judged, slices, contrast, generator), slices.scan))
        if offered is not None:
            device = next(network.parameters()).device
            near.append(nearness_scores(predict_logits(network, slices.image, device), offered, slices.scan))
    member = np.repeat([part.member for part in parts], [len(part.slices.scans) for part in parts])
    patients = [f"{part.hospital} {scan.patient}" for part in parts for scan in part.slices.scans]
    return {
        "alignment": membership_auc(torch.cat(aligned).numpy(), member, patients),
        "exchanged": membership_auc(torch.cat(near).numpy(), member, patients) if near else None,
    }


def _offered(settings: RunSettings, contrast: ContrastSettings, parts: list[Part], network: Any) -> Tensor:
    """What the sites would exchange in a round that begins with the final model."""
    parameters, device = get_parameters(network), next(network.parameters()).device
    contrast = replace(contrast, momentum_encoder="reset")  # an outsider has the global encoder alone
    rows = [
        ContrastTrainer(
            settings.sites[part.hospital],
            part.slices,
            None,
            settings.training,
            settings.rounds,
            settings.seed,
            str(device),
            None,
            contrast,
        )
        .bank(parameters, settings.rounds + 1)
        .rows
        for part in parts
        if part.member
    ]
    return torch.from_numpy(np.concatenate(rows)).float().to(device)


def _two_views(
    network: Any, slices: Slices, settings: ContrastSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Features (N, D) of two views of each slice."""
    device = next(network.parameters()).device
    sides: tuple[list[Tensor], list[Tensor]] = [], []
    for image in slices.image.split(EVALUATION_BATCH):
        for side, view in zip(sides, random_views(image.to(device), settings, generator, 2), strict=True):
            side.append(predict_logits(network, view, device))
    return torch.cat(sides[0]), torch.cat(sides[1])


def draw_views(path: Path, settings: RunSettings, parts: list[Part]) -> None:
    """The first training scan of some hospitals; no name of a patient."""
    assert settings.contrast is not None
    members = [part for part in parts if part.member][:ROWS]
    generator = torch.Generator().manual_seed(derive_seed(settings.seed, "views"))
    columns = view_sheet(first_scans([part.slices for part in members]), settings.contrast, generator)
    rows = [settings.sites[part.hospital] for part in members]
    draw_contact_sheet(columns, rows, f"Partitions and views of {settings.contrast.method}", path)


def first_scans(parts: list[Slices]) -> Slices:
    """The first scan of each part, one after the other."""
    depth = [int(part.depth[0]) for part in parts]
    return Slices(
        image=torch.cat([part.image[:n] for part, n in zip(parts, depth, strict=True)]),
        labels=None,
        scan=torch.arange(len(parts)).repeat_interleave(torch.tensor(depth)),
        position=torch.cat([torch.arange(n) for n in depth]),
        depth=torch.tensor(depth).repeat_interleave(torch.tensor(depth)),
        scans=tuple(part.scans[0] for part in parts),
    )
