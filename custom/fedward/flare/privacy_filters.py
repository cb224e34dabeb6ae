"""Filters that a site may put before LeavingFilter in its `local/privacy.json`. None is active by default.

Our sites send whole models, so each of these takes the received model away first, changes the update, and adds the
received model again: applied to whole weights, FLARE's filters would cut off the model itself. ReceivedModel must stand
among the scope's task_data_filters.
"""

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.dxo_filter import DXOFilter
from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply
from nvflare.app_common.filters.exclude_vars import ExcludeVars
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy
from nvflare.app_common.filters.svt_privacy import SVTPrivacy

from fedward.errors import FedwardError, UsageError
from fedward.flare.leaving import Received, received_model
from fedward.flare.tasks import ERROR, ERROR_KIND
from fedward.kits.differential_privacy import (
    Parameters,
    check_settings,
    noise_sigma,
    privacy_spent,
    release,
    update_cosine,
    updates,
)


class UpdateFilter(Filter):
    """Base: hands the received and the trained model to `sent`, and puts in place what that returns."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        if shareable.get_header(ReservedHeaderKey.CONTENT_TYPE) != "DXO":
            return shareable
        dxo = from_shareable(shareable)
        if dxo.data_kind != DataKind.WEIGHTS:
            return shareable
        received = received_model(fl_ctx)
        if received is None:
            raise FedwardError("the received model is not known: put ReceivedModel among the task_data_filters")
        try:
            # a task can bring layers that training leaves as they are (a frozen encoder): they do not go back
            brought = {name: value for name, value in received.parameters.items() if name in dxo.data}
            dxo.data = self.sent(replace(received, parameters=brought), dxo.data, fl_ctx)
        except FedwardError as error:  # LeavingFilter, which comes after, decides how much of the sentence leaves
            return make_reply(ReturnCode.TASK_RESULT_FILTER_ERROR, {ERROR: str(error), ERROR_KIND: "FedwardError"})
        return dxo.update_shareable(shareable)

    @abstractmethod
    def sent(self, received: Received, trained: Parameters, fl_ctx: FLContext) -> Parameters:
        """What leaves instead of the trained model."""


class ClipAndNoise(UpdateFilter):
    """Differential privacy of the hospital's whole update: clipped to L2 norm `clip`, with Gaussian noise.

    Each round is (epsilon, delta)-private, see `fedward.kits.differential_privacy`; rounds add up, also repeated rounds
    and further jobs. It covers the parameters; the numbers of the report beside them leave as they are.
    `batch_statistics` are those of batch normalisation: "noise" makes them part of the update, "received" sends them
    back as they came. The noise comes from the operating system's generator, never from the job's seed.
    """

    def __init__(self, clip: float, epsilon: float, delta: float, batch_statistics: str = "noise"):
        super().__init__()
        check_settings(clip, epsilon, delta, batch_statistics)
        self.clip = clip
        self.epsilon = epsilon
        self.delta = delta
        self.batch_statistics = batch_statistics
        self._sigma = noise_sigma(epsilon, delta, 2 * clip)
        self._releases = 0

    def sent(self, received: Received, trained: Parameters, fl_ctx: FLContext) -> Parameters:
        if self._releases == 0 and received.rounds:
            self.log_info(fl_ctx, f"differential privacy: {self.promise(received.rounds)}")
        released = release(received.parameters, trained, self.clip, self._sigma, self.batch_statistics)
        self._releases += 1
        self.log_info(
            fl_ctx,
            f"update of norm {released.norm:.4g} clipped to {released.norm * released.kept:.4g}, noise of "
            f"{self._sigma:.4g} added: cosine to the update {released.cosine:.3f}; spent so far in this job: "
            f"{self.promise(self._releases)}",
        )
        return released.parameters

    def promise(self, rounds: int) -> str:
        """What so many rounds spend together, in words."""
        spent = privacy_spent(self.epsilon, self.delta, rounds)
        return (
            f"epsilon {self.epsilon:g} a round; {rounds} rounds: epsilon {spent.epsilon:.4g} "
            f"({spent.basic:.4g} by adding up, {spent.zcdp:.4g} by zCDP) at delta {spent.delta:.3g}"
        )


class OnUpdate(UpdateFilter):
    """Applies one of FLARE's own filters to the update: PercentilePrivacy, SVTPrivacy or ExcludeVars.

    PercentilePrivacy sends the largest changes alone and is no differential privacy. SVTPrivacy is, for each value it
    sends, and leaves almost nothing of the update. ExcludeVars sends layers back as they came.
    """

    def __init__(self, filter: DXOFilter):
        super().__init__()
        check_flare_filter(filter)
        self.filter = filter

    def sent(self, received: Received, trained: Parameters, fl_ctx: FLContext) -> Parameters:
        changes = updates(received.parameters, trained)
        if not all(math.isfinite(float(change.sum())) for change in changes.values()):
            raise FedwardError("the update holds numbers that are not finite: nothing of it is sent")
        changed = self.filter.process_dxo(DXO(DataKind.WEIGHT_DIFF, dict(changes)), Shareable(), fl_ctx)
        if changed is None:
            raise FedwardError(f"{type(self.filter).__name__} did not filter the update: nothing of it is sent")
        sent = dict(received.parameters)
        for name, change in changed.data.items():
            sent[name] = np.asarray(sent[name] + change, sent[name].dtype)
        cosine = update_cosine(received.parameters, trained, sent)
        self.log_info(fl_ctx, f"{type(self.filter).__name__}: cosine to the update {cosine:.3f}")
        return sent


def check_flare_filter(chosen: Any) -> None:
    """UsageError where FLARE's filter is of another kind, or would silently do nothing with its arguments."""
    if type(chosen) is PercentilePrivacy:
        _between("PercentilePrivacy: percentile", chosen.percentile, 0, 100)
        _between("PercentilePrivacy: gamma", chosen.gamma, 0, math.inf, above=True)
    elif type(chosen) is SVTPrivacy:
        _between("SVTPrivacy: fraction", chosen.fraction, 0, 1, above=True)
        for name in ("epsilon", "noise_var", "gamma"):
            _between(f"SVTPrivacy: {name}", getattr(chosen, name), 0, math.inf, above=True)
        _between("SVTPrivacy: tau", chosen.tau, 0, math.inf)
        for name in ("epsilon_threshold", "epsilon_query", "epsilon_release"):
            if getattr(chosen, name) is not None:
                _between(f"SVTPrivacy: {name}", getattr(chosen, name), 0, math.inf, above=True)
    elif type(chosen) is ExcludeVars:
        if chosen.skip or not chosen.exclude_vars:
            raise UsageError(
                "ExcludeVars: exclude_vars must be layer names or a regular expression; so it does nothing"
            )
    else:
        raise UsageError("OnUpdate takes PercentilePrivacy, SVTPrivacy or ExcludeVars of FLARE as its filter")


def _between(name: str, value: Any, low: float, high: float, above: bool = False) -> None:
    right = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not right or value == math.inf or (above and value == low):
        limits = f"from {low:g} to {high:g}" if high < math.inf else f"of {low:g} or more"
        raise UsageError(f"{name} must be a number {limits}{f', not {low:g}' if above else ''}; it is {value!r}")
