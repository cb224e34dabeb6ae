"""The papers' tables on chest X-rays: one resumable row a training.

    python benchmarks/cxr/run.py table1|table2|table3|figure6|frid|ablation|all --data FEDWARD_DATA --work WORK

Run folders are kept under WORK; a finished row is skipped, an interrupted one goes on from its last round. Each
finished row writes one JSON file into benchmarks/results/cxr/PRESET, and the tables there are written again.

--preset small: 64 x 64 pixels, for two cores. gpu: 128 x 128. paper: 224 x 224, CheXpert, the official split.
--phantoms: the papers' commands at full size, but one epoch and one round, on phantoms in the original layouts.
"""

import os
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what several benchmarks share

import compare
import results
import rows
import tables
from row_runner import RANDOM, Row, fedward, make_partition, run_all, train_row

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(help=__doc__)
@click.argument("table", type=click.Choice([*rows.TABLES, "all"]))
@click.option("--data", type=FOLDER, help="Folder of the data sets. [default: FEDWARD_DATA]")
@click.option("--work", type=FOLDER, required=True, help="Folder for partitions and runs.")
@click.option("--preset", type=click.Choice(list(rows.PRESETS)), default="small", show_default=True)
@click.option("--phantoms", is_flag=True, help="One epoch and one round of --preset paper on phantoms.")
@click.option("--seeds", default="1,2,3", show_default=True)
@click.option("--parallel", default=os.cpu_count() or 1, show_default="cores", help="Rows at once, one thread each.")
@click.option("--imagenet", type=click.Path(exists=True, path_type=Path), help="torchvision's densenet121 file (.pth).")
@click.option("--only", default="", help="Only rows whose name contains this, and what they start from.")
def main(
    table: str,
    data: Path | None,
    work: Path,
    preset: str,
    phantoms: bool,
    seeds: str,
    parallel: int,
    imagenet: Path | None,
    only: str,
) -> None:
    chosen = rows.PHANTOMS if phantoms else rows.PRESETS[preset]
    work.mkdir(parents=True, exist_ok=True)
    data = make_phantoms(work) if phantoms else data or _data()
    asked = rows.TABLES if table == "all" else (table,)
    wanted = rows.all_rows(asked, chosen, tuple(int(seed) for seed in seeds.split(",")))
    if only:
        kept = [row for row in wanted if only in row.name]
        wanted = [row for row in wanted if row in kept or row.name in {f"pretraining-{k.start}" for k in kept}]
    if imagenet is None:
        wanted = [row for row in wanted if row.start != rows.IMAGENET]
        click.echo("rows that start from ImageNet stay empty: give torchvision's densenet121 file with --imagenet")
    layouts = rows.partitions(chosen)
    for name in layouts:  # `pooled` before those that probe on it
        make_partition(name, layouts[name], data, work)
    failed = run_all(wanted, parallel, lambda row: run_row(row, chosen, work, imagenet))
    compare.write_comparisons(chosen, work)
    tables.write_tables(chosen)
    if failed:
        raise click.ClickException(f"rows that failed (see WORK/NAME.log): {', '.join(failed)}")


def _data() -> Path:
    if "FEDWARD_DATA" not in os.environ:
        raise click.UsageError("say where the images are: --data DIR, or the environment variable FEDWARD_DATA")
    return Path(os.environ["FEDWARD_DATA"])


def make_phantoms(work: Path) -> Path:
    """Small phantoms under the names that the preset `paper` expects."""
    data = work / "phantoms"
    for data_set, name, patients in (("chexpert", "CheXpert-v1.0-small", "120"), ("chestxray14", "ChestX-ray14", "90")):
        if not (data / name).exists():
            fedward("phantoms", data_set, str(data / name), "--patients", patients, "--size", "256")
    return data


def run_row(row: Row, preset: rows.Preset, work: Path, imagenet: Path | None) -> bool:
    """Train one row unless it is finished, and write its result file. True where the row is finished."""
    starts = {RANDOM: None, rows.IMAGENET: imagenet}
    start = starts.get(row.start, work / f"pretraining-{row.start}")
    return train_row(row, work, start, lambda run: results.write_result(row, preset, run))


if __name__ == "__main__":
    main()
