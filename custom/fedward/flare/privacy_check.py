"""Checks a site's `local/privacy.json` completely, by building its filters as FLARE will."""

import contextlib
import inspect
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.app_common.filters.exclude_vars import ExcludeVars
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy
from nvflare.app_common.filters.svt_privacy import SVTPrivacy
from nvflare.private.fed.app.fl_conf import create_privacy_manager
from nvflare.security.logging import secure_format_exception

from fedward.errors import FedwardError, UsageError
from fedward.flare.leaving import LeavingFilter, ReceivedModel
from fedward.flare.privacy_filters import ClipAndNoise, OnUpdate
from fedward.kits.job_json import strict_json


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


FILTERS: dict[str, Callable[..., Any]] = {_path(k): k for k in (ReceivedModel, LeavingFilter, ClipAndNoise, OnUpdate)}
ON_UPDATE: dict[str, Callable[..., Any]] = {_path(k): k for k in (PercentilePrivacy, SVTPrivacy, ExcludeVars)}
KEYS = {"scopes", "default_scope"}
SCOPE_KEYS = {"name", "properties", "task_data_filters", "task_result_filters"}
FILTER_KEYS = {"path", "args"}


def check_privacy(path: Path) -> list[str]:
    """Every problem of a site's privacy.json; an empty list means that it does what it says and nothing leaves besides.

    In each scope ReceivedModel must be the first task_data_filter and LeavingFilter the last task_result_filter,
    because a job may name any scope of the site.
    """
    if not path.is_file():
        return [f"{path} is missing, so FLARE would filter nothing: take it from the kit again"]
    try:
        values = strict_json(path.read_bytes(), str(path))
    except FedwardError as error:
        return [str(error)]
    problems = _structure(values)
    return [f"{path}: {problem}" for problem in problems or _built(path)]


def _structure(values: Any) -> list[str]:
    if not isinstance(values, dict) or not isinstance(values.get("scopes"), list) or not values["scopes"]:
        return ["it must hold 'scopes', a list with one scope at least, or FLARE filters nothing"]
    problems = _unknown("the file", values, KEYS)
    names = [scope.get("name") if isinstance(scope, dict) else None for scope in values["scopes"]]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        return [*problems, "each scope must be a mapping with a 'name' of its own"]
    if values.get("default_scope") not in names:
        problems.append(f"default_scope must be one of {', '.join(names)}: it is the scope of jobs that name none")
    for scope in values["scopes"]:
        where = f"scope {scope['name']}"
        problems += _unknown(where, scope, SCOPE_KEYS)
        data, results = scope.get("task_data_filters"), scope.get("task_result_filters")
        for filters in (data, results):
            if not isinstance(filters, list) or not all(isinstance(f, dict) for f in filters):
                problems.append(f"{where}: task_data_filters and task_result_filters must both be lists of filters")
                break
        else:
            problems += [problem for entry in (*data, *results) for problem in _filter(where, entry)]
            problems += _order(where, [f.get("path") for f in data], [f.get("path") for f in results])
    return problems


def _order(where: str, data: list[Any], results: list[Any]) -> list[str]:
    first, last = _path(ReceivedModel), _path(LeavingFilter)
    problems = []
    if data != [first]:
        problems.append(f"{where}: task_data_filters must name {first} alone")
    if last not in results:
        problems.append(f"{where}: task_result_filters must name {last} as the last, or everything would leave")
    elif results.index(last) != len(results) - 1:
        problems.append(f"{where}: the last of task_result_filters, and no other, must be {last}")
    if first in results:
        problems.append(f"{where}: {first} is no task_result_filter")
    return problems


def _filter(where: str, entry: dict[str, Any]) -> list[str]:
    """What is wrong with one filter, told by its own constructor."""
    path, arguments = entry.get("path"), entry.get("args", {})
    if not isinstance(path, str):
        return [f"{where}: a filter has no path"]
    if path in ON_UPDATE:
        return [
            f"{where}: {path} would cut off the model itself, because sites send whole models: name it as the 'filter' "
            f"of {_path(OnUpdate)}"
        ]
    if path not in FILTERS:
        return [f"{where}: filter {path!r} is unknown: known are {', '.join(FILTERS)}"]
    problems = _unknown(f"{where}: {path}", entry, FILTER_KEYS)
    if not isinstance(arguments, dict):
        return [*problems, f"{where}: args of {path} must be a mapping"]
    try:
        if path == _path(OnUpdate):
            inner = arguments.get("filter")
            if not isinstance(inner, dict) or inner.get("path") not in ON_UPDATE or set(inner) - FILTER_KEYS:
                known = ", ".join(ON_UPDATE)
                return [*problems, f"{where}: {path} needs a 'filter' with path and args; paths are {known}"]
            arguments = {**arguments, "filter": _build(inner["path"], ON_UPDATE, inner.get("args", {}))}
        _build(path, FILTERS, arguments)
    except Exception as error:
        reason = str(error) if isinstance(error, FedwardError) else secure_format_exception(error)
        problems.append(f"{where}: {path}: {reason}")
    return problems


def _build(path: str, kinds: dict[str, Callable[..., Any]], arguments: Any) -> Any:
    """A filter from its arguments; UsageError names those that it does not know, or lacks."""
    taken = inspect.signature(kinds[path]).parameters
    if not isinstance(arguments, dict):
        raise UsageError("args must be a mapping")
    known = ", ".join(taken) or "none"
    if wrong := sorted(set(arguments) - set(taken)):
        raise UsageError(f"args has {', '.join(wrong)}, which it does not know: known are {known}")
    lacking = [name for name, one in taken.items() if one.default is one.empty and name not in arguments]
    if lacking:
        raise UsageError(f"args lacks {', '.join(lacking)}: known are {known}")
    return kinds[path](**arguments)


def _unknown(where: str, values: dict[str, Any], known: set[str]) -> list[str]:
    """FLARE knows more keys ('disabled', 'direction', 'components'), each a way to have no filter after all."""
    unknown = sorted(set(values) - known)
    return [f"{where} has {', '.join(unknown)}: only {', '.join(sorted(known))} are allowed there"] if unknown else []


def _built(path: Path) -> list[str]:
    """Build everything with FLARE's own reader, and look at what it has made of it."""
    workspace: Any = SimpleNamespace(get_site_privacy_file_path=lambda: str(path))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # FLARE prints the error as well
            manager = create_privacy_manager(workspace, names_only=False)
    except Exception as error:
        return [f"FLARE cannot build it: {secure_format_exception(error)}"]
    wrong = [
        name
        for name, scope in manager.name_to_scopes.items()
        if not isinstance(scope.task_data_filters["in"][0], ReceivedModel)
        or not isinstance(scope.task_result_filters["out"][-1], LeavingFilter)
    ]
    wrong += [] if manager.default_scope else ["(default)"]
    return [f"FLARE makes no LeavingFilter of scope {name}" for name in wrong]
