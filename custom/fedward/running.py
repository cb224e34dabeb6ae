"""One run from its settings to its report: federated, central or local, in the plain loop or in the FLARE simulator."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from fedward.datasets.layout import read_partition
from fedward.errors import UsageError
from fedward.kits.kit import Kit
from fedward.machine import machine, versions
from fedward.remote import run_on_network
from fedward.reports.event_files import event_files
from fedward.reports.formats import counted
from fedward.reports.live import LiveTable
from fedward.rounds.record import Record
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.run_checks import Environment, Mode, alone_in, check_apart, check_ready
from fedward.settings import RunSettings
from fedward.simulation import CACHE, SERVER_SITE, simulation_config


def run_and_report(
    settings: RunSettings,
    mode: Mode,
    environment: Environment,
    sites_folder: Path,
    folder: RunFolder,
    threads: int,
    device: str,
    tensorboard: bool,
    console: Console,
) -> Path:
    """Check, preprocess, train with a live table, evaluate on the test patients, and write the report: its path.

    A run that was interrupted goes on from its last finished round; a finished one is refused.
    """
    check_apart(folder.root, sites_folder)
    with alone_in(folder.root):
        if _is_trained(folder, sites_folder):
            return complete(settings, mode, sites_folder, folder, device)  # it was interrupted after the last round
        partition = check_ready(settings, mode, environment, sites_folder, folder, threads, device)
        fill_cache(settings, sites_folder, console)
        console.print(
            f"{settings.name}: {mode}, {counted(len(settings.sites), 'site')}, {counted(settings.rounds, 'round')}",
            highlight=False,
        )
        training, apart = settings.training, settings.sites if mode == "local" else ()
        try:
            with (
                LiveTable(settings.rounds, console, training.batch_size, training.task) as table,
                event_files(folder if tensorboard else None, apart) as write,
            ):

                def tell(record: Record) -> None:
                    table.add(record)
                    write(record)

                if environment == "sim":
                    _simulate(settings, sites_folder, folder, threads, device, tell)
                else:
                    _run_in_process(settings, mode, sites_folder, folder, threads, device, tell)
        finally:
            if folder.run.is_file():
                write_json(folder.partition, partition)
        return complete(settings, mode, sites_folder, folder, device)


def run_in_poc(
    settings: RunSettings, sites_folder: Path, folder: RunFolder, tensorboard: bool, console: Console
) -> Path:
    """A run on a FLARE proof of concept of its own: kits by `nvflare poc prepare`, processes on this machine.

    The kits lie in the run folder's `poc`. Its processes are ended with the run, however that ends; a failed run keeps
    the folder for its logs.
    """
    from fedward.kits.kit import open_kit
    from fedward.kits.one_machine import PROJECT, free_port, leads
    from fedward.kits.processes import Processes
    from fedward.local_network import start_network

    check_apart(folder.root, sites_folder)
    place = folder.root / "poc"
    with alone_in(folder.root):
        Processes(place).stop()  # of a command that was killed
        if _is_trained(folder, sites_folder):
            return complete(settings, "federated", sites_folder, folder, "auto")
        leads_of = leads(place, PROJECT)
        if settings.study not in leads_of:
            raise UsageError(f"study {settings.study!r} is unknown here: --study is one of {', '.join(leads_of)}")
        check_ready(settings, "federated", "poc", sites_folder, folder, 1, "auto")
        fill_cache(settings, sites_folder, console)
        shutil.rmtree(place / "workspace", ignore_errors=True)
        processes = start_network(
            place, sites_folder, settings.sites, PROJECT, free_port(), poc=True, say=console.print
        )
        try:
            run_on_network(settings, open_kit(leads_of[settings.study]), folder, tensorboard, console)
        finally:
            processes.stop()
        shutil.rmtree(place)
        write_json(folder.partition, read_partition(sites_folder))
        return complete(settings, "federated", sites_folder, folder, "auto")


def run_remotely(
    settings: RunSettings, kit: Kit, sites_folder: Path | None, folder: RunFolder, tensorboard: bool, console: Console
) -> Path:
    """A run on the network of `kit`, and its report: its path. The images stay where they are, at the sites.

    `sites_folder` (from fedward partition), where given, has the test patients that the result is evaluated on here.
    """
    with alone_in(folder.root):
        if not _is_trained(folder, sites_folder):
            run_on_network(settings, kit, folder, tensorboard, console)
        if sites_folder is not None:
            write_json(folder.partition, read_partition(sites_folder))
        return complete(settings, "federated", sites_folder, folder, "auto")


def fill_cache(settings: RunSettings, sites_folder: Path, console: Console) -> None:
    """Preprocess every image of the partition, with progress, so that no round waits for it."""
    from fedward.training.task import get_task

    folders = [sites_folder / name for name in (*settings.sites, "test", SERVER_SITE)]
    found = [folder for folder in folders if folder.is_dir()]
    method = settings.preprocessing.bias_field
    about = f" (bias field: {method})" if settings.training.task == "segmentation" else ""
    text = f"Preparing the images of {counted(len(found), 'folder')}{about}; what is in the cache is taken from it"
    console.print(text, soft_wrap=True)
    get_task(settings).prepare(settings, found, sites_folder / CACHE)


def _simulate(
    settings: RunSettings,
    sites_folder: Path,
    folder: RunFolder,
    threads: int,
    device: str,
    on_record: Callable[[Record], None],
) -> None:
    from fedward.flare.recipe import export_job
    from fedward.flare.simulator_workspace import write_simulator_workspace
    from fedward.simulator import simulate

    place = folder.root / "simulator"
    shutil.rmtree(place, ignore_errors=True)
    job = export_job(settings, place / "job")
    write_simulator_workspace(place / "workspace", sites_folder, folder.root.parent, threads, device)
    log = place / "log.txt"
    simulate(job, place / "workspace", settings.sites, folder, settings.round_deadline, log, on_record)
    shutil.rmtree(place / "workspace")  # copies of what the run folder holds; a failed run keeps it for its logs


def _run_in_process(
    settings: RunSettings,
    mode: Mode,
    sites_folder: Path,
    folder: RunFolder,
    threads: int,
    device: str,
    on_record: Callable[[Record], None],
) -> None:
    from fedward.baselines import run_central, run_local
    from fedward.loop import run_loop
    from fedward.training.site import Site, state_folder
    from fedward.training.task import get_task, server_score

    about = {
        "mode": mode,
        "environment": "loop",
        "versions": versions(),
        "machine": {**machine(threads), "device": device},
    }
    configs = {name: simulation_config(sites_folder, name, threads, device) for name in (*settings.sites, SERVER_SITE)}
    server = configs[SERVER_SITE]
    images = {site: get_task(settings).load(site, configs[site], settings) for site in settings.sites}
    if mode == "central":
        run_central(settings, folder, images, about, server, on_record)
    elif mode == "local":
        run_local(settings, folder, images, about, server, on_record)
    else:
        sites = {
            name: Site(
                name, settings, part, threads, device, state_folder(name, settings, configs[name]), configs[name]
            )
            for name, part in images.items()
        }
        run_loop(settings, folder, sites, about, server, server_score(settings, server), on_record)


def _is_trained(folder: RunFolder, sites_folder: Path | None) -> bool:
    """Whether the run is finished but for its test patients; UsageError where nothing of it is left to do here."""
    if not folder.finished():
        return False
    if folder.test.exists() or sites_folder is None or not (sites_folder / "test").is_dir():
        report = "" if folder.report.exists() else f" but for its report, which comes with fedward report {folder.root}"
        raise UsageError(f"the run in {folder.root} is finished{report}: choose another --out, or remove that folder")
    return True


def complete(settings: RunSettings, mode: Mode, sites_folder: Path | None, folder: RunFolder, device: str) -> Path:
    """After training: the test patients, where they are here, and the report. Returns the report's path."""
    from fedward.reports.page import write_report
    from fedward.training.task import get_task

    task = get_task(settings)
    if mode == "local" and sites_folder is not None:
        _write_local_summary(settings, folder)
        write_json(folder.partition, read_partition(sites_folder))
        task.write_local_test(folder, settings, sites_folder, settings.sites, device)
    else:
        task.write_test(folder, settings, sites_folder, device)
    try:
        return write_report(folder.root)
    except KeyboardInterrupt:
        print(f"The run is finished; it lacks its report alone: fedward report {folder.root}", file=sys.stderr)
        raise


def _write_local_summary(settings: RunSettings, folder: RunFolder) -> None:
    """run.json and settings.json of `--mode local`, whose hospitals have run folders of their own."""
    parts: list[dict[str, Any]] = [read_json(RunFolder(folder.root / site).run) for site in settings.sites]
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
