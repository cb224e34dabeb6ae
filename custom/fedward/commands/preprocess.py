"""`fedward preprocess`: fill the cache before training, and show what the bias field correction did."""

from pathlib import Path

import click

EXAMPLES = """\b
Examples:
  fedward preprocess lgg kaggle_3m --cache cache
  fedward preprocess lgg SITES/hospital-01 --cache cache --image-size 256 --picture before-after.png
"""


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
@click.option("--image-size", default=96, show_default=True, help="Height and width of a prepared slice, in pixels.")
@click.option(
    "--channels", default="all", show_default=True, type=click.Choice(["all", "flair"]), help="Channels to keep."
)
@click.option("--picture", type=click.Path(path_type=Path), help="Write a before/after picture (PNG) of a patient.")
@click.option("--patient", help="The patient in the picture.  [default: the first]")
@click.option("--workers", default=0, type=click.IntRange(min=0), help="Processes; 0: one per core.")
def command(
    data_set: str,
    folder: Path,
    cache: Path,
    bias_field: str,
    image_size: int,
    channels: str,
    picture: Path | None,
    patient: str | None,
    workers: int,
) -> None:
    """Prepare the images of DATA_SET (lgg) in DIR: correct the bias field, normalise, resize, and cache the result.

    DIR is a data folder or a hospital's folder made by `fedward partition`. What is in the cache already is not made
    again, so the command may be interrupted and repeated. Training with the same settings then starts at once.
    """
    from fedward.datasets.registry import get_data_set
    from fedward.errors import UsageError
    from fedward.preprocessing.cache import prepare_cases
    from fedward.preprocessing.picture import write_picture
    from fedward.preprocessing.settings import PreprocessingSettings

    settings = PreprocessingSettings(bias_field=bias_field, image_size=image_size, channels=channels)  # type: ignore[arg-type]
    if patient and not picture:
        raise UsageError("--patient names the patient in the picture: give --picture FILE.png too")
    chosen = get_data_set(data_set)
    cases = chosen.find_cases(folder)
    shown = next((case for case in cases if case.patient == (patient or case.patient)), None)
    if shown is None:
        raise UsageError(f"{folder} holds no patient {patient!r}: the first is {cases[0].patient!r}")

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
