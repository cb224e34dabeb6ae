"""What must hold before a run starts: where it is written, that nobody else writes there, and what it needs."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from fedward.datasets.layout import read_partition
from fedward.errors import DataError, FedwardError, UsageError
from fedward.rounds.folder_lock import locked
from fedward.rounds.may_begin import check_may_begin
from fedward.rounds.run_folder import RunFolder, check_run_name
from fedward.settings import RANDOM, RunSettings
from fedward.simulation import SERVER_SITE, simulation_config, with_own_weights

Mode = Literal["federated", "central", "local"]
Environment = Literal["sim", "loop", "poc", "prod"]
MODES: tuple[Mode, ...] = ("federated", "central", "local")
ENVIRONMENTS: tuple[Environment, ...] = ("sim", "loop", "poc", "prod")


def check_out(out: Path) -> RunFolder:
    """The run folder at --out, named by its last part; UsageError where that cannot name a run."""
    check_run_name(out.name)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: --out names the folder of the run")
    return RunFolder(out)


def check_apart(out: Path, sites_folder: Path) -> None:
    """UsageError where the run would be written among the images."""
    if out.resolve().is_relative_to(sites_folder.resolve()):
        raise UsageError(f"--out {out} lies inside --sites {sites_folder}: give a folder outside it")


@contextmanager
def alone_in(root: Path) -> Iterator[None]:
    """Hold a lock on the run folder, which ends with the process: two commands would spoil each other's run."""
    try:
        with locked(root, f"another command works on {root}: wait for it, or choose another --out"):
            yield
    finally:
        with suppress(OSError):
            root.rmdir()  # nothing was begun in it


def check_ready(
    settings: RunSettings,
    mode: Mode,
    environment: Environment,
    sites_folder: Path,
    folder: RunFolder,
    threads: int,
    device: str,
) -> dict[str, Any]:
    """Fail before anything starts where a run could not end well; returns the partition."""
    from fedward.networks.initial import first_parameters
    from fedward.training.site import check_site
    from fedward.training.trainer import choose_device

    choose_device(device)
    partition = read_partition(sites_folder)
    if astray := sorted(set(partition["sites"]) ^ set(settings.sites)):
        raise DataError(
            f"{', '.join(astray)}: partition.json and the folders in {sites_folder} do not name the same hospitals: "
            "bring the folder back, or make the partition again with fedward partition"
        )
    wrong: list[FedwardError] = []
    for site in settings.sites:
        try:
            check_site(site, settings, simulation_config(sites_folder, site, threads, device))
        except FedwardError as error:
            wrong.append(error)
    if wrong:
        raise type(wrong[0])("\n".join(map(str, wrong)))
    if mode == "federated" and environment != "poc":
        check_may_begin(settings, folder)  # here, where the sentence reaches the user before any image is read
    if settings.starting_weights != RANDOM:
        server, name = simulation_config(sites_folder, SERVER_SITE, threads, device), settings.starting_weights
        alone = settings.sites if mode == "local" else (SERVER_SITE,)
        configs = [with_own_weights(server, name, site) for site in alone]
        for config in {config.registered_weights(name): config for config in configs}.values():  # each file once
            first_parameters(settings, config)
    return partition
