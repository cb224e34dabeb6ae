"""The layout of a simulation: where the sites of one machine, made by `fedward partition`, find their data."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedward.datasets.layout import read_partition
from fedward.errors import FedwardError
from fedward.rounds.run_folder import read_json
from fedward.site_config import RegisteredWeights, SiteConfig

SERVER_SITE = "server"
COORDINATOR = "coordinator"  # the site of public images that pretrains for the hospitals
CACHE = "cache"  # under SITES; files are named by content, so all sites of a simulation may share it
PROBE = "probe"  # SITES/probe/NAME: labelled images of data set NAME on which every site probes its features
WEIGHTS = "weights.json"  # under SITES: registered starting weights, name (or `own_weights`) -> {file, sha256}


def find_sites(folder: Path) -> tuple[str, ...]:
    """Names of the sites laid out under `folder`, sorted; FedwardError says how to make them where none is."""
    if not folder.is_dir():
        raise FedwardError(f"{folder} is no folder: lay the hospitals out with fedward partition")
    sites = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and _is_site(p.name)))
    if not sites:
        raise FedwardError(f"{folder} holds no hospital-NN folders: lay them out with fedward partition")
    return sites


def _is_site(name: str) -> bool:
    return name.startswith("hospital-") or name == COORDINATOR


def threads_per_site(sites: int) -> int:
    """Torch threads for each of `sites` processes, so that together they do not outnumber the cores."""
    return max(1, (os.cpu_count() or 1) // sites)


def simulation_config(sites_folder: Path, site: str, threads: int, device: str, runs: Path | None = None) -> SiteConfig:
    """The configuration a site would have in its fedward.yml, for runs in one process and for simulator workspaces."""
    root = sites_folder.resolve()
    server = site == SERVER_SITE
    data_set = _data_set(root)
    return SiteConfig(
        source=f"the simulation in {sites_folder}",
        data_sets={} if server else site_data_sets(root, site),
        cache=root / CACHE,
        threads=threads,
        device=device,
        runs=runs,
        validation={data_set: root / SERVER_SITE} if server else {},
        weights={name: RegisteredWeights(**entry) for name, entry in registered_weights(root).items()},
    )


def site_data_sets(sites_folder: Path, site: str) -> dict[str, Path]:
    """The folders of a site's images and of the labelled ones for its probe, by data set."""
    root = sites_folder.resolve()
    return {**_probes(root), _data_set(root): root / site}


def server_validation(sites_folder: Path) -> dict[str, Path]:
    """The folder of the server's own validation images, by data set; empty where none are set apart."""
    folder = sites_folder.resolve() / SERVER_SITE
    return {_data_set(sites_folder): folder} if folder.is_dir() else {}


def workspace_values(sites_folder: Path, runs: Path, threads: int, device: str) -> dict[str, object]:
    """The fedward.yml that all sites of a simulator workspace share; each reads its own name for {site}."""
    root = sites_folder.resolve()
    data_set = _data_set(root)
    values: dict[str, object] = {
        "data_sets": {**{name: str(path) for name, path in _probes(root).items()}, data_set: f"{root}/{{site}}"},
        "cache": f"{root}/{CACHE}",
        "threads": threads,
        "device": device,
        "runs": str(runs.resolve()),
    }
    if validation := server_validation(root):
        values["validation"] = {name: str(path) for name, path in validation.items()}
    if weights := registered_weights(root):
        values["weights"] = {
            name: {"file": str(entry["file"]), "sha256": entry["sha256"]} for name, entry in weights.items()
        }
    return values


def registered_weights(sites_folder: Path) -> dict[str, dict[str, Any]]:
    """Starting weights registered with `fedward register-weights --sites`: name -> {file: Path, sha256}."""
    path = sites_folder / WEIGHTS
    if not path.is_file():
        return {}
    try:
        return {
            name: {"file": sites_folder.resolve() / entry["file"], "sha256": str(entry["sha256"])}
            for name, entry in read_json(path).items()
        }
    except (FedwardError, AttributeError, KeyError, TypeError) as error:
        raise FedwardError(
            f"{path} is damaged: remove it, and register the weights again with fedward register-weights"
        ) from error


def own_weights(name: str, site: str) -> str:
    """What the weights are registered as that a hospital pretrained alone and begins with alone (`--mode local`)."""
    return f"{name}@{site}"


def with_own_weights(config: SiteConfig, name: str, site: str) -> SiteConfig:
    """`config` with the site's own weights under this name, where it has such ones."""
    own = config.weights.get(own_weights(name, site))
    return config if own is None else replace(config, weights={**config.weights, name: own})


def _data_set(root: Path) -> str:
    """The data set that the partition was made of."""
    return str(read_partition(root)["data_set"])


def _probes(root: Path) -> dict[str, Path]:
    folder = root / PROBE
    return {path.name: path.resolve() for path in sorted(folder.iterdir())} if folder.is_dir() else {}
