"""A job of two hospitals as its files, written by hand in the shape of the recipe, and archives of it."""

import copy
import io
import json
import zipfile
from typing import Any

from fedward.kits.kit import Network
from fedward.lgg_segmentation import SETTINGS

SITES = ["hospital-01", "hospital-02"]
SERVER, CLIENT, META = "app/config/config_fed_server.json", "app/config/config_fed_client.json", "meta.json"
NETWORK = Network(
    name="net",
    server={"name": "server.example.org", "host": "server.example.org", "port": 8002},
    hospitals=("hospital-01", "hospital-02", "hospital-03"),
    coordinator="coordinator",
    orgs={},
    studies={"brain": {"sites": ["hospital-01", "hospital-02"], "admins": ["lead@c.org"]}},
    users={"lead@c.org": {"role": "lead", "org": "c"}},
    fedward="0.1.0",
    nvflare="2.9.0",
    ca_sha256="ab",
)


def job(**changes: Any) -> dict[str, Any]:
    """The JSON values of a good job by path; `changes` are to the settings, alike in both configurations."""
    settings = SETTINGS.to_dict() | {"name": "run", "sites": SITES, "min_sites": 2, "study": "brain"} | changes
    training = settings["training"]
    persistor = {
        "network": training["network"],
        "network_args": training["network_args"],
        "seed": settings["seed"],
        "starting_weights": settings["starting_weights"],
    }
    filters: dict[str, list[Any]] = {"task_data_filters": [], "task_result_filters": []}
    server = {
        "format_version": 2,
        "workflows": [
            {
                "id": "controller",
                "path": "fedward.flare.controller.RoundController",
                "args": {"settings": copy.deepcopy(settings)},
            }
        ],
        "components": [
            {"id": "persistor", "path": "fedward.flare.persistor.NetworkPersistor", "args": persistor},
            {"id": "aggregator", "path": "fedward.flare.aggregator.CostWeightedAggregator", "args": {}},
        ],
        "server": {"task_request_interval": 0.1},
        **copy.deepcopy(filters),
    }
    executor = {
        "path": "fedward.flare.executor.TrainingExecutor",
        "args": {"settings": copy.deepcopy(settings)},
    }
    client = {
        "format_version": 2,
        "executors": [{"tasks": ["train", "validate"], "executor": executor}],
        "components": [],
        **copy.deepcopy(filters),
    }
    meta = {
        "name": settings["name"],
        "resource_spec": {},
        "min_clients": settings["min_sites"],
        "deploy_map": {"app": ["server", *settings["sites"]]},
    }
    return {META: meta, SERVER: server, CLIENT: client}


def replaced(values: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with the value at `place` replaced or added."""
    changed = copy.deepcopy(values)
    part = changed
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return changed


def as_bytes(values: dict[str, Any]) -> dict[str, bytes]:
    return {path: json.dumps(value).encode() for path, value in values.items()}


def archive(files: dict[str, bytes], *extra: tuple[Any, bytes], folder: str = "run") -> bytes:
    """A zip of `files` in a job folder; `extra` entries (a name or a ZipInfo, and bytes) as they are."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for path, data in files.items():
            made.writestr(f"{folder}/{path}", data)
        for name, data in extra:
            made.writestr(name, data)
    return target.getvalue()
