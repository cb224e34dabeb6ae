"""`fedward show-views`: one picture of what a pretext task sees of the images."""

from pathlib import Path

import click

METHODS = ("rotation", "simclr", "moco_v2", "byol", "frid")  # of pretext/settings.py, which is imported when called


@click.command(
    "show-views",
    epilog="Example: fedward show-views chestxray14 CXR8 --out views.png --method frid --image-size 64 --crop 56",
)
@click.argument("data_set")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Picture to write, PNG.")
@click.option("--method", type=click.Choice(METHODS), default="frid", show_default=True, help="Pretext task.")
@click.option("--image-size", type=click.IntRange(32), default=256, show_default=True, help="Images, pixels.")
@click.option("--crop", type=click.IntRange(32), default=224, show_default=True, help="Views, pixels.")
@click.option(
    "--images", type=click.IntRange(1, 50), default=6, show_default=True, help="Example images, one a patient."
)
@click.option("--seed", default=0, show_default=True, help="The same seed shows the same images and views.")
def command(
    data_set: str, folder: Path, out: Path, method: str, image_size: int, crop: int, images: int, seed: int
) -> None:
    """Draw images of DATA_SET in DIR, each augmentation alone, the edge view, and two views as training sees them.

    Shows before a long pretraining whether the findings are still to be seen in the views.
    """
    import numpy as np
    import torch

    from fedward.datasets.image_table import image_names
    from fedward.datasets.registry import image_data_set
    from fedward.datasets.selection import SelectionSettings
    from fedward.datasets.xray_image import read_resized
    from fedward.errors import UsageError
    from fedward.pretext.contact_sheet import contact_sheet, draw_contact_sheet
    from fedward.pretext.settings import pretext_settings
    from fedward.seeds import derive_seed

    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out} must end in .png")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--out {out} lies inside {folder}: give a place outside the images")
    settings = pretext_settings(method, crop_size=crop)
    if crop > image_size:
        raise UsageError(f"--crop {crop} is larger than --image-size {image_size}: lower it")
    table = image_data_set(data_set).read_table(folder, SelectionSettings())
    first = np.sort(np.unique(np.asarray(table.patients), return_index=True)[1])  # one image a patient
    generator = np.random.default_rng(derive_seed(seed, "show", "images"))
    shown = np.sort(generator.permutation(first)[:images])
    paths, names = [table.paths[i] for i in shown], image_names(table.paths, folder)
    pixels = torch.from_numpy(np.stack([read_resized(path, image_size) for path in paths]))[:, None]
    columns = contact_sheet(pixels, settings, torch.Generator().manual_seed(derive_seed(seed, "show", "views")))
    title = f"{method}: {data_set}, images of {image_size}, views of {crop} pixels, seed {seed}"
    rows = [names[i].replace("/", "/\n") for i in shown]  # a line a folder: a row is no wider than an image
    draw_contact_sheet(columns, rows, title, out)
    click.echo(f"{len(paths)} images, {', '.join(column.title for column in columns)}: {out}")
