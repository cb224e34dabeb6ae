"""The command lines of the jobs `cxr_classification` and `cxr_pretraining`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import click

from fedward import cxr_classification, cxr_pretraining
from fedward.datasets.selection import SelectionSettings, Uncertain, Views
from fedward.errors import UsageError
from fedward.job_options import Job
from fedward.networks.registry import DEFAULTS as NETWORK_DEFAULTS
from fedward.pretext.settings import DEFAULTS, METHODS, SMALLEST_CROP, pretext_settings
from fedward.settings import TRAINING_MODES, RunSettings
from fedward.simulation import COORDINATOR

LABELLED, ALL = ("chestxray14", "chexpert"), ("chestxray14", "chexpert", "image_folder")


def _image_options(defaults: RunSettings, data_sets: tuple[str, ...]) -> tuple[Any, ...]:
    """Options on images and network, which both jobs have."""
    network = defaults.training.network_args
    size = defaults.preprocessing.image_size
    return (
        click.option("--data-set", type=click.Choice(data_sets), help="[default: that of --sites; else the usual one]"),
        click.option(
            "--views", type=click.Choice(get_args(Views)), default="frontal", help="CheXpert: lateral images too."
        ),
        click.option("--image-size", type=int, default=size, help="Pixels that images are resized to, once."),
        click.option(
            "--crop-size", type=int, help="Pixels of the crop that the network sees. [default: 7/8 of the image size]"
        ),
        click.option(
            "--growth-rate", type=click.IntRange(1), default=network["growth_rate"], help="Width of DenseNet-121."
        ),
    )


def _crop_size(options: Mapping[str, Any]) -> int:
    """As asked; by default the papers' 224 of 256 pixels, but no less than what DenseNet-121 can take."""
    size, asked = options["image_size"], options["crop_size"]
    if size < SMALLEST_CROP:
        raise UsageError(f"--image-size {size}: DenseNet-121 takes images of {SMALLEST_CROP} pixels or more")
    return int(asked or max(SMALLEST_CROP, size * 7 // 8))


def _selection(options: Mapping[str, Any], data_set: str, **labels: Any) -> SelectionSettings:
    """Which images and labels; UsageError where only CheXpert has what is asked for."""
    asked = {"--views all": options["views"] != "frontal", "--uncertain": labels.get("uncertain", "ignore") != "ignore"}
    for option, given in asked.items():
        if given and data_set != "chexpert":
            raise UsageError(f"{option} is for chexpert: {data_set} has neither lateral images nor uncertain labels")
    return SelectionSettings(views=options["views"], **labels)


# --- classification -------------------------------------------------------------------------------------------------


def classification_changes(options: dict[str, Any], sites: tuple[str, ...], data_set: str) -> dict[str, Any]:
    if options["draw"] is not None and options["label_fraction"] == 1:
        raise UsageError("--draw says which part of the labels is drawn: give --label-fraction below 1 too")
    labels = {name: options[name] for name in ("uncertain", "label_fraction")}
    settings = cxr_classification.SETTINGS
    return {
        "selection": _selection(options, data_set, **labels, draw=options["draw"] or 1),
        "preprocessing": replace(settings.preprocessing, image_size=options["image_size"]),
        "training": {
            "mode": options["training"],
            "augment": options["augment"],
            "crop_size": _crop_size(options),
            "network_args": {**settings.training.network_args, "growth_rate": options["growth_rate"]},
        },
    }


def _classification_name(options: dict[str, Any]) -> str:
    linear = "_linear" if options["training"] == "linear" else ""
    return f"{cxr_classification.JOB_NAME}_{options['scheme']}{linear}"


CLASSIFICATION = Job(
    name=cxr_classification.JOB_NAME,
    title="Federated classification of 14 findings in chest X-rays with DenseNet-121.",
    defaults=cxr_classification.SETTINGS,
    quality="AUC",
    examples=(
        "--sites SITES --out RUN",
        "--training linear --starting-weights ENCODER --sites SITES --out RUN",
        "--label-fraction 0.1 --draw 2 --sites SITES --out RUN",
        "--mode central --sites SITES --out RUN",
        "--scheme dcew --export --export-dir DIR",
    ),
    options=(
        click.option(
            "--training",
            type=click.Choice(TRAINING_MODES),
            default=cxr_classification.SETTINGS.training.mode,
            help="The whole network, or its classifier on a frozen encoder.",
        ),
        *_image_options(cxr_classification.SETTINGS, LABELLED),
        click.option("--augment/--no-augment", default=True, help="Random crops and mirroring; never in linear."),
        click.option(
            "--uncertain", type=click.Choice(get_args(Uncertain)), default="ignore", help="CheXpert's label -1."
        ),
        click.option(
            "--label-fraction", type=float, default=1.0, help="Part of each site's training patients that is used."
        ),
        click.option("--draw", type=click.IntRange(1), help="Which draw of that part. [default: 1]"),
    ),
    changes=classification_changes,
    data_sets=LABELLED,
    run_name=_classification_name,
)


# --- pretraining ----------------------------------------------------------------------------------------------------


def pretraining_changes(options: dict[str, Any], sites: tuple[str, ...], data_set: str) -> dict[str, Any]:
    method = options["method"]
    network = {**NETWORK_DEFAULTS[method], "growth_rate": options["growth_rate"]}
    if options["sr_layer"] is not None:
        if method != "frid":
            raise UsageError(f"--sr-layer is for frid: {method} has none")
        network["sr_layer"] = int(options["sr_layer"])
    if options["probe_every"] is not None and options["probe_data_set"] is None:
        raise UsageError("--probe-every needs --probe-data-set: the labelled images to probe on")
    same = ("temperature", "queue_size", "min_crop", "jitter", "blur", "edge", "micro_batch")
    values = {name: options[name] for name in (*same, "probe_data_set")}
    alone = len(sites) == 1  # nobody's model is averaged with its own, so its private state stays in step
    return {
        "selection": _selection(options, data_set),
        "preprocessing": replace(cxr_pretraining.SETTINGS.preprocessing, image_size=options["image_size"]),
        "training": {"network": method, "network_args": network},
        "pretext": pretext_settings(
            method,
            **values,
            crop_size=_crop_size(options),
            momentum=options["momentum_encoder"],
            probe_every=options["probe_every"] or 1,
            private_state="keep" if alone else "reset",
        ),
    }


def _defaults_of(name: str) -> str:
    return ", ".join(f"{method} {DEFAULTS[method][name]}" for method in METHODS if name in DEFAULTS[method])


_PRETEXT = cxr_pretraining.SETTINGS.pretext
assert _PRETEXT is not None  # the job's defaults are of a pretext
PRETRAINING = Job(
    name=cxr_pretraining.JOB_NAME,
    title="Pretraining of DenseNet-121 on chest X-rays without labels, at the coordinator or over the hospitals. A "
    "round is one pass over the images. Its encoder becomes starting weights with fedward register-weights.",
    defaults=cxr_pretraining.SETTINGS,
    quality="AUC",
    examples=(
        "--method moco_v2 --queue-size 8192 --sites SITES --out RUN",
        "--method frid --no-edge --sites SITES --out RUN",
        "--method byol --at hospitals --export --export-dir DIR",
    ),
    options=(
        click.option("--method", type=click.Choice(METHODS), default=cxr_pretraining.METHOD, help="Pretext task."),
        click.option(
            "--at",
            type=click.Choice([COORDINATOR, "hospitals"]),
            help="Who trains. [default: those of --sites; else the coordinator]",
        ),
        *_image_options(cxr_pretraining.SETTINGS, ALL),
        click.option("--temperature", type=float, help=f"Of the loss. [default: {_defaults_of('temperature')}]"),
        click.option(
            "--momentum-encoder",
            type=float,
            help=f"Momentum of the second network. [default: {_defaults_of('momentum')}]",
        ),
        click.option(
            "--queue-size",
            type=click.IntRange(1),
            help="Keys in the queue: a multiple of the batch, at most half of a site's images. "
            f"[default: {_defaults_of('queue_size')}]",
        ),
        click.option("--min-crop", type=float, default=_PRETEXT.min_crop, help="Least part of an image in a crop."),
        click.option("--jitter", type=float, default=_PRETEXT.jitter, help="Change of brightness and contrast."),
        click.option("--blur", type=float, default=_PRETEXT.blur, help="Probability of a blur."),
        click.option("--edge/--no-edge", default=None, help="Edge view. [default: frid yes, others no]"),
        click.option("--sr-layer/--no-sr-layer", default=None, help="SR layer of frid. [default: yes]"),
        click.option("--micro-batch", type=click.IntRange(2), help="Images in memory at once, a divisor of the batch."),
        click.option("--probe-data-set", type=click.Choice(LABELLED), help="Labelled images for a k-NN probe."),
        click.option("--probe-every", type=click.IntRange(1), help="Rounds from probe to probe. [default: 1]"),
    ),
    changes=pretraining_changes,
    data_sets=ALL,
    run_name=lambda options: f"{cxr_pretraining.JOB_NAME}_{options['method']}",
    modes=("federated", "central"),
)
