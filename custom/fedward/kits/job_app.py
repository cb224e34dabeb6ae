"""What an app of ours may say: one controller, persistor, aggregator and executor, all with the same settings.

A job's configuration could name any class with any arguments. Only one shape is accepted here, the one that the
recipe writes, with each argument read by the same code that the component uses.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fedward.errors import FedwardError, UsageError
from fedward.flare.tasks import CONTROLLERS, controller_name, site_tasks
from fedward.kits.job_archive import APP_FILES, CLIENT_CONFIG, MAX_FILE, SERVER_CONFIG, SIGNATURE_FILES, shown
from fedward.kits.job_json import strict_json
from fedward.settings import RANDOM, AggregationSettings, RunSettings, run_settings_from_dict, section

EXECUTOR = "fedward.flare.executor.TrainingExecutor"
SERVER_COMPONENTS = {
    "persistor": "fedward.flare.persistor.NetworkPersistor",
    "aggregator": "fedward.flare.aggregator.CostWeightedAggregator",
    "tensorboard": "nvflare.app_opt.tracking.tb.tb_receiver.TBAnalyticsReceiver",
}
OPTIONAL = {"tensorboard"}
TENSORBOARD_ARGS = {"events": ["analytix_log_stats", "fed.analytix_log_stats"]}  # its defaults, which FLARE writes out
FILTERS = ("task_data_filters", "task_result_filters")
REQUEST_SECONDS = (0.05, 60)  # task_request_interval


def check_app(server_config: bytes, client_config: bytes) -> RunSettings:
    """The settings that server and sites agree on; UsageError where the configuration says anything else than a run."""
    try:
        server = _server(strict_json(server_config, SERVER_CONFIG))
        client = _client(strict_json(client_config, CLIENT_CONFIG))
    except FedwardError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UsageError(f"the job's configuration cannot be read ({error}): export the job again") from error
    if server.fingerprint() != client.fingerprint():
        raise UsageError("server and sites have different settings in this job: export it again, and leave it unedited")
    return server


def read_app(folder: Path, signed: bool) -> RunSettings:
    """The settings of an extracted app; UsageError for any file but an app's own, and for a missing signature."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UsageError(f"{shown(name)} is a link: a job holds plain files alone")
        if path.is_dir() and name == "config":
            continue
        if name not in APP_FILES or not path.is_file():
            raise UsageError(f"{shown(name)} does not belong into a job's app: only its two JSON files do")
        if path.stat().st_size > MAX_FILE:
            raise UsageError(f"{name} is larger than {MAX_FILE:,} bytes: no job needs that")
        found[name] = path
    for name in (SERVER_CONFIG, CLIENT_CONFIG):
        if name not in found:
            raise UsageError(f"the app has no {name}: export the job again")
    if signed and not all(name in found for name in SIGNATURE_FILES):
        raise UsageError("the app is not signed by its submitter")
    return check_app(found[SERVER_CONFIG].read_bytes(), found[CLIENT_CONFIG].read_bytes())


def _server(config: Any) -> RunSettings:
    where = SERVER_CONFIG
    _keys(config, ("format_version", "workflows", "components", "server", *FILTERS), where)
    _common(config, where)
    workflow = _only(config.get("workflows"), f"{where}: workflows")
    _keys(workflow, ("id", "path", "args"), f"{where}: workflow")
    if workflow.get("id") != "controller":
        raise UsageError(f"{where}: the workflow's id must be 'controller'")
    arguments = _arguments(workflow, CONTROLLERS, f"{where}: workflow")
    components = _components(config.get("components"), where)
    for argument, component in (("aggregator_id", "aggregator"), ("persistor_id", "persistor")):
        if arguments.get(argument, component) != component:
            raise UsageError(f"{where}: {argument} must be {component!r}")
    _keys(arguments, ("settings", "aggregator_id", "persistor_id"), f"{where}: controller")
    settings = run_settings_from_dict(arguments.get("settings"))
    _arguments(workflow, (controller_name(settings),), f"{where}: workflow")
    _persistor(components["persistor"], settings)
    weighting = section(AggregationSettings, components["aggregator"], f"{where}: aggregator")
    if weighting != settings.aggregation:
        raise UsageError("the job's aggregator and its settings name different weighting: export the job again")
    if components.get("tensorboard") not in (None, {}, TENSORBOARD_ARGS):
        raise UsageError(f"{where}: the TensorBoard receiver takes no arguments in a job")
    requests = config.get("server", {})
    _keys(requests, ("task_request_interval",), f"{where}: server")
    low, high = REQUEST_SECONDS
    seconds = requests.get("task_request_interval", low)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not low <= seconds <= high:
        raise UsageError(f"{where}: task_request_interval must be from {low} to {high} seconds")
    return settings


def _client(config: Any) -> RunSettings:
    where = CLIENT_CONFIG
    _keys(config, ("format_version", "executors", "components", *FILTERS), where)
    _common(config, where)
    if config.get("components", []) != []:
        raise UsageError(f"{where}: a job adds no components at a site")
    executor = _only(config.get("executors"), f"{where}: executors")
    _keys(executor, ("tasks", "executor"), f"{where}: executors")
    entry = executor.get("executor")
    _keys(entry, ("path", "args"), f"{where}: executor")
    arguments = _arguments(entry, (EXECUTOR,), f"{where}: executor")
    _keys(arguments, ("settings",), f"{where}: TrainingExecutor")
    settings = run_settings_from_dict(arguments.get("settings"))
    tasks = site_tasks(settings)
    if executor.get("tasks") != tasks:
        raise UsageError(f"{where}: the executor's tasks must be {' and '.join(tasks)}")
    return settings


def _common(config: dict[str, Any], where: str) -> None:
    if config.get("format_version") != 2:
        raise UsageError(f"{where}: format_version must be 2")
    for name in FILTERS:
        if config.get(name, []) != []:
            raise UsageError(f"{where}: {name} must be empty: filters are each site's own, in its privacy.json")


def _components(entries: Any, where: str) -> dict[str, dict[str, Any]]:
    """Arguments of the server's components by id."""
    if not isinstance(entries, list):
        raise UsageError(f"{where}: components must be a list")
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        _keys(entry, ("id", "path", "args"), f"{where}: component")
        name = entry.get("id")
        if not isinstance(name, str) or name not in SERVER_COMPONENTS or name in found:
            raise UsageError(
                f"{where}: component {_brief(name)} ({_brief(entry.get('path'))}) is not part of a job: "
                f"a job has {', '.join(SERVER_COMPONENTS)}, each once"
            )
        found[name] = _arguments(entry, (SERVER_COMPONENTS[name],), f"{where}: component {name}")
    missing = [name for name in SERVER_COMPONENTS if name not in found and name not in OPTIONAL]
    if missing:
        raise UsageError(f"{where}: component {missing[0]} is missing: export the job again")
    return found


def _arguments(entry: Any, paths: Collection[str], where: str) -> dict[str, Any]:
    """The arguments of a component, which must be of a class that belongs there."""
    if entry.get("path") not in paths:
        wanted = " or ".join(paths)
        raise UsageError(f"{where} names {_brief(entry.get('path'))}, which no site builds: it must be {wanted}")
    arguments = entry.get("args", {})
    if not isinstance(arguments, dict):
        raise UsageError(f"{where}: args must be a mapping")
    return arguments


def _persistor(arguments: dict[str, Any], settings: RunSettings) -> None:
    wanted = {
        "network": settings.training.network,
        "network_args": settings.training.network_args,
        "seed": settings.seed,
        "starting_weights": settings.starting_weights,
    }
    if _plain({"starting_weights": RANDOM, **arguments}) != _plain(wanted):
        raise UsageError("the job's persistor and its settings name different networks: export the job again")


def _plain(values: Any) -> str:
    return json.dumps(values, sort_keys=True)  # unlike ==, this tells 1 from true and from 1.0


def _only(entries: Any, where: str) -> Any:
    if not isinstance(entries, list) or len(entries) != 1:
        raise UsageError(f"{where} must hold exactly one entry")
    return entries[0]


def _keys(values: Any, known: Collection[str], where: str) -> None:
    if not isinstance(values, dict):
        raise UsageError(f"{where} must be a mapping")
    for key in values:
        if key not in known:
            raise UsageError(f"{where} must not have {_brief(key)}: known are {', '.join(known)}")


def _brief(value: Any) -> str:
    return shown(value) if isinstance(value, str) else type(value).__name__
