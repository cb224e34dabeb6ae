"""Sites that train nothing and offer random features at once, for `exchange.py`, which puts this folder on PYTHONPATH.

Python imports this module when it starts. The executor imports `fedward.training.site` for its first task; it finds
this one's `open_site` there, which needs neither images nor torch. All else is the real thing.
"""

import sys
from types import ModuleType
from typing import Any


class Site:
    """Offers the same bank each round: making it is no part of the exchange."""

    def __init__(self, name: str, settings: Any):
        import numpy as np

        from fedward.rounds.exchange import WIDTH, FeatureTable

        contrast = settings.contrast
        rows = np.random.default_rng(int(name[-2:])).normal(size=(contrast.bank_size, WIDTH))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        partitions = np.arange(contrast.bank_size) % contrast.partitions
        self.table = FeatureTable(rows.astype(contrast.precision), partitions.astype(np.uint8))
        self.expected = contrast.bank_size * (len(settings.sites) - 1)

    def bank(self, parameters: Any, number: int) -> Any:
        return self.table, {"train_seconds": 0.0}

    def train(self, parameters: Any, number: int, others: Any = None) -> Any:
        if others is not None:
            assert len(others) == self.expected
        report = {"samples": 1, "steps": 1, "train_seconds": 0.0, "loss": 0.0, "start": None, "end": None}
        return parameters, report

    def validate(self, parameters: Any) -> Any:
        return {"start": None, "train_seconds": 0.0}


module = ModuleType("fedward.training.site")
module.open_site = lambda name, settings, config: Site(name, settings)  # type: ignore[attr-defined]
sys.modules["fedward.training.site"] = module
