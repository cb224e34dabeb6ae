"""Filters of a hospital's kit (`local/privacy.json`): only what its list names leaves with a task's result.

FLARE runs a scope's task_data_filters on what the site received and its task_result_filters on what it would send, in
one context, before any filter of the job. After them it adds to the result the name and id of the task, the cookie jar
of the received task, the id of its audit entry and of the message, and the public properties of its context.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Any

from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode, ServerCommandKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants
from nvflare.security.logging import secure_format_exception

from fedward.contrast.settings import PRECISIONS
from fedward.errors import FedwardError
from fedward.evaluation import detail_names
from fedward.flare.tasks import BANK, ERROR, ERROR_KIND, FEATURES, REPORT
from fedward.kits.leaving import (
    Layout,
    error_text,
    layout,
    leaving_features,
    leaving_parameters,
    leaving_report,
    shown,
)
from fedward.kits.leaving_list import AGREED_WARNINGS, ERROR_CLASSES, Rules, read_rules
from fedward.rounds.exchange import WIDTH

RECEIVED = "fedward_received"  # private property of the task's context
CODES = frozenset(value for name, value in vars(ReturnCode).items() if name.isupper())
# Headers that FLARE itself adds after the filters, at the site or on arrival.
TRANSPORT = frozenset(
    {
        ReservedHeaderKey.TASK_NAME,
        ReservedHeaderKey.TASK_ID,
        ReservedHeaderKey.COOKIE_JAR,
        ReservedHeaderKey.MSG_ROOT_ID,
        ReservedHeaderKey.MSG_ROOT_TTL,
        ReservedHeaderKey.PEER_CTX,
        ReservedHeaderKey.REPLY_IS_LATE,
        ReservedHeaderKey.WORKFLOW,
        ReservedKey.AUDIT_EVENT_ID,
        FLContextKey.TASK_NAME,
        ServerCommandKey.FL_CLIENT,
    }
)
# Public properties of the site's context, which travel with every message and are headers on arrival.
PEER_NAMES = frozenset(
    {
        ReservedKey.RUN_NUM,
        ReservedKey.IDENTITY_NAME,
        ReservedKey.FQSN,
        ReservedKey.IS_LEAF,
        FLContextKey.CLIENT_NAME,
        FLContextKey.CURRENT_JOB_ID,
    }
)


@dataclass(frozen=True)
class Received:
    """The model that a task brought, and how many rounds the server says there will be."""

    parameters: dict[str, Any]
    rounds: int | None


class ReceivedModel(Filter):
    """A task_data_filter that changes nothing: it lets the filters of the result know what the site received."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        dxo = from_shareable(shareable)
        rounds = shareable.get_header(AppConstants.NUM_ROUNDS)
        received = Received(dict(dxo.data), rounds if isinstance(rounds, int) else None)
        fl_ctx.set_prop(RECEIVED, received, private=True, sticky=False)
        return shareable


def received_model(fl_ctx: FLContext) -> Received | None:
    """What ReceivedModel noted for the task under way."""
    received = fl_ctx.get_prop(RECEIVED)
    return received if isinstance(received, Received) else None


class LeavingFilter(Filter):
    """The last task_result_filter: makes a new result out of what the list names; the rest stays and is logged once.

    The arguments are the list, see `fedward.kits.leaving_list`; UsageError where it is wrong. Whatever goes wrong
    while filtering, an error leaves instead of the result.
    """

    def __init__(
        self,
        parameters: dict[str, Any],
        metrics: list[str],
        counts: dict[str, int],
        warnings: bool = False,
        features: dict[str, Any] | None = None,
        errors: str = "kind",
    ):
        super().__init__()
        names = ("parameters", "metrics", "counts", "warnings", "features", "errors")
        self.rules: Rules = read_rules(
            dict(zip(names, (parameters, metrics, counts, warnings, features, errors), strict=True))
        )
        self._logged: set[str] = set()

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        task = str(fl_ctx.get_prop(FLContextKey.TASK_NAME))
        try:
            code = shareable.get_return_code()
            if code != ReturnCode.OK:
                kind, sentence = shareable.get_header(ERROR_KIND), shareable.get_header(ERROR)
                self._log(task, [name for name in _names(shareable) if name not in (ERROR, ERROR_KIND)], fl_ctx)
                return self._error(code, kind, sentence, task, fl_ctx)
            received = received_model(fl_ctx)
            kept, removed = self._leaving(shareable, task, layout(received.parameters) if received else None)
            self._log(task, removed, fl_ctx)
            return kept
        except Exception as error:
            sentence = str(error) if isinstance(error, FedwardError) else secure_format_exception(error)
            return self._error(ReturnCode.TASK_RESULT_FILTER_ERROR, type(error).__name__, sentence, task, fl_ctx)

    def _leaving(self, shareable: Shareable, task: str, received: Layout | None) -> tuple[Shareable, list[str]]:
        dxo, removed = from_shareable(shareable), _names(shareable)
        features = dxo.meta.get(FEATURES)
        if dxo.data_kind == DataKind.METRICS:
            report, left = leaving_report(dxo.data.get(REPORT), self.rules)
            kept = DXO(DataKind.METRICS, {REPORT: report})
            removed += [shown(name) for name in (*dxo.data, *dxo.meta) if name not in (REPORT, FEATURES)]
        elif dxo.data_kind == DataKind.WEIGHTS:
            parameters, lost = leaving_parameters(dxo.data, self.rules, task, received)
            report, left = leaving_report(dxo.meta.get(REPORT), self.rules)
            kept = DXO(DataKind.WEIGHTS, parameters, {REPORT: report})
            removed += lost + [shown(name) for name in dxo.meta if name not in (REPORT, FEATURES)]
        else:
            raise FedwardError(f"a result of kind {shown(str(dxo.data_kind))} may not leave: none of it is sent")
        if features is not None:
            table = leaving_features(features, self.rules, task)
            removed += ["features"] if table is None else []
            kept.meta |= {} if table is None else {FEATURES: table}
        return kept.to_shareable(), removed + left

    def _error(self, code: Any, kind: Any, sentence: Any, task: str, fl_ctx: FLContext) -> Shareable:
        reference = secrets.token_hex(2)
        self.log_error(fl_ctx, f"reference {reference}: {sentence or code}")
        reply = make_reply(code if isinstance(code, str) and code in CODES else ReturnCode.EXECUTION_EXCEPTION)
        reply.set_header(ERROR, error_text(kind, sentence, task, reference, self.rules))
        return reply

    def _log(self, task: str, removed: list[str], fl_ctx: FLContext) -> None:
        new = sorted({f"{task}: {name}" for name in removed} - self._logged)
        self._logged.update(new)
        for name in new:
            self.log_warning(fl_ctx, f"kept here, because the list of what may leave does not name it: {name}")


def _names(shareable: Shareable) -> list[str]:
    """Everything beside the DXO's kind, data and meta, and the headers that make it one."""
    headers, encoded = shareable.get(ReservedHeaderKey.HEADERS) or {}, shareable.get("DXO")
    own = (ReservedHeaderKey.RC, ReservedHeaderKey.CONTENT_TYPE, AppConstants.START_ROUND)  # FLModel's, always 0
    names = [shown(name) for name in shareable if name not in (ReservedHeaderKey.HEADERS, "DXO")]
    names += [f"header {shown(name)}" for name in headers if name not in own]
    return names + [shown(n) for n in encoded if n not in ("kind", "data", "meta")] if encoded else names


def leaves_outside(result: Any, rules: Rules, task: str, received: Layout) -> list[str]:
    """Names of everything in a result, as it was sent or as the server got it, that the list does not allow.

    For tests of what a site really sends: it looks at each leaf by itself and shares no code path with the filter's
    picking. Empty means: nothing but the list left.
    """
    outside = []
    for path, leaf in _flat(result):
        if not _inside(path, leaf, rules, task, received):
            outside.append("/".join(shown(part) for part in path))
    return outside


def _flat(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    if len(path) == 2 and path[0] == ReservedHeaderKey.HEADERS and path[1] in TRANSPORT:
        return []
    if isinstance(value, dict) and value:
        return [leaf for key, part in value.items() for leaf in _flat(part, (*path, key))]
    if isinstance(value, list | tuple) and value:
        return [leaf for i, part in enumerate(value) for leaf in _flat(part, (*path, str(i)))]
    return [(path, value)]


def _inside(path: tuple[Any, ...], leaf: Any, rules: Rules, task: str, received: Layout) -> bool:
    match path:
        case () | (ReservedHeaderKey.HEADERS,) | ("DXO", "data" | "meta"):
            return isinstance(leaf, dict)  # and empty
        case (ReservedHeaderKey.HEADERS, ReservedHeaderKey.RC):
            return isinstance(leaf, str) and leaf in CODES
        case (ReservedHeaderKey.HEADERS, ReservedHeaderKey.PEER_PROPS, name):
            return name in PEER_NAMES and isinstance(leaf, str | bool)
        case (ReservedHeaderKey.HEADERS, ReservedHeaderKey.CONTENT_TYPE):
            return isinstance(leaf, str) and leaf == "DXO"
        case (ReservedHeaderKey.HEADERS, name) if name == ERROR:
            kind, sentence = rf"({'|'.join(ERROR_CLASSES)}|error)", "this site's log has the sentence"
            said = isinstance(leaf, str) and re.fullmatch(
                rf"{kind} in {task}, reference [0-9a-f]{{4}}: {sentence}", leaf
            )
            return bool(said) or rules.errors == "full"
        case ("DXO", "kind"):
            return leaf in (DataKind.WEIGHTS, DataKind.METRICS)
        case ("DXO", "data" | "meta", report, *names) if report == REPORT:
            return _reported(names, leaf, rules)
        case ("DXO", "data", layer):
            rule, same = rules.parameters.get(task), (getattr(leaf, "shape", None), getattr(leaf, "dtype", None))
            return rule is not None and same == received.get(layer) and rule.names(layer)
        case ("DXO", "meta", features, part) if features == FEATURES and task == BANK and rules.features is not None:
            shape, kind = getattr(leaf, "shape", None), str(getattr(leaf, "dtype", None))
            if part == "noise":
                return type(leaf) is float and leaf >= rules.features.min_noise
            few = shape is not None and 0 < shape[0] <= rules.features.max_rows
            if part == "rows":
                return few and shape[1:] == (WIDTH,) and kind in PRECISIONS
            return part == "partitions" and few and len(shape) == 1 and kind == "uint8"
    return False


def _reported(names: list[Any], leaf: Any, rules: Rules) -> bool:
    if not names:
        return leaf == {}
    if len(names) == 3 and names[1] == "details":
        if names[2] not in detail_names():
            return False
        names = [names[0], str(names[2]).split(".")[0]]
    name = ".".join(str(n) for n in names)
    if names[0] == "warnings":
        return rules.warnings and (leaf == [] or leaf in AGREED_WARNINGS)
    if leaf is None:
        return name in rules.metrics or any(n.startswith(f"{name}.") for n in rules.metrics)
    if name in rules.counts:
        return type(leaf) is int and leaf % rules.counts[name] == 0
    return name in rules.metrics and type(leaf) is float
