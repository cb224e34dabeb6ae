"""A site that trains nothing: it waits, and answers with what it got. Named by the jobs of test_operations.py alone."""

import time
from typing import Any

from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fedward.flare.tasks import REPORT, TRAIN

COUNTS = {"true_positive": 30, "false_positive": 10, "false_negative": 10}
START: dict[str, Any] = {"cost": 0.5, "quality": 0.75, "images": 4, "patients": 1, **COUNTS}
VALIDATED: dict[str, Any] = {"start": START, "train_seconds": 0.0, "warnings": []}
TRAINED = {**VALIDATED, "end": START, "samples": 10, "steps": 3, "loss": 0.4}


class EchoSite(Executor):
    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not abort_signal.triggered:
            time.sleep(0.05)
        if task_name != TRAIN:
            return FLModelUtils.to_shareable(FLModel(metrics={REPORT: VALIDATED}))
        received = FLModelUtils.from_shareable(shareable)
        answer = FLModel(params_type=ParamsType.FULL, params=received.params, meta={REPORT: TRAINED})
        return FLModelUtils.to_shareable(answer)
