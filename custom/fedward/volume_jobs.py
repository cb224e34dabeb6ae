"""The command lines of the jobs `cardiac_contrastive` and `cardiac_segmentation`."""

from dataclasses import replace
from typing import Any

import click

from fedward import cardiac_contrastive, cardiac_segmentation
from fedward.contrast.settings import FORMULAS, METHODS, MOMENTUM_ENCODERS, NETWORK_OF, PRECISIONS, ContrastSettings
from fedward.datasets.registry import scan_data_set
from fedward.datasets.selection import SelectionSettings
from fedward.errors import UsageError
from fedward.job_options import Job
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import LOSSES, RunSettings

# option -> the setting that it changes: those of fcl, of its exchange, of every loss on similarities, of every method
OF_FCL = {
    "formula": "formula",
    "momentum_encoder": "momentum",
    "momentum_state": "momentum_encoder",
    "bank_size": "bank_size",
    "negatives": "negatives",
}
OF_EXCHANGE = {"max_age": "max_age", "noise": "noise", "exchange_precision": "precision"}
OF_SIMILARITY = {"temperature": "temperature"}
OF_ALL = {"partitions": "partitions", "min_crop": "min_crop", "rotation": "rotation", "bend": "gamma"}


def _scan_options(defaults: RunSettings) -> tuple[Any, ...]:
    """Options on scans and the U-Net, which both jobs have; a fine-tuning needs those of its pretraining."""
    network, preprocessing = defaults.training.network_args, defaults.preprocessing
    return (
        click.option("--features", type=click.IntRange(1), default=network["features"], help="Width of the U-Net."),
        click.option("--depth", type=click.IntRange(1), default=network["depth"], help="How often it halves a slice."),
        click.option(
            "--image-size",
            type=int,
            default=preprocessing.image_size,
            help="Pixels that a slice is cropped or padded to; a multiple of 2^depth.",
        ),
        click.option(
            "--pixel-spacing",
            type=float,
            default=preprocessing.pixel_spacing,
            help="Millimetres a pixel in plane, after resampling.",
        ),
    )


def _preprocessing(options: dict[str, Any], defaults: RunSettings) -> PreprocessingSettings:
    return replace(defaults.preprocessing, image_size=options["image_size"], pixel_spacing=options["pixel_spacing"])


def _network_args(options: dict[str, Any]) -> dict[str, int]:
    return {"in_channels": 1, "features": options["features"], "depth": options["depth"]}


# --- pretraining ----------------------------------------------------------------------------------------------------


def contrastive_changes(options: dict[str, Any], sites: tuple[str, ...], data_set: str) -> dict[str, Any]:
    method = options["method"]
    return {
        "preprocessing": _preprocessing(options, cardiac_contrastive.SETTINGS),
        "training": {"network": NETWORK_OF[method], "network_args": _network_args(options)},
        "contrast": _contrast(method, options),
    }


def _contrast(method: str, options: dict[str, Any]) -> ContrastSettings:
    """The settings that were asked for; UsageError where one of them would change nothing."""
    federated, exchange = options["mode"] == "federated", options["exchange"]
    if exchange and (method != "fcl" or not federated):
        why = f"--mode {options['mode']} has nobody to exchange with" if method == "fcl" else f"{method} has none"
        raise UsageError(f"--exchange is for the federated fcl: {why}")
    if exchange is None:
        exchange = method == "fcl" and federated
    own = {**OF_ALL, **(OF_SIMILARITY if method != "rotation" else {}), **(OF_FCL if method == "fcl" else {})}
    used = {**own, **(OF_EXCHANGE if exchange else {})}
    given = {name for name in {**OF_ALL, **OF_SIMILARITY, **OF_FCL, **OF_EXCHANGE} if options[name] is not None}
    for name in sorted(given - set(used)):
        without = method == "fcl" and name in OF_EXCHANGE
        raise UsageError(
            f"--{name.replace('_', '-')} is of no use to {'fcl without exchange' if without else method}: leave it out"
        )
    return ContrastSettings(method=method, exchange=exchange, **{used[name]: options[name] for name in given})


def _of(name: str) -> str:
    return f"[default: {getattr(ContrastSettings(), name)}]"


CONTRASTIVE = Job(
    name=cardiac_contrastive.JOB_NAME,
    title="Pretraining of a U-Net's encoder on volumes without labels, over the hospitals: they exchange features of "
    "their slices, never images. Its encoder becomes starting weights with fedward register-weights.",
    defaults=cardiac_contrastive.SETTINGS,
    quality="nearest-neighbour",
    examples=(
        "--sites SITES --out RUN",
        "--formula literal --noise 0.05 --sites SITES --out RUN",
        "--method simclr --sites SITES --out RUN",
        "--no-exchange --export --export-dir DIR",
    ),
    options=(
        click.option(
            "--method", type=click.Choice(METHODS), default="fcl", help="fcl, or a baseline on the same slices."
        ),
        click.option(
            "--exchange/--no-exchange", default=None, help="Features of other hospitals. [default: with fcl, yes]"
        ),
        click.option("--formula", type=click.Choice(FORMULAS), help=f"Of the loss of fcl. {_of('formula')}"),
        click.option("--partitions", type=click.IntRange(1), help=f"Parts of a volume. {_of('partitions')}"),
        click.option("--temperature", type=float, help=f"Of the loss of fcl and simclr. {_of('temperature')}"),
        click.option("--momentum-encoder", type=float, help=f"Momentum of the second encoder. {_of('momentum')}"),
        click.option(
            "--momentum-state",
            type=click.Choice(MOMENTUM_ENCODERS),
            help=f"The second encoder at the begin of a round. {_of('momentum_encoder')}",
        ),
        click.option(
            "--bank-size",
            type=click.IntRange(2),
            help="Features that a site keeps and offers; a hospital's kit may allow fewer and then refuses the job. "
            f"{_of('bank_size')}",
        ),
        click.option(
            "--negatives",
            type=click.IntRange(1),
            help="Features drawn at each step. [default: as many as the site's own bank holds]",
        ),
        click.option(
            "--max-age",
            type=click.IntRange(0),
            help=f"Rounds that a silent site's features are used. {_of('max_age')}",
        ),
        click.option(
            "--noise", type=float, help=f"Standard deviation of the noise on exchanged features. {_of('noise')}"
        ),
        click.option(
            "--exchange-precision", type=click.Choice(PRECISIONS), help=f"How features travel. {_of('precision')}"
        ),
        click.option("--min-crop", type=float, help=f"Least part of a slice in a view. {_of('min_crop')}"),
        click.option("--rotation", type=float, help=f"Most degrees that a view is turned. {_of('rotation')}"),
        click.option("--bend", type=float, help=f"Most that a view's grey values are bent. {_of('gamma')}"),
        click.option(
            "--data-set", type=click.Choice(("acdc", "nifti_folder")), help="[default: that of --sites; else acdc]"
        ),
        *_scan_options(cardiac_contrastive.SETTINGS),
    ),
    changes=contrastive_changes,
    data_sets=("acdc", "nifti_folder"),
    run_name=lambda options: f"{cardiac_contrastive.JOB_NAME}_{options['method']}",
)

# --- segmentation ---------------------------------------------------------------------------------------------------


def segmentation_changes(options: dict[str, Any], sites: tuple[str, ...], data_set: str) -> dict[str, Any]:
    if options["draw"] is not None and options["labelled_patients"] is None:
        raise UsageError("--draw says which patients are drawn: give --labelled-patients too")
    outputs = len(scan_data_set(data_set).structures) + 1  # the background is one
    return {
        "selection": SelectionSettings(labelled_patients=options["labelled_patients"], draw=options["draw"] or 1),
        "preprocessing": _preprocessing(options, cardiac_segmentation.SETTINGS),
        "training": {
            "loss": options["loss"],
            "augment": options["augment"],
            "network_args": {**_network_args(options), "out_channels": outputs},
        },
    }


SEGMENTATION = Job(
    name=cardiac_segmentation.JOB_NAME,
    title="Segmentation of right ventricle, myocardium and left ventricle in cardiac MRI with a U-Net, from random "
    "weights or from a pretrained encoder, with as few labelled patients as asked for.",
    defaults=cardiac_segmentation.SETTINGS,
    quality="Dice",
    examples=(
        "--labelled-patients 2 --starting-weights fcl --sites SITES --out RUN",
        "--labelled-patients 2 --draw 3 --mode local --sites SITES --out RUN",
        "--scheme dcew --export --export-dir DIR",
    ),
    options=(
        click.option(
            "--labelled-patients",
            type=click.IntRange(1),
            help="Training patients of each site that are used, with both frames. [default: all with labels]",
        ),
        click.option("--draw", type=click.IntRange(1), help="Which draw of these patients. [default: 1]"),
        click.option(
            "--loss", type=click.Choice(LOSSES["structures"]), default=cardiac_segmentation.SETTINGS.training.loss
        ),
        click.option("--augment/--no-augment", default=True, help="Random changes of slices in training."),
        *_scan_options(cardiac_segmentation.SETTINGS),
    ),
    changes=segmentation_changes,
    data_sets=("acdc",),
    run_name=lambda options: f"{cardiac_segmentation.JOB_NAME}_{options['scheme']}",
)
