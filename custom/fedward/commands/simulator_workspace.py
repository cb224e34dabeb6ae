"""fedward simulator-workspace: make `nvflare simulator` run our job folders."""

import shlex
from pathlib import Path

import click

from fedward.errors import UsageError
from fedward.simulation import find_sites, threads_per_site


@click.command("simulator-workspace")
@click.argument("workspace", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--sites", type=click.Path(path_type=Path, file_okay=False), required=True, help="From fedward partition."
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where run folders are made. [default: WORKSPACE-runs]",
)
@click.option("--threads", type=click.IntRange(1), help="Torch threads of a site. [default: cores / sites]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
def command(workspace: Path, sites: Path, runs: Path | None, threads: int | None, device: str) -> None:
    """Write WORKSPACE/local: which classes a job may name, and where each site finds its data.

    Without it the simulator refuses the classes of our jobs. It stays when the simulator clears the workspace.

    \b
    Example:
      fedward simulator-workspace WS --sites SITES
      nvflare simulator jobs/lgg_segmentation/dcew -w WS -c hospital-01,hospital-02,... -t 10
    """
    from fedward.flare.simulator_workspace import write_simulator_workspace

    if shlex.quote(str(workspace.absolute())) != str(workspace.absolute()):
        raise UsageError(
            f"{workspace.absolute()} holds a space or a quote, with which FLARE's simulator starts no site: "
            "choose another folder (job.py --env sim has no such limit)"
        )
    names = find_sites(sites)
    runs = runs or workspace.with_name(f"{workspace.name}-runs")
    write_simulator_workspace(workspace, sites, runs, threads or threads_per_site(len(names)), device)
    click.echo(f"Wrote {workspace}/local. Runs will be made in {runs}. Run a job with as many threads as sites:")
    click.echo(f"  nvflare simulator JOB -w {workspace} -c {','.join(names)} -t {len(names)}")
