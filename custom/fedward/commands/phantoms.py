"""`fedward phantoms`: synthetic images in a data set's own layout, so that everything runs where no data are."""

import shlex
from pathlib import Path

import click


@click.command(
    "phantoms",
    epilog="Examples: fedward phantoms lgg phantoms --patients 40 --slices 16 --size 64; "
    "fedward phantoms chestxray14 phantoms-xray --patients 200 --size 128; "
    "fedward phantoms acdc phantoms-heart --patients 50",
)
@click.argument("data_set", type=click.Choice(["acdc", "chestxray14", "chexpert", "lgg"]))
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--patients", default=40, show_default=True, help="Number of patients.")
@click.option("--slices", type=int, show_default="16; acdc 8", help="Slices a volume (lgg and acdc).")
@click.option("--size", default=64, show_default=True, help="Height of an image, pixels.")
@click.option("--institutions", default=5, show_default=True, help="Institutions, unequal in size, contrast and field.")
@click.option("--seed", default=0, show_default=True, help="The same seed writes the same images.")
def command(
    data_set: str, folder: Path, patients: int, slices: int | None, size: int, institutions: int, seed: int
) -> None:
    """Write synthetic images to DIR in the layout of the real DATA_SET: acdc, chestxray14, chexpert or lgg.

    acdc: short-axis volumes of the heart at two times, with labelled structures. chestxray14, chexpert: chest X-rays
    with findings, several images a patient. lgg: brain slices with lesions and a smooth bias field.

    DIR must be new or empty. The images exist to try the software; they support no scientific claim.
    """
    from fedward.datasets.layout import new_folder
    from fedward.errors import UsageError

    if data_set == "lgg":
        from fedward.datasets.phantoms import write_phantoms

        slices = 16 if slices is None else slices
        with new_folder(folder) as temporary:
            counts = write_phantoms(temporary, patients, slices, size, institutions, seed)
        written = f"{patients * slices} slices of {size}x{size}"
    elif data_set == "acdc":
        from fedward.datasets.scan_phantoms import write_acdc

        slices = 8 if slices is None else slices
        with new_folder(folder) as temporary:
            counts = write_acdc(temporary, patients, slices, size, institutions, seed)
        written = f"{2 * patients} volumes of {slices} slices"
    else:
        from fedward.datasets.xray_phantom_sets import WRITERS

        if slices is not None:
            raise UsageError("--slices is for lgg and acdc: X-rays have none")
        with new_folder(folder) as temporary:
            counts = WRITERS[data_set](temporary, patients, size, institutions, seed)
            written = f"{sum(1 for path in temporary.rglob('*') if path.suffix in ('.png', '.jpg'))} images"
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    click.echo(f"{patients} phantom patients ({shown}), {written}, in {folder}")
    click.echo(f"Next: fedward check-data {data_set} {shlex.quote(str(folder))}")
