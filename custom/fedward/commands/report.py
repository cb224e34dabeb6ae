"""`fedward report`: one self-contained HTML page about a run."""

from pathlib import Path

import click


@click.command("report", epilog="Example: fedward report runs/dcew-25")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--sites", type=click.Path(path_type=Path), help="Partition folder, for a run without partition.json.")
def command(run_folder: Path, sites: Path | None) -> None:
    """Write RUN/report.html and print where it is.

    The page holds the result, curves, weights, hospitals, warnings, test images and settings of a run in any state. It
    opens without a network.
    """
    from fedward.reports.page import write_report

    click.echo(f"Report: {write_report(run_folder, sites)}")
