"""fedward network: server and hospitals of a real network, on one machine."""

import time
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
CONNECT_SECONDS = 180.0
LEAD, ADMIN = "lead", "project_admin"


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
    default=Path("provisioning/one_machine.yml"),
    show_default=True,
    help="Project file.",
)
@click.option("--port", type=click.IntRange(1024, 65534), help="The server's port, instead of the project file's.")
@click.pass_context
def start(context: click.Context, network: Path, sites: Path | None, project: Path, port: int | None) -> None:
    """Provision (once), start server and hospitals, wait until all are connected, show them.

    Each start runs the kit's own start.sh, so fedward check-kit decides whether a site may start.
    """
    from fedward.errors import FedwardError
    from fedward.kits.one_machine import Processes, check_port_free, fill_in, provision, server_kit
    from fedward.simulation import find_sites, threads_per_site

    begin = time.monotonic()
    processes = Processes(network)
    if processes.alive():
        raise FedwardError(f"the network in {network} runs already: fedward network status, or stop")
    if sites is None:
        sites = _phantom_sites(context, network)
    hospitals = find_sites(sites)
    kits = provision(network, project.resolve(), port)
    if astray := [name for name in hospitals if not (kits / name).is_dir()]:
        raise FedwardError(f"{project} defines no {', '.join(astray)}, which {sites} holds")
    check_port_free(kits)
    fill_in(kits, sites, hospitals, network, threads_per_site(len(hospitals)))
    _name_people(network, kits)
    try:
        for name in (server_kit(kits).name, *hospitals):
            processes.start(kits / name)
        click.echo(f"Started the server and {len(hospitals)} hospitals; waiting until they are connected")
        _wait(network, processes, set(hospitals))
    except BaseException:
        processes.stop()
        raise
    click.echo(f"All {len(hospitals)} hospitals are connected after {time.monotonic() - begin:.0f} s.")
    _show(network, processes)
    click.echo(f"Submit with the kit of the lead: {network / LEAD}")


@command.command("stop")
@network_option
def stop(network: Path) -> None:
    """End what `start` started, and nothing else."""
    from fedward.kits.one_machine import Processes

    names = Processes(network).stop()
    click.echo(f"Stopped {len(names)} processes: {', '.join(names)}" if names else "Nothing of this network runs.")


@command.command("status")
@network_option
def status(network: Path) -> None:
    """Which kits run, and which hospitals the server sees."""
    from fedward.kits.one_machine import Processes, kits_folder

    kits_folder(network)
    _show(network, Processes(network))


def _phantom_sites(context: click.Context, network: Path) -> Path:
    from fedward.commands import partition, phantoms

    images, sites = network / "phantoms", network / "sites"
    if not images.exists():
        context.invoke(phantoms.command, data_set="lgg", folder=images)
    if not sites.exists():
        context.invoke(partition.command, data_set="lgg", folder=images, out=sites, fold=1)
    return sites


def _name_people(network: Path, kits: Path) -> None:
    """NETWORK/lead and NETWORK/project_admin: short names for the first kit of each role."""
    from fedward.kits.kit import open_kit

    people = open_kit(kits / next(p.name for p in sorted(kits.iterdir()) if "@" in p.name)).network.users
    for role in (LEAD, ADMIN):
        names = sorted(name for name, user in people.items() if user["role"] == role)
        link = network / role
        if names and not link.is_symlink():
            preferred = next((name for name in names if name.startswith(f"{role}@")), names[0])
            link.symlink_to((kits / preferred).resolve())


def _wait(network: Path, processes: "Processes", hospitals: set[str]) -> None:  # type: ignore[name-defined]  # noqa: F821
    from fedward.errors import FedwardError
    from fedward.flare.session import connect
    from fedward.kits.kit import open_kit

    end = time.monotonic() + CONNECT_SECONDS
    seen: set[str] = set()
    while time.monotonic() < end:
        if dead := processes.dead():
            raise FedwardError("the network did not start\n" + "\n".join(dead))
        try:
            with connect(open_kit(network / ADMIN)) as connection:
                while time.monotonic() < end and not processes.dead():
                    seen = connection.sites()
                    if hospitals <= seen:
                        return
                    time.sleep(0.5)
        except FedwardError as error:
            last = error
            time.sleep(0.5)
    missing = ", ".join(sorted(hospitals - seen)) or str(last)
    raise FedwardError(
        f"not connected after {CONNECT_SECONDS:.0f} s: {missing}; see console.txt and log.txt in the kits"
    )


def _show(network: Path, processes: "Processes") -> None:  # type: ignore[name-defined]  # noqa: F821
    from rich.console import Console
    from rich.table import Table

    from fedward.errors import FedwardError
    from fedward.flare.session import connect
    from fedward.kits.kit import open_kit
    from fedward.kits.one_machine import memory_gib

    alive = processes.alive()
    try:
        with connect(open_kit(network / ADMIN)) as connection:
            seen = connection.sites()
    except FedwardError as error:
        seen = set()
        click.echo(str(error), err=True)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("kit", "process", "server sees it", "log"):
        table.add_column(heading)
    for entry in processes.entries:
        name = entry["name"]
        role = open_kit(Path(entry["kit"])).role
        sees = "–" if role == "server" else "yes" if name in seen else "no"
        table.add_row(name, str(entry["pid"]) if name in alive else "ended", sees, f"{entry['kit']}/log.txt")
    Console(soft_wrap=True).print(table)
    click.echo(f"Memory: {memory_gib(alive.values()):.1f} GiB")
