"""Runs one job in the FLARE simulator: python -m fedward.flare.simulate JOB WORKSPACE SITES CALLER

In a process of its own. Its caller, `fedward.simulator`, watches the run folder and ends this process where that is
needed. FLARE's simulator waits for ever for a site whose process has died, and for all sites where a path holds a
space; here it does not.
"""

import os
import shlex
import sys
import threading
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import psutil
from nvflare.private.fed.app.simulator import simulator_runner
from nvflare.private.fed.app.simulator.simulator_runner import SimulatorClientRunner, SimulatorRunner

PARENT_POLL_SECONDS = 1.0
CONNECT_POLL_SECONDS = 0.2


class WatchedClients(SimulatorClientRunner):
    """Takes a site whose process has died or given up off the server's list, where `RoundController` misses it."""

    server: Any

    def do_one_task(self, client: Any, *args: Any, **options: Any) -> Any:
        gone = True
        try:
            stop, next_client, ended = super().do_one_task(client, *args, **options)
            gone = next_client is None or (stop and ended is None)  # its process died, or it stopped at a fault
            return stop, next_client, ended
        finally:
            if gone:
                self.server.client_manager.remove_client(client.token)

    def _create_connection(self, open_port: int, timeout: float = 60.0) -> Any:
        """The connection to the site's process, once that one listens; RuntimeError where it ends before, or is slow.

        Whatever else listens there is no site: FLARE's own probe of the port stays open in a process that another
        thread forks at that moment, and takes a connection that it then resets.
        """
        limit = time.monotonic() + timeout
        while (site := _process_of(open_port)) and time.monotonic() < limit:
            if _listens(site, open_port):
                return super()._create_connection(open_port, timeout=timeout)
            time.sleep(CONNECT_POLL_SECONDS)
        why = f"does not listen after {timeout:g} s" if site else "has ended before it listened"
        raise RuntimeError(f"the process of a site, told port {open_port}, {why}")


def _process_of(port: int) -> psutil.Process | None:
    """The living child that was told this port; one that has no command line yet, as it starts, may be it."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            words = child.cmdline()
            if child.status() != psutil.STATUS_ZOMBIE and (not words or str(port) in words):
                return child
    return None


def _listens(process: psutil.Process, port: int) -> bool:
    with suppress(psutil.Error):
        sockets = process.net_connections("tcp")
        return any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)
    return False


class WatchedSimulator(SimulatorRunner):
    def client_run(self, server_custom_folder: str, clients: list[Any], gpu: Any) -> None:
        runner = WatchedClients(
            server_custom_folder, self.args, clients, self.client_config, self.deploy_args, self.build_ctx
        )
        runner.server = self.server
        runner.run(gpu)


def quoting_split(*paths: str) -> Any:
    """A `shlex.split` for the command lines that FLARE joins from paths without quoting them."""

    def split(command: str, *_: Any) -> list[str]:
        for path in paths:
            command = command.replace(path, shlex.quote(path))
        return shlex.split(command)

    return split


def end_with(parent: int) -> None:
    """End this process and its children once `parent` is gone: nobody would read what they compute."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(1)


def main(job: str, workspace: str, sites: str, caller: str) -> int:
    """Run with as many threads as sites, or FLARE swaps sites in and out of the processes (10 times slower rounds).

    `caller`: its process id, told because it may have ended before it could be asked for here.
    """
    threading.Thread(target=end_with, args=(int(caller),), daemon=True).start()
    simulator_runner.shlex = SimpleNamespace(split=quoting_split(sys.executable, os.path.abspath(workspace)))
    return WatchedSimulator(job, workspace, clients=sites, threads=len(sites.split(","))).run() or 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
