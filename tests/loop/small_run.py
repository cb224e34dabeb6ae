"""A run of three phantom hospitals, small enough for seconds."""

from pathlib import Path
from typing import Any

from fedward.loop import run_loop
from fedward.networks.checkpoint import read_model
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings
from fedward.simulation import simulation_config
from fedward.training.site import Site
from fedward.training.task import SiteImages, get_task

SITES = ("hospital-01", "hospital-02", "hospital-03")
OPTIONS = (  # the same run for the job's command line
    *("--rounds", "2", "--image-size", "32", "--bias-field", "none", "--features", "2", "--batch-size", "4"),
    *("--learning-rate", "0.01", "--env", "loop", "--threads", "1", "--device", "cpu"),
)


def small_settings(name: str = "run", training: Any = None, aggregation: Any = None, **changes: Any) -> RunSettings:
    """Two rounds of one local epoch with DCEW."""
    network = {"in_channels": 3, "out_channels": 1, "features": 4, "depth": 2}
    own = {"network_args": network, "batch_size": 4, "learning_rate": 0.01, **(training or {})}
    return RunSettings(
        name=name,
        sites=SITES,
        preprocessing=PreprocessingSettings(bias_field="none", image_size=32),
        training=TrainingSettings(**own),
        aggregation=AggregationSettings(**(aggregation or {})),
        **{"rounds": 2, **changes},
    )


def load_images(sites_folder: Path, settings: RunSettings) -> dict[str, SiteImages]:
    return {
        site: get_task(settings).load(site, simulation_config(sites_folder, site, 1, "cpu"), settings)
        for site in settings.sites
    }


def run(
    settings: RunSettings, root: Path, images: dict[str, SiteImages], change: Any = None, score: Any = None
) -> RunFolder:
    """Run in the plain loop; `change(sites)` may replace sites before."""
    folder = RunFolder(root)
    sites = {name: Site(name, settings, part, 1, "cpu") for name, part in images.items()}
    if change is not None:
        change(sites)
    run_loop(settings, folder, sites, {"mode": "federated"}, score=score)
    return folder


def weights_of(folder: RunFolder, name: str = "last") -> dict[str, bytes]:
    return {key: value.tobytes() for key, value in read_model(folder.model(name))[0].items()}


def metrics_of(folder: RunFolder) -> list[tuple[float, float]]:
    """(cost, Dice) of the random start and of the model after each round."""
    return [(r["received"]["cost"], r["received"]["quality"]) for r in read_records(folder.rounds)]
