"""`fedward preprocess`: fill the cache before training, and show what it does to the images."""

from pathlib import Path
from typing import Any

import click

EXAMPLES = """\b
Examples:
  fedward preprocess lgg kaggle_3m --cache cache
  fedward preprocess lgg SITES/hospital-01 --cache cache --image-size 256 --picture before-after.png
  fedward preprocess chestxray14 SITES/hospital-01 --cache cache --image-size 256
  fedward preprocess acdc SITES/hospital-01 --cache cache --pixel-spacing 1.25 --picture before-after.png
"""
OF_BRAIN_MRI, OF_PICTURES = ("bias_field", "channels"), ("picture", "patient")  # options that not every data set has
DEFAULT_SIZE = {"volumes": 96, "images": 256}


@click.command("preprocess", epilog=EXAMPLES)
@click.argument("data_set")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--cache", required=True, type=click.Path(path_type=Path), help="Folder for the prepared images.")
@click.option(
    "--bias-field",
    default="n4",
    show_default=True,
    type=click.Choice(["n4", "n3", "none"]),
    help="Bias field correction; n3 needs the extra fedward[n3].",
)
@click.option(
    "--image-size",
    type=int,
    show_default="96; X-rays 256; scans 192",
    help="Height and width of a prepared image, in pixels.",
)
@click.option(
    "--channels", default="all", show_default=True, type=click.Choice(["all", "flair"]), help="Channels to keep."
)
@click.option(
    "--pixel-spacing",
    type=float,
    show_default="1.25",
    help="Scans: mm a pixel in plane after resampling; 0 keeps the pixels.",
)
@click.option("--picture", type=click.Path(path_type=Path), help="Write a before/after picture (PNG) of a patient.")
@click.option("--patient", help="The patient in the picture.  [default: the first]")
@click.option("--views", type=click.Choice(["frontal", "all"]), help="Views (chexpert only).  [default: frontal]")
@click.option("--workers", default=0, type=click.IntRange(min=0), help="Processes; 0: one per core.")
@click.pass_context
def command(
    context: click.Context,
    data_set: str,
    folder: Path,
    cache: Path,
    bias_field: str,
    image_size: int | None,
    channels: str,
    pixel_spacing: float | None,
    picture: Path | None,
    patient: str | None,
    views: str | None,
    workers: int,
) -> None:
    """Prepare the images of DATA_SET in DIR and cache them.

    DATA_SET is acdc, chestxray14, chexpert, image_folder, lgg or nifti_folder.

    lgg: correct the bias field, normalise, resize. X-rays: decode, turn into 8-bit grey, resize to a square. Scans
    (acdc, nifti_folder): normalise, resample in plane to one pixel spacing, crop or pad. DIR is a data folder or a
    hospital's folder made by `fedward partition`. What is in the cache already is not made again, so the command may be
    interrupted and repeated. Training with the same settings then starts at once.
    """
    from fedward.datasets.base import ImageDataSet
    from fedward.datasets.registry import get_data_set
    from fedward.datasets.scan import ScanDataSet
    from fedward.errors import UsageError

    def refuse(names: tuple[str, ...], kind: str) -> None:
        for name in names:
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise UsageError(f"--{name.replace('_', '-')} is for {kind}")

    chosen = get_data_set(data_set)
    if isinstance(chosen, ImageDataSet):
        refuse((*OF_BRAIN_MRI, *OF_PICTURES), f"volumes: {data_set} holds single images")
        refuse(("pixel_spacing",), f"scans: {data_set} holds single images")
        if views and data_set != "chexpert":
            raise UsageError(f"--views is for chexpert: all images of {data_set} are used")
        size = DEFAULT_SIZE["images"] if image_size is None else image_size
        prepare_images(chosen, folder, cache, size, views or "frontal", workers)
        return
    if views:
        raise UsageError(f"--views is for chexpert: all slices of {data_set} are used")
    if patient and not picture:
        raise UsageError("--patient names the patient in the picture: give --picture FILE.png too")
    if isinstance(chosen, ScanDataSet):
        refuse(OF_BRAIN_MRI, f"lgg: scans of {data_set} have one channel and no bias field correction")
        prepare_scans(chosen, folder, cache, image_size, pixel_spacing, picture, patient, workers)
        return
    refuse(("pixel_spacing",), f"scans: the files of {data_set} say nothing of mm")
    size = DEFAULT_SIZE["volumes"] if image_size is None else image_size
    prepare_volumes(chosen, folder, cache, bias_field, size, channels, picture, patient, workers)


def prepare_images(data_set: Any, folder: Path, cache: Path, image_size: int, views: Any, workers: int) -> None:
    """Pack single images."""
    from fedward.datasets.selection import SelectionSettings
    from fedward.preprocessing.pack import open_pack, pack_path

    table = data_set.read_table(folder, SelectionSettings(views=views))
    pack = open_pack(table.paths, image_size, cache, workers)
    megabytes = pack.nbytes / 1e6
    click.echo(
        f"{len(set(table.patients))} patients, {len(pack)} images, {image_size} x {image_size} pixels, "
        f"{megabytes:,.1f} MB in {pack_path(table.paths, image_size, cache)}"
    )


def prepare_volumes(
    chosen: Any,
    folder: Path,
    cache: Path,
    bias_field: Any,
    image_size: int,
    channels: Any,
    picture: Path | None,
    patient: str | None,
    workers: int,
) -> None:
    """Correct, normalise and cache volumes."""
    from fedward.preprocessing.cache import prepare_cases
    from fedward.preprocessing.picture import write_picture
    from fedward.preprocessing.settings import PreprocessingSettings

    settings = PreprocessingSettings(bias_field=bias_field, image_size=image_size, channels=channels)
    cases = chosen.find_cases(folder)
    shown = _shown(cases, patient, folder)

    prepared = prepare_cases(chosen, cases, settings, cache, workers)
    slices = sum(len(case.mask) for case in prepared)
    tumour = sum(int(case.mask.any(axis=(1, 2)).sum()) for case in prepared)
    click.echo(
        f"{len(prepared)} patients, {slices} slices ({tumour} with tumour), {image_size} x {image_size} pixels, "
        f"in {cache}"
    )
    if picture:
        write_picture(chosen.read_case(shown), settings, picture)
        click.echo(f"Picture of {shown.patient}: {picture}")


def prepare_scans(
    chosen: Any,
    folder: Path,
    cache: Path,
    image_size: int | None,
    pixel_spacing: float | None,
    picture: Path | None,
    patient: str | None,
    workers: int,
) -> None:
    """Normalise, resample and cache scans."""
    from dataclasses import replace

    from fedward.preprocessing.scan import SCAN_DEFAULTS
    from fedward.preprocessing.scan_cache import prepare_scans as prepare_and_cache
    from fedward.preprocessing.scan_picture import write_scan_picture

    given = {} if image_size is None else {"image_size": image_size}
    if pixel_spacing is not None:
        given["pixel_spacing"] = pixel_spacing or None
    settings = replace(SCAN_DEFAULTS, **given)
    scans = chosen.find_scans(folder)
    shown = _shown(scans, patient, folder)

    prepared = prepare_and_cache(chosen, scans, settings, cache, workers)
    slices, size = sum(len(scan.image) for scan in prepared), settings.image_size
    labelled = sum(scan.labels is not None for scan in prepared)
    spacing = "pixels as they were" if settings.pixel_spacing is None else f"pixels of {settings.pixel_spacing:g} mm"
    click.echo(
        f"{len({scan.patient for scan in prepared})} patients, {len(prepared)} scans ({labelled} with labels), "
        f"{slices} slices, {size} x {size} {spacing}, in {cache}"
    )
    if picture:
        write_scan_picture(chosen.read_scan(shown), shown, chosen.structures, settings, picture)
        click.echo(f"Picture of {shown.patient}: {picture}")


def _shown(entries: list[Any], patient: str | None, folder: Path) -> Any:
    """The case or scan in the picture: the first of the patient named, or the first of all."""
    from fedward.errors import UsageError

    shown = next((entry for entry in entries if entry.patient == (patient or entry.patient)), None)
    if shown is None:
        raise UsageError(f"{folder} holds no patient {patient!r}: the first is {entries[0].patient!r}")
    return shown
