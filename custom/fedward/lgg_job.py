"""The command line of the job `lgg_segmentation`."""

from typing import Any

import click

from fedward.job_options import Job
from fedward.lgg_segmentation import JOB_NAME, SETTINGS
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import LOSSES

_TRAINING, _PREPROCESSING = SETTINGS.training, SETTINGS.preprocessing
_CHANNELS = {"all": 3, "flair": 1}


def changes(options: dict[str, Any], sites: tuple[str, ...], data_set: str) -> dict[str, Any]:
    network = {"in_channels": _CHANNELS[options["channels"]], "features": options["features"]}
    return {
        "preprocessing": PreprocessingSettings(
            bias_field=options["bias_field"],
            image_size=options["image_size"],
            channels=options["channels"],
            percentiles=_PREPROCESSING.percentiles,
        ),
        "training": {
            "loss": options["loss"],
            "augment": options["augment"],
            "network_args": {**_TRAINING.network_args, **network},
        },
    }


JOB = Job(
    name=JOB_NAME,
    title="Federated segmentation of lower-grade gliomas (LGG) with a U-Net.",
    defaults=SETTINGS,
    quality="Dice",
    examples=(
        "--scheme dcew --rounds 25 --sites SITES --env sim --out RUN",
        "--mode central --sites SITES --out RUN",
        "--scheme fedavg --export --export-dir DIR",
        "--scheme dcew --env prod --startup-kit KIT --out RUN",
    ),
    options=(
        click.option("--loss", type=click.Choice(LOSSES["segmentation"]), default=_TRAINING.loss),
        click.option("--augment/--no-augment", default=_TRAINING.augment),
        click.option(
            "--features", type=click.IntRange(1), default=_TRAINING.network_args["features"], help="U-Net width."
        ),
        click.option("--image-size", type=int, default=_PREPROCESSING.image_size, help="Pixels; a multiple of 16."),
        click.option("--bias-field", type=click.Choice(["n4", "n3", "none"]), default=_PREPROCESSING.bias_field),
        click.option("--channels", type=click.Choice(list(_CHANNELS)), default=_PREPROCESSING.channels),
    ),
    changes=changes,
    data_sets=("lgg",),
    run_name=lambda options: f"{JOB_NAME}_{options['scheme']}",
)
