"""A federation whose sites are arithmetic: no torch, no images, everything known beforehand."""

from typing import Any

import numpy as np

from fedward.networks.starting import Start
from fedward.rounds.aggregation import Aggregation, Parameters
from fedward.rounds.federation import TRAINING, VALIDATION, Federation
from fedward.rounds.run_folder import RunFolder
from fedward.rounds.spool import Spool
from fedward.settings import RunSettings

SITES = ("hospital-01", "hospital-02", "hospital-03")


def evaluation(cost: float | None, quality: float | None, images: int = 10) -> dict[str, Any]:
    """An evaluation whose pixel counts say `quality` too (in thousandths)."""
    hit = round(1000 * (quality or 0))
    counts = {"true_positive": hit, "false_positive": 1000 - hit, "false_negative": 1000 - hit}
    return {"cost": cost, "quality": quality, "images": images, "patients": 2, **counts}


def report(samples: int = 10, start: Any = None, end: Any = None, warnings: Any = ()) -> dict[str, Any]:
    return {
        "samples": samples,
        "steps": 5,
        "train_seconds": 0.5,
        "loss": 0.7,
        "start": start,
        "end": end,
        "warnings": list(warnings),
    }


def start() -> Start:
    return Start(start_parameters(), loaded=0, fresh=(), unused=())


def start_parameters() -> Parameters:
    return {
        "conv.weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        "bn.running_mean": np.zeros(2, np.float32),
        "bn.running_var": np.ones(2, np.float32),
        "bn.num_batches_tracked": np.array(0),
    }


class FakeSite:
    """Site k moves the model by a little that depends on site and round; its claims depend on the model received."""

    def __init__(self, name: str):
        self.number = int(name[-2:])

    def train(self, received: Parameters, round_number: int) -> tuple[Parameters, dict[str, Any]]:
        step = np.float32(0.1 * self.number / round_number)
        own = {key: value + step if value.dtype.kind == "f" else value + 5 for key, value in received.items()}
        cost, quality = self.measure(received)
        start, end = evaluation(cost, quality), evaluation(0.9 * cost, min(1, quality + 0.01 * self.number))
        return own, report(10 * self.number, start, end)

    def measure(self, received: Parameters) -> tuple[float, float]:
        level = float(received["conv.weight"].mean())
        return 1 / (1 + level) + 0.01 * self.number, min(1.0, level / 2 + 0.01 * self.number)

    def validate(self, received: Parameters) -> dict[str, Any]:
        return {"start": evaluation(*self.measure(received)), "train_seconds": 0.1, "warnings": []}


def make_federation(settings: RunSettings, folder: RunFolder, score: Any = None, about: Any = None) -> Federation:
    aggregation = Aggregation(settings.aggregation, Spool(folder.spool), score)
    return Federation(settings, folder, aggregation, start, about or {})


def answer(federation: Federation, site: str, parameters: Parameters, claim: Any) -> None:
    federation.answer(site, claim, 1, lambda checked: federation.aggregation.accept(site, parameters, checked))


def run_rounds(federation: Federation, until: int | None = None) -> None:
    """Train until round `until`, or to the end of the run."""
    settings = federation.settings
    while federation.rounds_done < (settings.rounds if until is None else until):
        federation.open(TRAINING)
        for site in settings.sites:
            answer(federation, site, *FakeSite(site).train(federation.parameters, federation.round.number))
        federation.close(federation.aggregation.close())
    if until is None:
        federation.open(VALIDATION)
        for site in settings.sites:
            federation.answer(site, FakeSite(site).validate(federation.parameters), 0)
        federation.close()
        federation.finish()
