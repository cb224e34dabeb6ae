"""A real network of ten hospitals against the FLARE simulator: time to connect, rounds, start and end of a job, memory.

    python benchmarks/speed/network.py

start     seconds from the command to all hospitals being connected: provisioning, ten times check-kit, mutual TLS
job       wall seconds of one job of nearly no training, and of a round after the first, beside the simulator's
memory    the most that all processes have together while the job runs, GiB resident

Phantoms only; everything stays on the loopback. Writes benchmarks/results/network.json with machine and date.
"""

import json
import os
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from fedward.kits.kit import open_kit
from fedward.kits.one_machine import LEAD, PROJECT, free_port
from fedward.kits.processes import Processes, memory_gib
from fedward.local_network import start_network
from fedward.machine import machine, versions
from fedward.remote import run_on_network
from fedward.rounds.run_folder import RunFolder, write_json
from fedward.simulation import threads_per_site
from rounds import Place, timed

RESULT = Path(__file__).resolve().parents[1] / "results" / "network.json"


@click.command(help=__doc__)
@click.option("--sites", default=10, show_default=True)
@click.option("--rounds", default=10, show_default=True)
def main(sites: int, rounds: int) -> None:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="fw-") as temporary:
        place = Place(Path(temporary), sites)
        settings, folder = place.tiny(rounds)
        network, run = place.root / "network", RunFolder(place.root / "real" / "run")
        run.root.mkdir(parents=True)
        clock = time.monotonic()
        processes = start_network(network, folder, settings.sites, PROJECT, free_port())
        connected = time.monotonic() - clock
        try:
            idle = memory_gib(processes.alive().values())
            with PeakMemory(processes) as peak:
                quiet = Console(quiet=True)
                real = timed(run, lambda: run_on_network(settings, open_kit(network / LEAD), run, False, quiet))
        finally:
            processes.stop()
        simulated = place.simulator("simulated", (settings, folder))
        result = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(threads_per_site(sites)),
            "versions": versions(),
            "load_of_others_at_the_start": round(load, 2),
            "sites": sites,
            "rounds": rounds,
            "seconds_until_connected": round(connected, 1),
            "network": real,
            "simulator": simulated,
            "memory_gib": {"idle": round(idle, 2), "with_a_job": round(peak.gib, 2)},
        }
    write_json(RESULT, result)
    click.echo(json.dumps(result, indent=1))


class PeakMemory:
    """The most memory of the processes while this is open, looked at twice a second."""

    def __init__(self, processes: Processes):
        self.processes = processes
        self.gib = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            self.gib = max(self.gib, memory_gib(self.processes.alive().values()))

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(10)


if __name__ == "__main__":
    main()
