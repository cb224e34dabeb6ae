"""Writes the ready-made job folders again: python jobs/export_ready_made.py (a test says when that is needed)."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from fedward import cardiac_contrastive, cardiac_segmentation, cxr_classification, cxr_pretraining, lgg_segmentation
from fedward.contrast.settings import ContrastSettings
from fedward.flare.recipe import export_job
from fedward.networks.registry import DEFAULTS
from fedward.pretext.settings import pretext_settings
from fedward.settings import RunSettings

SCHEMES = ("fedavg", "costw", "costw_ce", "dcew")
ENCODER = "encoder"  # the name under which a job expects its encoder (fedward register-weights encoder ...)
HOSPITALS_QUEUE = 1024  # keys: half of the images of a hospital that has 2,048 or more


def ready_made() -> dict[str, RunSettings]:
    """Folder below jobs/ -> the settings of the job in it."""
    found = {f"lgg_segmentation/{scheme}": with_scheme(lgg_segmentation.SETTINGS, scheme) for scheme in SCHEMES}
    classification = cxr_classification.SETTINGS
    found |= {f"cxr_classification/{scheme}": with_scheme(classification, scheme) for scheme in ("fedavg", "dcew")}
    found["cxr_classification/linear"] = replace(
        classification, training=replace(classification.training, mode="linear"), starting_weights=ENCODER
    )
    found |= {f"cxr_pretraining/{method}": with_method(method) for method in ("moco_v2", "frid")}
    pretext = pretext_settings("moco_v2", crop_size=224, queue_size=HOSPITALS_QUEUE)  # its private state is reset
    found["cxr_pretraining/federated"] = replace(
        cxr_pretraining.SETTINGS,
        sites=classification.sites,
        min_sites=None,
        data_set=classification.data_set,
        pretext=pretext,
    )
    found |= {f"cardiac_contrastive/{method}": with_contrast(method) for method in ("fcl", "simclr")}
    cardiac = cardiac_segmentation.SETTINGS
    found |= {f"cardiac_segmentation/{scheme}": with_scheme(cardiac, scheme) for scheme in ("fedavg", "dcew")}
    found["cardiac_segmentation/pretrained"] = replace(cardiac, starting_weights=ENCODER)
    return {folder: replace(settings, name=folder.replace("/", "_")) for folder, settings in found.items()}


def with_scheme(settings: RunSettings, scheme: str) -> RunSettings:
    return replace(settings, aggregation=replace(settings.aggregation, scheme=scheme))


def with_method(method: str) -> RunSettings:
    """Pretraining at the coordinator."""
    settings = cxr_pretraining.SETTINGS
    training = replace(settings.training, network=method, network_args=DEFAULTS[method])
    return replace(settings, training=training, pretext=pretext_settings(method, crop_size=224, private_state="keep"))


def with_contrast(method: str) -> RunSettings:
    """Pretraining on volumes; only fcl has features to exchange."""
    settings = cardiac_contrastive.SETTINGS
    contrast = ContrastSettings(method=method, exchange=method == "fcl")
    return replace(settings, training=replace(settings.training, network=contrast.network), contrast=contrast)


def export_ready_made(jobs: Path) -> None:
    """Write every folder below `jobs`, replaced as a whole."""
    for folder, settings in ready_made().items():
        target = jobs / folder
        with tempfile.TemporaryDirectory() as temporary:
            made = export_job(settings, Path(temporary))
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(made, target)


if __name__ == "__main__":
    export_ready_made(Path(__file__).parent)
