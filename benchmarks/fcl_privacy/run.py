"""What exchanged features give away, and what noise on them costs: FCL (masked) pretrained with noise 0 to .5.

    python benchmarks/fcl_privacy/run.py --data FEDWARD_DATA --work WORK

The rows are those of benchmarks/fcl_table (same presets, partition and seeds, federated): give its WORK, and what it
has trained is not trained again. Writes benchmarks/results/fcl_privacy/PRESET/noise.md and noise.png.
"""

import os
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what several benchmarks share
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fcl_table"))  # its rows are these

import fcl_compare
import fcl_noise
import fcl_rows
import run_fcl

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(help=__doc__)
@click.option("--data", type=FOLDER, help="Folder of the data sets. [default: FEDWARD_DATA]")
@click.option("--work", type=FOLDER, required=True, help="Folder for the partition and runs; that of fcl_table.")
@click.option("--preset", type=click.Choice(list(fcl_rows.PRESETS)), default="small", show_default=True)
@click.option("--patients", default="1,2", show_default=True, help="Labelled patients a hospital of the fine-tuning.")
@click.option("--seeds", default="1,2,3", show_default=True)
@click.option("--parallel", default=os.cpu_count() or 1, show_default="cores", help="Rows at once, one thread each.")
def main(data: Path | None, work: Path, preset: str, patients: str, seeds: str, parallel: int) -> None:
    chosen = fcl_rows.PRESETS[preset]
    columns = run_fcl.columns_of(chosen, patients)
    run_fcl.prepare(chosen, data, work)
    wanted = fcl_rows.privacy_rows(chosen, columns, run_fcl.numbers("--seeds", seeds))
    failed = run_fcl.train(wanted, chosen, work, parallel)
    fcl_compare.write_comparisons(chosen, work)
    fcl_noise.write_noise(chosen)
    if failed:
        raise click.ClickException(f"rows that failed (see WORK/NAME.log): {', '.join(failed)}")


if __name__ == "__main__":
    main()
