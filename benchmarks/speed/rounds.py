"""Where the time of a federated round goes in the FLARE simulator: waiting, start-up, and the price over a plain loop.

    python benchmarks/speed/rounds.py --sites 10

waiting   seconds of a round whose training is nearly nothing, with our task_request_interval and with FLARE's default
start-up  seconds from the command to the first site's answer, and what ten processes at once need to import
overhead  wall time in the simulator over the plain loop doing the same steps on the demo's phantoms

Phantoms only; nothing is downloaded. Writes benchmarks/results/speed.json with the machine, the date, and the load that
other programs put on the machine while it ran: figures in seconds move with it, ratios less.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.datasets.phantoms import write_phantoms
from fedward.flare.recipe import export_job
from fedward.flare.simulator_workspace import write_simulator_workspace
from fedward.lgg_segmentation import SETTINGS
from fedward.loop import run_loop
from fedward.machine import machine, versions
from fedward.rounds.record import read_records, training_records
from fedward.rounds.run_folder import RunFolder, write_json
from fedward.running import fill_cache
from fedward.settings import RunSettings
from fedward.simulation import find_sites, simulation_config, threads_per_site
from fedward.simulator import simulate
from fedward.training.site import open_site

RESULT = Path(__file__).resolve().parents[1] / "results" / "speed.json"
WORKER = "import nvflare.private.fed.app.simulator.simulator_worker"
IMPORTS = {"nvflare": WORKER, "nvflare_torch": f"{WORKER}, torch", "nvflare_torch_monai": f"{WORKER}, torch, monai"}


@click.command(help=__doc__)
@click.option("--sites", default=10, show_default=True)
@click.option("--rounds", default=10, show_default=True, help="Of the runs that measure waiting.")
@click.option("--long-rounds", default=4, show_default=True, help="Of the runs that measure the overhead.")
def main(sites: int, rounds: int, long_rounds: int) -> None:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="fw-") as temporary:
        place = Place(Path(temporary), sites)
        tiny, demo = place.tiny(rounds), place.demo(long_rounds)
        ours = place.simulator("ours", tiny)
        default = place.simulator("default", tiny, flare_default=True)
        loop = place.loop("loop", tiny)
        result = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(threads_per_site(sites)),
            "versions": versions(),
            "load_of_others_at_the_start": round(load, 2),
            "sites": sites,
            "waiting": {
                "rounds": rounds,
                "seconds_per_round": ours["seconds_per_round"],
                "seconds_per_round_at_flares_default": default["seconds_per_round"],
                "of_it_training_in_the_loop": loop["seconds_per_round"],
            },
            "start_up": {"to_first_answer": ours["to_first_answer"], "imports_at_once": imports(sites)},
            "overhead": overhead(place, demo),
        }
    write_json(RESULT, result)
    click.echo(json.dumps(result, indent=1))


class Place:
    """Folders of the measurement: one phantom set of small and one of the demo's size."""

    def __init__(self, root: Path, sites: int):
        self.root = root
        self.small = self._lay_out("small", sites, slices=3, size=32)
        self.large = self._lay_out("large", sites, slices=16, size=64)

    def _lay_out(self, name: str, sites: int, slices: int, size: int) -> Path:
        images = self.root / f"{name}-images"
        images.mkdir()
        write_phantoms(images, patients=4 * sites, slices=slices, size=size)
        folder = self.root / name
        code = run_command(
            cli, ["partition", "lgg", str(images), "--by", "iid", "--out", str(folder), "--sites", str(sites)]
        )
        assert code == 0
        return folder

    def tiny(self, rounds: int) -> tuple[RunSettings, Path]:
        network = {"in_channels": 3, "out_channels": 1, "features": 2, "depth": 2}
        return self._settings(self.small, rounds, 32, network, steps=1), self.small

    def demo(self, rounds: int) -> tuple[RunSettings, Path]:
        network = {"in_channels": 3, "out_channels": 1, "features": 8, "depth": 4}
        return self._settings(self.large, rounds, 64, network, steps=None), self.large

    def _settings(
        self, folder: Path, rounds: int, size: int, network: dict[str, int], steps: int | None
    ) -> RunSettings:
        settings = replace(
            SETTINGS,
            name="run",
            sites=find_sites(folder),
            min_sites=None,
            rounds=rounds,
            round_deadline=600.0,
            preprocessing=replace(SETTINGS.preprocessing, bias_field="none", image_size=size),
            training=replace(
                SETTINGS.training,
                network_args=network,
                batch_size=4,
                local_steps=steps,
                local_epochs=None if steps else 1,
            ),
        )
        fill_cache(settings, folder, Console(stderr=True))
        return settings

    def simulator(self, name: str, run: tuple[RunSettings, Path], flare_default: bool = False) -> dict[str, float]:
        settings, sites = run
        runs, workspace = self.root / name / "runs", self.root / name / "workspace"
        job = export_job(settings, self.root / name / "job")
        if flare_default:
            config = job / "app" / "config" / "config_fed_server.json"
            values = json.loads(config.read_text())
            del values["server"]
            config.write_text(json.dumps(values))
        write_simulator_workspace(workspace, sites, runs, threads_per_site(len(settings.sites)), "cpu")
        log = self.root / name / "log.txt"
        folder = RunFolder(runs / settings.name)
        return timed(
            folder,
            lambda: simulate(job, workspace, settings.sites, folder, settings.round_deadline, log, lambda record: None),
        )

    def loop(self, name: str, run: tuple[RunSettings, Path]) -> dict[str, float]:
        settings, folder = run
        threads = threads_per_site(len(settings.sites))  # as job.py --env loop does, for the same bits
        target = RunFolder(self.root / name / "run")

        def work() -> None:
            configs = {site: simulation_config(folder, site, threads, "cpu") for site in settings.sites}
            run_loop(settings, target, {s: open_site(s, settings, c) for s, c in configs.items()}, {})

        return timed(target, work)


def timed(folder: RunFolder, work: Callable[[], None]) -> dict[str, float]:
    """Wall seconds of `work`, the median round after the first, and when the first site's answer was there."""
    begun, clock = datetime.now(UTC), time.monotonic()
    work()
    wall = time.monotonic() - clock
    records = training_records(read_records(folder.rounds))
    opened = (datetime.fromisoformat(records[0]["started"]) - begun).total_seconds()
    first = min(answer["arrived"] for answer in records[0]["answers"].values())
    return {
        "wall": round(wall, 2),
        "seconds_per_round": round(median(record["seconds"] for record in records[1:]), 3),
        "to_first_answer": round(opened + first, 2),
    }


def imports(sites: int) -> dict[str, float | None]:
    """Seconds until as many processes as sites have imported what a site needs, all started at once."""
    seconds: dict[str, float | None] = {}
    for name, statement in IMPORTS.items():
        if "monai" in name and find_spec("monai") is None:
            seconds[name] = None
            continue
        clock = time.monotonic()
        processes = [subprocess.Popen([sys.executable, "-c", statement]) for _ in range(sites)]
        assert all(process.wait() == 0 for process in processes)
        seconds[name] = round(time.monotonic() - clock, 2)
    return seconds


def overhead(place: Place, run: tuple[RunSettings, Path]) -> dict[str, Any]:
    simulator, loop = place.simulator("simulator", run), place.loop("long-loop", run)
    return {
        "rounds": run[0].rounds,
        "simulator": simulator,
        "loop": loop,
        "wall_ratio": round(simulator["wall"] / loop["wall"], 2),
        "round_ratio": round(simulator["seconds_per_round"] / loop["seconds_per_round"], 2),
    }


if __name__ == "__main__":
    main()
