"""Starts a whole network on one machine and waits until its sites are connected."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

from fedward.errors import FedwardError
from fedward.kits.kit import open_kit
from fedward.kits.one_machine import ADMIN, check_port_free, fill_in, name_people, provision, server_kit
from fedward.kits.processes import Processes
from fedward.simulation import threads_per_site

CONNECT_SECONDS = 180.0
ASK_SECONDS = 0.5
STARTED = "Server started"  # FLARE prints it


def start_network(
    network: Path,
    sites_folder: Path,
    hospitals: tuple[str, ...],
    project: Path,
    port: int | None,
    poc: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Processes:
    """Provision (once), fill in each site's own files, start the kits, wait until all hospitals are connected.

    Where anything fails, what was started is ended, and FedwardError holds the end of what the kit printed.
    """
    processes = Processes(network)
    if alive := processes.alive():
        raise FedwardError(
            f"the network in {network} runs already ({len(alive)} of {len(processes.entries)} kits): see fedward "
            f"network status --network {shlex.quote(str(network))}; to start ended ones, stop it first"
        )
    kits = provision(network, project, port, poc)
    if astray := [name for name in hospitals if not (kits / name).is_dir()]:
        raise FedwardError(
            f"the kits in {kits} have none of {', '.join(astray)}, which {sites_folder} holds: give --sites with fewer "
            f"hospitals{'' if poc else ', or make another network: --network OTHER --project FILE'}"
        )
    check_port_free(kits)
    fill_in(kits, sites_folder, hospitals, network, threads_per_site(len(hospitals)))
    name_people(network, kits)
    try:
        processes.start(server_kit(kits))
        _wait_for_server(server_kit(kits), processes)
        for name in hospitals:
            processes.start(kits / name)
        say(f"Started the server and {len(hospitals)} hospitals; waiting until they are connected")
        _wait(network, processes, set(hospitals))
    except BaseException:
        processes.stop()
        raise
    return processes


def _wait_for_server(kit: Path, processes: Processes) -> None:
    """Until it answers: FLARE opens its ports before it can prove who it is, and a site that asks then ends."""
    console, end = kit / "console.txt", time.monotonic() + CONNECT_SECONDS
    while STARTED not in console.read_text(encoding="utf-8", errors="replace"):
        if dead := processes.dead():
            raise FedwardError("the network did not start\n" + "\n".join(dead))
        if time.monotonic() > end:
            raise FedwardError(f"the server did not start within {CONNECT_SECONDS:.0f} s: see {console}")
        time.sleep(ASK_SECONDS)


def _wait(network: Path, processes: Processes, hospitals: set[str]) -> None:
    from fedward.flare.session import connect

    end = time.monotonic() + CONNECT_SECONDS
    seen: set[str] = set()
    reason = ""
    while time.monotonic() < end:
        if dead := processes.dead():
            raise FedwardError("the network did not start\n" + "\n".join(dead))
        try:
            with connect(open_kit(network / ADMIN), patience=0) as connection:  # between tries: has a kit ended?
                while time.monotonic() < end and not processes.dead():
                    seen = connection.sites()
                    if hospitals <= seen:
                        return
                    time.sleep(ASK_SECONDS)
        except FedwardError as error:
            reason = str(error)
            time.sleep(ASK_SECONDS)
    missing = ", ".join(sorted(hospitals - seen)) if seen else reason
    raise FedwardError(
        f"not connected after {CONNECT_SECONDS:.0f} s: {missing}; see console.txt in the kits below {network}"
    )
