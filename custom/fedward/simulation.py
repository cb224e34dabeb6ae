"""The layout of a simulation: where the ten sites of one machine, made by `fedward partition`, find their data."""

import os
from pathlib import Path

from fedward.errors import FedwardError
from fedward.site_config import SiteConfig

SERVER_SITE = "server"
CACHE = "cache"  # under SITES; files are named by content, so all sites of a simulation may share it


def find_sites(folder: Path) -> tuple[str, ...]:
    """Names of the hospitals laid out under `folder`, sorted; FedwardError says how to make them where none is."""
    if not folder.is_dir():
        raise FedwardError(f"{folder} is no folder: lay the hospitals out with fedward partition")
    sites = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name.startswith("hospital-")))
    if not sites:
        raise FedwardError(f"{folder} holds no hospital-NN folders: lay them out with fedward partition")
    return sites


def threads_per_site(sites: int) -> int:
    """Torch threads for each of `sites` processes, so that together they do not outnumber the cores."""
    return max(1, (os.cpu_count() or 1) // sites)


def simulation_config(sites_folder: Path, site: str, threads: int, device: str, runs: Path | None = None) -> SiteConfig:
    """The configuration a site would have in its fedward.yml, for runs in one process and for simulator workspaces."""
    root = sites_folder.resolve()
    server = site == SERVER_SITE
    return SiteConfig(
        source=f"the simulation in {sites_folder}",
        data_sets={} if server else {"lgg": root / site},
        cache=root / CACHE,
        threads=threads,
        device=device,
        runs=runs,
        validation={"lgg": root / SERVER_SITE} if server else {},
    )


def workspace_values(sites_folder: Path, runs: Path, threads: int, device: str) -> dict[str, object]:
    """The fedward.yml that all sites of a simulator workspace share; each reads its own name for {site}."""
    root = sites_folder.resolve()
    values: dict[str, object] = {
        "data_sets": {"lgg": f"{root}/{{site}}"},
        "cache": f"{root}/{CACHE}",
        "threads": threads,
        "device": device,
        "runs": str(runs.resolve()),
    }
    if (root / SERVER_SITE).is_dir():
        values["validation"] = {"lgg": f"{root}/{SERVER_SITE}"}
    return values
