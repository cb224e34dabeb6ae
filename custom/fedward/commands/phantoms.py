"""`fedward phantoms`: synthetic images in a data set's own layout, so that everything runs where no data are."""

from pathlib import Path

import click


@click.command(
    "phantoms",
    epilog="Example: fedward phantoms lgg phantoms --patients 40 --slices 16 --size 64",
)
@click.argument("data_set", type=click.Choice(["lgg"]), metavar="lgg")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--patients", default=40, show_default=True, help="Number of patients.")
@click.option("--slices", default=16, show_default=True, help="Slices a patient.")
@click.option("--size", default=64, show_default=True, help="Width and height of a slice, pixels.")
@click.option("--institutions", default=5, show_default=True, help="Institutions, unequal in size, contrast and field.")
@click.option("--seed", default=0, show_default=True, help="The same seed writes the same images.")
def command(data_set: str, folder: Path, patients: int, slices: int, size: int, institutions: int, seed: int) -> None:
    """Write synthetic brain slices with lesions and a smooth bias field to DIR, in the layout of the real set.

    DIR must be new or empty. The images exist to try the software; they support no scientific claim.
    """
    from fedward.datasets.layout import new_folder
    from fedward.datasets.phantoms import write_phantoms

    with new_folder(folder) as temporary:
        counts = write_phantoms(temporary, patients, slices, size, institutions, seed)
    shown = ", ".join(f"{code} {count}" for code, count in counts.items())
    click.echo(f"{patients} phantom patients ({shown}), {patients * slices} slices of {size}x{size}, in {folder}")
    click.echo(f"Next: fedward check-data {data_set} {folder}")
