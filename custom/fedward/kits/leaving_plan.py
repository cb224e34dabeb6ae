"""What a kit's list lets a job send: computed without any image, from the list, the job's settings and its network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedward.errors import FedwardError, UsageError
from fedward.kits.leaving import Layout, leaving_parameters, leaving_report
from fedward.kits.leaving_list import COUNTS, EVALUATION_COUNTS, EVALUATION_METRICS, METRICS, Rules, read_rules
from fedward.settings import RunSettings

# What the site's side of a run puts together (fedward.training.site), with numbers that stand for any others.
_EVALUATION: dict[str, Any] = {**dict.fromkeys(EVALUATION_METRICS, 0.5), **dict.fromkeys(EVALUATION_COUNTS, 1)}
_VALIDATION: dict[str, Any] = {"train_seconds": 1.0, "start": _EVALUATION}
_TRAINING: dict[str, Any] = {**_VALIDATION, "samples": 1, "steps": 1, "loss": 0.5, "end": _EVALUATION}
REPORTS = {"train": _TRAINING, "validate": _VALIDATION}


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
    layout = network_layout(settings)
    tasks = [
        _task("train", settings.rounds, rules, layout),
        _task("validate", 1, rules, {}),
    ]
    return {
        "name": settings.name,
        "study": settings.study,
        "network": settings.training.network,
        "rounds": settings.rounds,
        "tasks": tasks,
        "bytes_in_all": sum(task["bytes"] * task["times"] for task in tasks),
    }


def _task(task: str, times: int, rules: Rules, layout: Layout) -> dict[str, Any]:
    # An array of one number, shown in the layer's shape: it takes no memory, whatever its size.
    arrays = {name: np.broadcast_to(np.zeros((), dtype), shape) for name, (shape, dtype) in layout.items()}
    too_large = False
    try:
        kept, removed = leaving_parameters(arrays, rules, task, layout)
    except FedwardError:
        kept, removed, too_large = {}, list(arrays), True
    report, lost = leaving_report(REPORTS[task], rules)
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
        "refused": len(kept) < len(arrays),  # the server averages whole models: it takes all layers or nothing
    }


def _leaves(report: Mapping[str, Any]) -> set[str]:
    nested = [{f"{key}.{n}" for n in value} if isinstance(value, Mapping) else {key} for key, value in report.items()]
    return set().union(*nested)
