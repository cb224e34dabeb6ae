"""`fedward predict`: masks and overlays for new images."""

from pathlib import Path

import click


@click.command(
    "predict",
    epilog="Examples: fedward predict --model runs/dcew-25 --input new_patients --output predicted; "
    "fedward predict --model best.safetensors --input TCGA_CS_4942_19970222 --output predicted",
)
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Run folder, or a .safetensors file.")
@click.option(
    "--input",
    "source",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of patients in the data set's layout, or of one patient's images; masks are not needed.",
)
@click.option("--output", "out", required=True, type=click.Path(path_type=Path), help="New folder for the masks.")
@click.option(
    "--which",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Which model of a run folder: best on validation, or after the last round.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--workers", default=0, type=click.IntRange(0), help="Processes that prepare images; 0: one a core.")
def command(model: Path, source: Path, out: Path, which: str, device: str, workers: int) -> None:
    """Outline the tumour in new images with a trained model.

    Writes NAME_mask.tif (0 or 255, of the image's size) for each image NAME.tif, and OUTPUT/overlays with pictures: the
    prediction in magenta and, where a mask lies beside the image, the truth in green. Images are prepared as for
    training.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fedward.datasets.layout import new_folder
    from fedward.errors import UsageError
    from fedward.prediction import model_path, predict_folder

    file = model_path(model, which)
    if source.resolve() in out.resolve().parents:
        raise UsageError(f"--output {out} lies inside --input {source}: give a folder elsewhere")
    table = Table("patient", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("slices", "with tumour", "Dice"):
        table.add_column(name, justify="right")
    with new_folder(out) as temporary:
        for p in predict_folder(file, source, temporary, device, workers):
            dice = "–" if p.dice is None else f"{p.dice:.3f}"
            table.add_row(Text(p.patient), str(p.slices), str(p.tumour_slices), dice)
    console = Console()
    console.print(table)
    console.print(f"Masks: {out}   pictures: {out / 'overlays'}", markup=False, highlight=False, soft_wrap=True)
