"""The table of federated contrastive learning (FCL) on ACDC: one resumable row a training.

    python benchmarks/fcl_table/run.py federated|local|all --data FEDWARD_DATA --work WORK

Run folders are kept under WORK; a finished row is skipped, an interrupted one goes on from its last round. Each
finished row writes one JSON file into benchmarks/results/fcl_table/PRESET, and the tables there are written again.

--preset small: 64 x 64 pixels and 8 filters, for two cores. paper: 352 x 352, 48 filters, the original layout of ACDC.
--phantoms: the commands of the paper's preset at full size, but a step or two of each, on phantoms.
"""

import os
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what several benchmarks share

import fcl_compare
import fcl_rows
import fcl_tables
import run_fcl

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(help=__doc__)
@click.argument("mode", type=click.Choice([*fcl_rows.MODES, "all"]))
@click.option("--data", type=FOLDER, help="Folder of the data sets. [default: FEDWARD_DATA]")
@click.option("--work", type=FOLDER, required=True, help="Folder for the partition and runs.")
@click.option("--preset", type=click.Choice(list(fcl_rows.PRESETS)), default="small", show_default=True)
@click.option("--phantoms", is_flag=True, help="A step or two of --preset paper on phantoms.")
@click.option("--patients", help="Columns, such as 1,2. [default: all of the preset]")
@click.option("--seeds", default="1,2,3", show_default=True)
@click.option("--parallel", default=os.cpu_count() or 1, show_default="cores", help="Rows at once, one thread each.")
@click.option("--only", default="", help="Only rows whose name contains this, and what they start from.")
def main(
    mode: str,
    data: Path | None,
    work: Path,
    preset: str,
    phantoms: bool,
    patients: str | None,
    seeds: str,
    parallel: int,
    only: str,
) -> None:
    chosen = fcl_rows.PHANTOMS if phantoms else fcl_rows.PRESETS[preset]
    columns = run_fcl.columns_of(chosen, patients)
    modes = fcl_rows.MODES if mode == "all" else (mode,)
    wanted = fcl_rows.table_rows(chosen, modes, columns, run_fcl.numbers("--seeds", seeds))
    kept = {row.name for row in wanted if only in row.name}
    starts = {f"pretraining-{row.start}" for row in wanted if row.name in kept}
    run_fcl.prepare(chosen, data, work, phantoms)
    failed = run_fcl.train([row for row in wanted if row.name in kept | starts], chosen, work, parallel)
    fcl_compare.write_comparisons(chosen, work)
    fcl_tables.write_tables(chosen)
    if failed:
        raise click.ClickException(f"rows that failed (see WORK/NAME.log): {', '.join(failed)}")


if __name__ == "__main__":
    main()
