"""fedward network: server and hospitals of a real network, on one machine."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fedward.kits.processes import Processes

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group("network")
def command() -> None:
    """A whole network on this machine: every kit, mutual TLS, on the loopback.

    \b
    Example:
      fedward network start
      python jobs/lgg_segmentation/job.py --env prod --startup-kit network/lead --out RUN --study brain-tumour
      fedward network stop
    """


def network_option(function: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--network", type=FOLDER, default=Path("network"), show_default=True, help="Folder of the network."
    )(function)


@command.command("start")
@network_option
@click.option("--sites", type=FOLDER, help="From fedward partition. [default: phantoms, made in the network's folder]")
@click.option(
    "--project",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Project file. [default: that of provisioning/one_machine.yml]",
)
@click.option("--port", type=click.IntRange(1024, 65534), help="The server's port, instead of the project file's.")
@click.pass_context
def start(context: click.Context, network: Path, sites: Path | None, project: Path | None, port: int | None) -> None:
    """Provision (once), start server and hospitals, wait until all are connected, show them.

    Each start runs the kit's own start.sh, so fedward check-kit decides whether a site may start.
    """
    from fedward.kits.one_machine import PROJECT, check_place, leads
    from fedward.local_network import start_network
    from fedward.simulation import find_sites

    begin = time.monotonic()
    check_place(network, project or PROJECT, port)
    sites = sites or _phantom_sites(context, network)
    hospitals = find_sites(sites)
    processes = start_network(network, sites, hospitals, project or PROJECT, port, say=click.echo)
    click.echo(f"All {len(hospitals)} hospitals are connected after {time.monotonic() - begin:.0f} s.")
    _show(network, processes)
    for study, kit in leads(network, project or PROJECT).items():
        click.echo(f"Submit jobs of study {study} with the kit of its lead: {shlex.quote(str(kit))}")


@command.command("stop")
@network_option
def stop(network: Path) -> None:
    """End what `start` started, and nothing else."""
    from fedward.kits.one_machine import kits_folder
    from fedward.kits.processes import Processes

    processes = Processes(network)
    if not processes.entries:
        kits_folder(network)
    names = processes.stop()
    click.echo(f"Stopped {len(names)} processes: {', '.join(names)}" if names else "Nothing of this network runs.")


@command.command("status")
@network_option
def status(network: Path) -> None:
    """Which kits run, and which hospitals the server sees."""
    from fedward.kits.one_machine import kits_folder
    from fedward.kits.processes import Processes

    kits_folder(network)
    if not Processes(network).alive():
        click.echo("Nothing of this network runs.")
        return
    _show(network, Processes(network))


def _phantom_sites(context: click.Context, network: Path) -> Path:
    from fedward.commands import partition, phantoms

    images, sites = network / "phantoms", network / "sites"
    if not images.exists():
        context.invoke(phantoms.command, data_set="lgg", folder=images)
    if not sites.exists():
        context.invoke(partition.command, data_set="lgg", folder=images, out=sites, fold=1)
    return sites


def _show(network: Path, processes: "Processes") -> None:
    from rich.console import Console
    from rich.table import Table

    from fedward.errors import FedwardError
    from fedward.flare.login import CONNECT_SECONDS
    from fedward.flare.session import connect
    from fedward.kits.kit import open_kit
    from fedward.kits.one_machine import ADMIN, kits_folder
    from fedward.kits.processes import memory_gib

    alive = processes.alive()
    try:
        with connect(open_kit(network / ADMIN), patience=CONNECT_SECONDS) as connection:  # no second try without server
            seen = connection.sites()
    except FedwardError as error:
        seen = set()
        click.echo(str(error), err=True)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("kit", "process", "server sees it", "log"):
        table.add_column(heading)
    for entry in processes.entries:
        name = entry["name"]
        is_server = (Path(entry["kit"]) / "startup" / "fed_server.json").is_file()
        sees = "–" if is_server else "yes" if name in seen else "no"
        table.add_row(name, str(entry["pid"]) if name in alive else "ended", sees, f"{name}/log.txt")
    Console(soft_wrap=True).print(table)
    click.echo(f"Kits: {kits_folder(network)}")
    click.echo(f"Memory: {memory_gib(alive.values()):.1f} GiB")
