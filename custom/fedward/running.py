"""One run from its settings to its report: federated, central or local, in the plain loop or in the FLARE simulator."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from fedward.datasets.layout import read_partition
from fedward.errors import UsageError
from fedward.machine import machine, versions
from fedward.rounds.record import Record
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import RunSettings
from fedward.simulation import SERVER_SITE, simulation_config

log = logging.getLogger(__name__)
Mode = Literal["federated", "central", "local"]
Environment = Literal["loop", "sim"]
MODES: tuple[Mode, ...] = ("federated", "central", "local")
ENVIRONMENTS: tuple[Environment, ...] = ("sim", "loop")


def run_in_process(
    settings: RunSettings,
    mode: Mode,
    sites_folder: Path,
    folder: RunFolder,
    threads: int,
    device: str,
    on_record: Callable[[Record], None],
) -> None:
    """Run without FLARE, in this process (`--env loop`)."""
    from fedward.baselines import run_central, run_local
    from fedward.loop import run_loop
    from fedward.training.server_score import server_score
    from fedward.training.site import Site, check_site, load_site_images

    configs = {site: simulation_config(sites_folder, site, threads, device) for site in settings.sites}
    for site, config in configs.items():
        check_site(site, settings, config)
    about = about_run(mode, "loop", threads, device)
    images = {
        site: load_site_images(site, config, settings.data_set, settings.preprocessing, settings.seed, workers=0)
        for site, config in configs.items()
    }
    if mode == "central":
        run_central(settings, folder, images, about, threads, device, on_record)
    elif mode == "local":
        run_local(settings, folder, images, about, threads, device, on_record)
    else:
        score = server_score(settings, simulation_config(sites_folder, SERVER_SITE, threads, device))
        sites = {name: Site(name, settings, part, threads, device) for name, part in images.items()}
        run_loop(settings, folder, sites, about, score, on_record)


def about_run(mode: Mode, environment: str, threads: int | None, device: str) -> dict[str, Any]:
    """What run.json says beside the settings."""
    return {
        "mode": mode,
        "environment": environment,
        "versions": versions(),
        "machine": {**machine(threads), "device": device},
    }


def complete(settings: RunSettings, mode: Mode, sites_folder: Path, folder: RunFolder, device: str) -> Path:
    """After training: who held what, the test patients, the report. Returns the report's path."""
    from fedward.reports.page import write_report
    from fedward.training.test_set import write_test

    write_json(folder.partition, read_partition(sites_folder))
    if mode == "local":
        from fedward.baselines import write_local_test

        _write_local_summary(settings, folder)
        write_local_test(folder, settings, sites_folder, settings.sites, device)
    else:
        write_test(folder, settings, sites_folder, device)
    return write_report(folder.root)


def _write_local_summary(settings: RunSettings, folder: RunFolder) -> None:
    """run.json and settings.json of `--mode local`, whose hospitals have run folders of their own."""
    parts = [read_json(RunFolder(folder.root / site).run) for site in settings.sites]
    summary = {
        **parts[0],
        "name": settings.name,
        "optimizer_steps": sum(part["optimizer_steps"] for part in parts),
        "seconds": sum(part["seconds"] for part in parts),
        "ended": parts[-1]["ended"],
        "fingerprint": settings.fingerprint(),
    }
    write_json(folder.run, summary)
    write_json(folder.settings, settings.to_dict())


def check_out(out: Path) -> RunFolder:
    """The run folder at --out, named by its last part; UsageError where that cannot name a run."""
    from fedward.rounds.run_folder import check_run_name

    check_run_name(out.name)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: --out names the folder of the run")
    return RunFolder(out)
