"""`fedward predict`: masks or structures with overlays, or probabilities of findings, for new images."""

from pathlib import Path
from typing import Any

import click

WIDTH_OF_FILES = 240
MOST_ROWS = 20  # shown of the images; the table of all is in the file
MOST_REMARKS = 20  # as many as of the scans that cannot be read


@click.command(
    "predict",
    epilog="Examples: fedward predict --model runs/dcew-25 --input new_patients --output predicted; "
    "fedward predict --model best.safetensors --input TCGA_CS_4942_19970222 --output predicted; "
    "fedward predict --model runs/cxr --input xrays --output predicted; "
    "fedward predict --model runs/heart --input scan.nii.gz --output predicted",
)
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Run folder, or a .safetensors file.")
@click.option(
    "--input",
    "source",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="MRI: folder of patients in the data set's layout, or of one patient's images; masks are not needed. "
    "X-rays: any folder of PNG and JPEG files. Volumes: a NIfTI file, or any folder of them.",
)
@click.option("--output", "out", required=True, type=click.Path(path_type=Path), help="New folder for the result.")
@click.option(
    "--which",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Which model of a run folder: best on validation, or after the last round.",
)
@click.option("--overlays", type=click.IntRange(0), help="X-rays: pictures of the first so many images.  [default: 16]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--workers", default=0, type=click.IntRange(0), help="Processes that prepare images; 0: one a core.")
def command(model: Path, source: Path, out: Path, which: str, overlays: int | None, device: str, workers: int) -> None:
    """Outline the tumour or the heart's structures, or tell the findings, in new images with a trained model.

    A segmentation model writes NAME_mask.tif (0 or 255, of the image's size) for each image NAME.tif, and
    OUTPUT/overlays with pictures: the prediction in magenta and, where a mask lies beside the image, the truth in
    green. A classification model writes predictions.csv, a row an image with the probability of each finding, and
    OUTPUT/overlays/NAME-FINDING.png: where the network sees the most probable finding. A model of structures in
    volumes writes NAME_structures.nii.gz on the grid of each volume NAME.nii.gz (0 background, 1, 2, ... the
    structures in the order of the table) and OUTPUT/overlays/NAME.png; its Dice is shown where a truth, NAME_gt or
    NAME_seg, lies beside the volume. Images are prepared as for training.
    """
    from fedward.errors import UsageError
    from fedward.networks.registry import CLASSIFICATION, STRUCTURES
    from fedward.prediction import model_path, open_model
    from fedward.rounds.run_folder import RunFolder, unfinished

    file = model_path(model, which)
    if model.is_dir() and (note := unfinished(RunFolder(model))):
        click.echo(f"Note: {note}", err=True)
    if source.resolve() in out.resolve().parents:
        raise UsageError(f"--output {out} lies inside --input {source}: give a folder elsewhere")
    network, metadata, task = open_model(file)
    if task != STRUCTURES and source.is_file():
        raise UsageError(f"--input {source} is a file: this model of {task} takes a folder")
    if task == CLASSIFICATION:
        _findings(network, metadata, source, out, 16 if overlays is None else overlays, device, workers)
        return
    if overlays is not None:
        raise UsageError("--overlays is for X-rays: a segmentation model draws a picture of every image")
    (_structures if task == STRUCTURES else _masks)(network, metadata, source, out, device, workers)


def _masks(model: Any, metadata: dict[str, Any], source: Path, out: Path, device: str, workers: int) -> None:
    from rich.text import Text

    from fedward.datasets.layout import new_folder
    from fedward.prediction_masks import predict_masks

    table = _table("patient", "slices", "with tumour", "Dice")
    with new_folder(out) as temporary:
        for p in predict_masks(model, metadata, source, temporary, device, workers):
            dice = "–" if p.dice is None else f"{p.dice:.3f}"
            table.add_row(Text(p.patient), str(p.slices), str(p.tumour_slices), dice)
    _show(table, f"Masks: {out}   pictures: {out / 'overlays'}")


def _structures(model: Any, metadata: dict[str, Any], source: Path, out: Path, device: str, workers: int) -> None:
    from rich.text import Text

    from fedward.datasets.layout import new_folder
    from fedward.prediction import raise_unreadable
    from fedward.prediction_structures import how_prepared, predict_structures

    structures, _ = how_prepared(metadata)
    table = _table("scan", "slices", *(name.replace("_", " ") for name in structures))
    unreadable: list[str] = []
    remarks: list[str] = []
    with new_folder(out) as temporary:
        for p in predict_structures(model, metadata, source, temporary, unreadable, device, workers):
            table.add_row(Text(p.name), str(p.slices), *(_said(p, name) for name in structures))
            remarks += [f"{p.name}: {'; '.join(p.notes)}"] if p.notes else []
    _show(table, f"Labels: {out}   pictures: {out / 'overlays'}")
    _tell(remarks)
    raise_unreadable(unreadable, table.row_count, "scans", source, out)


def _said(prediction: Any, structure: str) -> str:
    """Volume of a structure where the spacing is known, and its Dice where a truth is."""
    words = [] if prediction.millilitres is None else [f"{prediction.millilitres[structure]:.1f} ml"]
    dice = (prediction.dice or {}).get(structure)
    return ", ".join([*words, *([] if dice is None else [f"Dice {dice:.3f}"])]) or "–"


def _tell(remarks: list[str]) -> None:
    """Remarks on scans, on stderr as what else went wrong is: the table can be kept without them."""
    for remark in remarks[:MOST_REMARKS]:
        click.echo(remark, err=True)
    if (more := len(remarks) - MOST_REMARKS) > 0:
        click.echo(f"... and remarks on {more} more scans", err=True)


def _findings(
    model: Any, metadata: dict[str, Any], source: Path, out: Path, overlays: int, device: str, workers: int
) -> None:
    from rich.text import Text

    from fedward.datasets.layout import new_folder
    from fedward.prediction import raise_unreadable
    from fedward.prediction_findings import TABLE, predict_findings

    table = _table("image", "probability", "most probable finding")
    with new_folder(out) as temporary:
        result = predict_findings(model, metadata, source, temporary, overlays, device, workers)
    for name, finding, probability in result.likeliest[:MOST_ROWS]:
        table.add_row(Text(name), f"{probability:.3f}", finding)
    more = len(result.likeliest) - MOST_ROWS
    where = f"Probabilities: {out / TABLE}" + (f" ({more} more images)" if more > 0 else "")
    pictures = overlays and result.places > 1
    _show(table, where + (f"   pictures: {out / 'overlays'}" if pictures else ""))
    if overlays and not pictures:
        click.echo(
            "No pictures: the model's crop is below 64 pixels, so its last map is one place and cannot say where."
        )
    raise_unreadable(result.unreadable, len(result.likeliest), "images", source, out / TABLE)


def _table(first: str, *others: str) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")  # two frames of a patient differ in the end of their names
    for name in others:
        table.add_column(name, justify="right")
    return table


def _show(table: Any, where: str) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # in a file or a pipe nothing needs folding
        console = Console(width=WIDTH_OF_FILES)
    console.print(table)
    console.print(where, markup=False, highlight=False, soft_wrap=True)
