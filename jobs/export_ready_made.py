"""Writes the ready-made job folders again: python jobs/export_ready_made.py (a test says when that is needed)."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from fedward.flare.recipe import export_job
from fedward.lgg_segmentation import JOB_NAME, SETTINGS

SCHEMES = ("fedavg", "costw", "costw_ce", "dcew")


def export_ready_made(jobs: Path) -> None:
    """One folder a scheme: jobs/lgg_segmentation/<scheme>, replaced as a whole."""
    for scheme in SCHEMES:
        settings = replace(
            SETTINGS, name=f"{JOB_NAME}_{scheme}", aggregation=replace(SETTINGS.aggregation, scheme=scheme)
        )
        target = jobs / JOB_NAME / scheme
        with tempfile.TemporaryDirectory() as temporary:
            made = export_job(settings, Path(temporary))
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(made, target)


if __name__ == "__main__":
    export_ready_made(Path(__file__).parent)
