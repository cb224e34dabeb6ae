"""`fedward report`: one self-contained HTML page about a run."""

from pathlib import Path

import click


@click.command("report", epilog="Example: fedward report runs/dcew-25")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--sites", type=click.Path(path_type=Path), help="Partition folder, for a run without partition.json.")
def command(run_folder: Path, sites: Path | None) -> None:
    """Write RUN/report.html and print where it is.

    The page holds the result, curves, weights, hospitals, warnings, test images and settings of a run in any state. It
    opens without a network. RUN may also be what `download_job` of FLARE's console brought, which holds a run folder.
    """
    from fedward.remote import find_run
    from fedward.reports.page import write_report

    if run_folder.is_dir() and not (run_folder / "run.json").exists() and any(run_folder.rglob("run/run.json")):
        run_folder = find_run(run_folder)
    click.echo(f"Report: {write_report(run_folder, sites)}")
