"""What an exchange of features adds to a round: ten sites in the FLARE simulator that train nothing.

    python benchmarks/speed/exchange.py

Controller, executor and messages are the real ones; the sites' own work is left out (`exchange_sites/`), and the model
is a U-Net of 2 features. Each precision is a run with the exchange and one without it, and the figures are their
difference in a median round: seconds, and CPU seconds of all processes together. A machine that is busy moves the
seconds, the CPU seconds less.

collect   seconds from asking for the banks until all are kept at the server
relay     seconds that the training round takes longer because each site is sent the others' features
peaks     most resident memory of the server's process, and of the largest site's, by the end of each round, MiB

Writes benchmarks/results/exchange_speed.json with machine and date.
"""

import contextlib
import json
import os
import re
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import click
import psutil

from fedward.cardiac_contrastive import SETTINGS
from fedward.datasets.partition import site_name
from fedward.flare.recipe import export_job
from fedward.flare.simulator_workspace import write_simulator_workspace
from fedward.machine import machine, versions
from fedward.rounds.record import Record, read_records, training_records
from fedward.rounds.run_folder import RunFolder, write_json
from fedward.settings import RunSettings
from fedward.simulator import simulate

RESULT = Path(__file__).resolve().parents[1] / "results" / "exchange_speed.json"
SITES = Path(__file__).parent / "exchange_sites"
MUST = {"float32": 3.0, "float16": 2.0}  # seconds of a round


@click.command(help=__doc__)
@click.option("--sites", default=10, show_default=True)
@click.option("--rows", default=4096, show_default=True, help="Features of each site.")
@click.option("--rounds", default=12, show_default=True)
@click.option("--out", default=RESULT, type=click.Path(path_type=Path), help="Where the figures go.")
def main(sites: int, rows: int, rounds: int, out: Path) -> None:
    load = os.getloadavg()[0]
    os.environ["PYTHONPATH"] = f"{SITES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with tempfile.TemporaryDirectory(prefix="fw-") as temporary:
        place = Path(temporary)
        without = run(settings_of(sites, rows, rounds, None), place / "without")
        precisions = {}
        for precision, most in MUST.items():
            with_it = run(settings_of(sites, rows, rounds, precision), place / precision)
            precisions[precision] = {**added(with_it, without), "must_be_at_most": most}
    result = {
        "command": "python benchmarks/speed/exchange.py",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(1),
        "versions": versions(),
        "load_of_others_at_the_start": round(load, 2),
        "sites": sites,
        "rows": rows,
        "rounds": rounds,
        "round_without_exchange": round(median(without["training"]), 3),
        "exchange": precisions,
    }
    write_json(out, result)
    click.echo(json.dumps(result, indent=1))


def settings_of(sites: int, rows: int, rounds: int, precision: str | None) -> RunSettings:
    """Precision None: the same run without an exchange."""
    changes: dict[str, Any] = {"precision": precision} if precision else {"exchange": False}
    assert SETTINGS.contrast is not None
    return replace(
        SETTINGS,
        name="run",
        sites=tuple(site_name(number) for number in range(1, sites + 1)),
        min_sites=None,
        rounds=rounds,
        round_deadline=600.0,
        training=replace(SETTINGS.training, network_args={"in_channels": 1, "features": 2, "depth": 2}),
        contrast=replace(SETTINGS.contrast, bank_size=rows, **changes),
    )


def run(settings: RunSettings, place: Path) -> dict[str, Any]:
    """Seconds of each round from the second on, of its exchange and of its training; CPU seconds; memory."""
    write_json(place / "sites" / "partition.json", {"data_set": "acdc", "sites": {site: {} for site in settings.sites}})
    write_simulator_workspace(place / "workspace", place / "sites", place / "runs", 1, "cpu")
    job, folder = export_job(settings, place / "job"), RunFolder(place / "runs" / settings.name)
    memory: list[dict[str, int]] = []
    cpu: list[float] = []

    def on_record(record: Record) -> None:
        memory.append(peaks())
        cpu.append(cpu_seconds())

    simulate(job, place / "workspace", settings.sites, folder, settings.round_deadline, place / "log.txt", on_record)
    records = training_records(read_records(folder.rounds))
    exchanged = [record.get("exchange", {"seconds": 0.0, "sent": {}, "banks": {}}) for record in records[1:]]
    assert all(len(one["banks"]) in (0, len(settings.sites)) for one in exchanged)
    return {
        "collect": [one["seconds"] for one in exchanged],
        "training": [record["seconds"] for record in records[1:]],
        "received_bytes": sum(bank["bytes"] for bank in exchanged[-1]["banks"].values()),
        "sent_bytes": sum(exchanged[-1]["sent"].values()),
        "peaks_mib": {kind: [peak[kind] for peak in memory] for kind in ("server", "site")},
        "cpu": (cpu[settings.rounds - 1] - cpu[0]) / (settings.rounds - 1),
    }


def added(with_it: dict[str, Any], without: dict[str, Any]) -> dict[str, Any]:
    relay = median(with_it["training"]) - median(without["training"])
    collect = median(with_it["collect"])
    return {
        "seconds_a_round": round(collect + relay, 3),
        "collect": round(collect, 3),
        "relay": round(relay, 3),
        "cpu_seconds_a_round": round(with_it["cpu"] - without["cpu"], 3),
        "received_bytes": with_it["received_bytes"],
        "sent_bytes": with_it["sent_bytes"],
        "peaks_mib": with_it["peaks_mib"],
        "peaks_mib_without": without["peaks_mib"],
    }


def peaks() -> dict[str, int]:
    """Most MiB that the server's process, and the largest of a site, have held so far (Linux)."""
    found = {"server": 0, "site": 0}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            kind = "site" if any("simulator_worker" in part for part in process.cmdline()) else "server"
            held = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            found[kind] = max(found[kind], int(held[1]) // 1024 if held else 0)
    return found


def cpu_seconds() -> float:
    """Of all processes of the simulation that are alive."""
    seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


if __name__ == "__main__":
    main()
