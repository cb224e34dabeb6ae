"""The part of a FLARE simulator workspace that makes our jobs run there: class allow-list and fedward.yml."""

from pathlib import Path

import yaml

from fedward.flare.components import class_allow_list
from fedward.rounds.run_folder import write_bytes, write_json
from fedward.simulation import workspace_values


def write_simulator_workspace(workspace: Path, sites_folder: Path, runs: Path, threads: int, device: str) -> None:
    """Write `workspace/local/`, which the simulator copies to every site. Sites find their data by their own name."""
    local = workspace / "local"
    resources = {"format_version": 2, "class_allow_list": class_allow_list(), "class_list_enforcement_mode": "enforce"}
    write_json(local / "resources.json", resources)
    values = workspace_values(sites_folder, runs, threads, device)
    write_bytes(local / "fedward.yml", yaml.safe_dump(values, sort_keys=False).encode())
