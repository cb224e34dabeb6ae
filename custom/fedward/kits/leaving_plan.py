"""What a kit's list lets a job send: computed without any image, from the list, the job's settings and its network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedward.datasets.registry import image_data_set, scan_data_set
from fedward.errors import FedwardError, UsageError
from fedward.evaluation import structure_details
from fedward.kits.leaving import Layout, group, leaving_parameters, leaving_report
from fedward.kits.leaving_list import COUNTS, EVALUATION_COUNTS, EVALUATION_METRICS, METRICS, Rules, read_rules
from fedward.rounds.exchange import WIDTH, exchanges
from fedward.settings import RunSettings


def reports(settings: RunSettings) -> dict[str, dict[str, Any]]:
    """Per task what the site's side of this run reports (fedward.training.site): the numbers stand for any others."""
    evaluation: dict[str, Any] = {**dict.fromkeys(EVALUATION_METRICS, 0.5), **dict.fromkeys(EVALUATION_COUNTS, 1)}
    if details := _details(settings):
        evaluation["details"] = details
    validation = {"train_seconds": 1.0, "start": evaluation}
    training = {**validation, "samples": 1, "steps": 1, "loss": 0.5, "end": evaluation}
    bank = {"bank": {"train_seconds": 1.0}} if exchanges(settings) else {}
    return {"train": training, "validate": validation, **bank}


def _details(settings: RunSettings) -> dict[str, float]:
    if settings.training.task == "classification":
        findings = image_data_set(settings.data_set).findings
        groups: dict[str, float] = {"auc": 0.5, "positives": 5, "negatives": 5}
        return {f"{group}.{finding}": value for group, value in groups.items() for finding in findings}
    if settings.training.task == "structures":
        return structure_details(dict.fromkeys(scan_data_set(settings.data_set).structures, (5, 5, 5)))
    if settings.contrast is not None:
        return {"features.std": 0.5, "features.rank": 5.0, "knn.partition": 0.5}
    if settings.pretext is None:
        return {}
    probe = {"knn.auc": 0.5} if settings.pretext.probe_data_set else {}
    return {"features.std": 0.5, "features.rank": 5.0, **probe}


def scope_of(privacy: Any, name: str | None = None) -> tuple[str, Rules, list[dict[str, Any]]]:
    """A scope of privacy.json (the default one unless named): its name, its list, and the filters before that.

    UsageError where there is none; a file that may be wrong goes through `fedward.flare.privacy_check` first.
    """
    name = name or privacy["default_scope"]
    for scope in privacy["scopes"]:
        if scope["name"] == name:
            *others, last = scope["task_result_filters"]
            return scope["name"], read_rules(last["args"]), others
    raise UsageError(f"the kit has no scope {name!r}: this site refuses the job")


def network_layout(settings: RunSettings) -> Layout:
    """Shape and type of each layer of the job's network; no memory is taken for them."""
    import torch

    from fedward.networks.registry import build_network

    with torch.device("meta"):
        network = build_network(settings.training.network, settings.training.network_args)
    return {
        name: (tuple(value.shape), np.dtype(str(value.dtype).removeprefix("torch.")))
        for name, value in network.state_dict().items()
    }


def job_plan(settings: RunSettings, rules: Rules) -> dict[str, Any]:
    """What this job sends of a site: per task how often, which layers with shape and bytes, which numbers."""
    layout = {name: layer for name, layer in network_layout(settings).items() if settings.training.travels(name)}
    said = reports(settings)
    tasks = [
        _task("train", settings.rounds, rules, layout, said["train"]),
        _task("validate", 1, rules, {}, said["validate"]),
    ]
    if "bank" in said:
        tasks.append(_task("bank", settings.rounds - 1, rules, {}, said["bank"]))
    return {
        "name": settings.name,
        "study": settings.study,
        "network": settings.training.network,
        "rounds": settings.rounds,
        "tasks": tasks,
        "bytes_in_all": sum(task["bytes"] * task["times"] for task in tasks),
        "features": offered_features(settings),
        "features_refused": refused_features(settings, rules),
    }


def offered_features(settings: RunSettings) -> dict[str, Any] | None:
    """What a site sends of features in each task `bank`, at most; None where sites exchange none."""
    contrast = settings.contrast
    if contrast is None or not exchanges(settings):
        return None
    size = contrast.bank_size * (WIDTH * np.dtype(contrast.precision).itemsize + 1)
    about = {"rows": contrast.bank_size, "width": WIDTH, "type": contrast.precision, "noise": contrast.noise}
    return {**about, "bytes": size, "times": settings.rounds - 1, "bytes_in_all": size * (settings.rounds - 1)}


def refused_features(settings: RunSettings, rules: Rules) -> str | None:
    """Why a site with this list takes no part in a job that exchanges features; None where it does."""
    offered, rule = offered_features(settings), rules.features
    if offered is None:
        return None
    if rule is None:
        return (
            "the job exchanges features of single slices, and this site's list of what may leave has no features: "
            'ask it to add "features" to its privacy.json, or leave it out'
        )
    if offered["rows"] > rule.max_rows:
        return (
            f"the job offers up to {offered['rows']:,} features of a site (bank_size), and {rule.max_rows:,} may leave "
            f"this one: give the job --bank-size {rule.max_rows} or less, or leave the site out"
        )
    if offered["noise"] < rule.min_noise:
        return (
            f"the job puts noise of {offered['noise']:g} on features, and at this site it must be {rule.min_noise:g} "
            "or more: give the job more noise, or leave the site out"
        )
    return None


def _task(task: str, times: int, rules: Rules, layout: Layout, said: dict[str, Any]) -> dict[str, Any]:
    # An array of one number, shown in the layer's shape: it takes no memory, whatever its size.
    arrays = {name: np.broadcast_to(np.zeros((), dtype), shape) for name, (shape, dtype) in layout.items()}
    too_large = False
    try:
        kept, removed = leaving_parameters(arrays, rules, task, layout)
    except FedwardError:
        kept, removed, too_large = {}, list(arrays), True
    report, lost = leaving_report(said, rules)
    numbers = _leaves(report)
    sizes = {name: array.nbytes for name, array in arrays.items()}
    return {
        "task": task,
        "times": times,
        "layers": [
            {
                "name": name,
                "shape": list(array.shape),
                "type": str(array.dtype),
                "bytes": sizes[name],
                "leaves": name in kept,
            }
            for name, array in arrays.items()
        ],
        "bytes": sum(sizes[name] for name in kept),
        "metrics": [name for name in METRICS if name in numbers],
        "counts": {name: rules.counts[name] for name in COUNTS if name in numbers},
        "removed": [*removed, *lost],
        "too_large": too_large,
        "refused": len(kept) < len(arrays),  # the server takes all layers that the job trains, or nothing
    }


def _leaves(report: Mapping[str, Any]) -> set[str]:
    """Names of the report's numbers, as the list has them."""
    names = set()
    for key, value in report.items():
        if isinstance(value, Mapping):
            names |= {f"{key}.{name}" for name in value if name != "details"}
            names |= {f"{key}.{group(name)}" for name in value.get("details", {})}
        else:
            names.add(key)
    return names
