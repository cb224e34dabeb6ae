"""`fedward show-views`: one picture of what a pretraining sees of the images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fedward.datasets.base import ImageDataSet
    from fedward.datasets.scan import ScanDataSet

OF_XRAYS = ("rotation", "simclr", "moco_v2", "byol", "frid")  # of pretext/settings.py, which is imported when called
OF_SCANS = ("fcl", "rotation", "simclr")  # of contrast/settings.py
FOR_SCANS = ("pixel_spacing", "partitions", "min_crop", "rotation", "bend")
MADE_BY = "fedward show-views"


@click.command(
    "show-views",
    epilog="Examples: fedward show-views chestxray14 CXR8 --out views.png --method frid --image-size 64 --crop 56; "
    "fedward show-views acdc training --out views.png --image-size 192 --partitions 4",
)
@click.argument("data_set")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Picture to write, PNG.")
@click.option(
    "--method",
    type=click.Choice(tuple(dict.fromkeys((*OF_SCANS, *OF_XRAYS)))),
    show_default="frid; scans fcl",
    help="Pretraining; scans have fcl, rotation and simclr, X-rays all but fcl.",
)
@click.option("--image-size", type=click.IntRange(32), show_default="256; scans 352", help="Images or slices, pixels.")
@click.option("--crop", type=click.IntRange(32), show_default="224", help="X-rays: views, pixels.")
@click.option("--pixel-spacing", type=float, show_default="1.25", help="Scans: mm a pixel in plane after resampling.")
@click.option("--partitions", type=int, show_default="4", help="Scans: parts of a volume.")
@click.option("--min-crop", type=float, show_default="0.5", help="Scans: least part of a slice in a view.")
@click.option("--rotation", type=float, show_default="15", help="Scans: most degrees that a view is turned.")
@click.option("--bend", type=float, show_default="0.5", help="Scans: most that a view's grey values are bent.")
@click.option(
    "--images", type=click.IntRange(1, 50), default=6, show_default=True, help="Example images or scans, one a patient."
)
@click.option("--seed", default=0, show_default=True, help="The same seed shows the same images and views.")
def command(data_set: str, folder: Path, out: Path, method: str | None, images: int, seed: int, **given: Any) -> None:
    """Draw images of DATA_SET in DIR, each augmentation alone, and two views as training sees them.

    X-rays: the edge view, too. Scans (acdc, nifti_folder): a slice of each partition, too. Shows before a long
    pretraining whether the findings, or the heart, are still to be seen in the views. A file that this command did not
    write is never replaced.
    """
    from fedward.datasets.base import ImageDataSet
    from fedward.datasets.registry import get_data_set
    from fedward.datasets.scan import ScanDataSet
    from fedward.errors import UsageError

    def of_kind(kind: str, methods: tuple[str, ...], foreign: tuple[str, ...], holds: str) -> str:
        """The method, the last or the named; UsageError where what was given is not of this kind of images."""
        for name in foreign:
            if given[name] is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} is not for {kind}: {data_set} holds {holds}, leave it out"
                )
        if method is not None and method not in methods:
            raise UsageError(f"--method {method} is not for {kind}: {data_set} takes {', '.join(methods)}")
        return method or ("fcl" if "fcl" in methods else "frid")

    chosen = get_data_set(data_set)
    _check_out(out, folder)
    if isinstance(chosen, ImageDataSet):
        wanted = of_kind("X-rays", OF_XRAYS, FOR_SCANS, "single images")
        show_images(chosen, folder, out, wanted, given["image_size"] or 256, given["crop"] or 224, images, seed)
    elif isinstance(chosen, ScanDataSet):
        show_scans(chosen, folder, out, of_kind("scans", OF_SCANS, ("crop",), "scans"), images, seed, given)
    else:
        raise UsageError(f"{data_set} holds volumes with masks, which nothing is pretrained on: name X-rays or scans")


def _check_out(out: Path, folder: Path) -> None:
    """UsageError where the picture would be no PNG, lie among the images, or replace a foreign file."""
    from fedward.errors import UsageError

    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out} must end in .png")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--out {out} lies inside {folder}: give a place outside the images")
    if out.exists():
        with out.open("rb") as file:  # the entry stands before the pixels
            own = b"Software\0" + MADE_BY.encode() in file.read(1024)
        if not own:
            raise UsageError(f"{out} exists and was not written by {MADE_BY}: give another --out, or move the file")


def show_images(
    data_set: "ImageDataSet", folder: Path, out: Path, method: str, image_size: int, crop: int, images: int, seed: int
) -> None:
    """Draw X-rays."""
    import numpy as np
    import torch

    from fedward.datasets.image_table import image_names
    from fedward.datasets.selection import SelectionSettings
    from fedward.datasets.xray_image import read_resized
    from fedward.errors import UsageError
    from fedward.pretext.contact_sheet import contact_sheet, draw_contact_sheet
    from fedward.pretext.settings import pretext_settings
    from fedward.seeds import derive_seed

    settings = pretext_settings(method, crop_size=crop)
    if crop > image_size:
        raise UsageError(f"--crop {crop} is larger than --image-size {image_size}: lower it")
    table = data_set.read_table(folder, SelectionSettings())
    first = np.sort(np.unique(np.asarray(table.patients), return_index=True)[1])  # one image a patient
    generator = np.random.default_rng(derive_seed(seed, "show", "images"))
    shown = np.sort(generator.permutation(first)[:images])
    paths, names = [table.paths[i] for i in shown], image_names(table.paths, folder)
    pixels = torch.from_numpy(np.stack([read_resized(path, image_size) for path in paths]))[:, None]
    columns = contact_sheet(pixels, settings, torch.Generator().manual_seed(derive_seed(seed, "show", "views")))
    title = f"{method}: {data_set.name}, images of {image_size}, views of {crop} pixels, seed {seed}"
    rows = [names[i].replace("/", "/\n") for i in shown]  # a line a folder: a row is no wider than an image
    draw_contact_sheet(columns, rows, title, out, MADE_BY)
    click.echo(f"{len(paths)} images, {', '.join(column.title for column in columns)}: {out}")


def show_scans(
    data_set: "ScanDataSet", folder: Path, out: Path, method: str, images: int, seed: int, given: dict[str, Any]
) -> None:
    """Draw scans, the first of each patient."""
    from dataclasses import replace

    import numpy as np
    import torch

    from fedward.cardiac_contrastive import PREPROCESSING
    from fedward.contrast.settings import ContrastSettings
    from fedward.contrast.view_sheet import view_sheet
    from fedward.preprocessing.cache_folder import tell_notes
    from fedward.preprocessing.scan import prepare_scan
    from fedward.pretext.contact_sheet import draw_contact_sheet
    from fedward.seeds import derive_seed
    from fedward.training.scan_slices import stack_scans

    named = {"partitions": "partitions", "min_crop": "min_crop", "rotation": "rotation", "bend": "gamma"}
    changes = {setting: given[name] for name, setting in named.items() if given[name] is not None}
    contrast = ContrastSettings(method=method, exchange=method == "fcl", **changes)
    sizes = {name: given[name] for name in ("image_size", "pixel_spacing") if given[name] is not None}
    preprocessing = replace(PREPROCESSING, **sizes)
    scans = list({scan.patient: scan for scan in reversed(data_set.find_scans(folder))}.values())[::-1]
    generator = np.random.default_rng(derive_seed(seed, "show", "images"))
    shown = [scans[i] for i in np.sort(generator.permutation(len(scans))[:images])]
    prepared = [prepare_scan(data_set.read_scan(scan), scan, preprocessing) for scan in shown]
    slices = stack_scans(prepared, labelled=False)
    assert slices is not None  # find_scans raises where there is none
    columns = view_sheet(slices, contrast, torch.Generator().manual_seed(derive_seed(seed, "show", "views")))
    rows = [f"{scan.patient}\n{scan.frame}".strip() for scan in prepared]
    size = f"{preprocessing.image_size} pixels of {preprocessing.pixel_spacing:g} mm"
    draw_contact_sheet(columns, rows, f"{method}: {data_set.name}, slices of {size}, seed {seed}", out, MADE_BY)
    tell_notes((row.replace("\n", " "), note) for row, scan in zip(rows, prepared, strict=True) for note in scan.notes)
    click.echo(f"{len(shown)} scans, {', '.join(column.title for column in columns)}: {out}")
