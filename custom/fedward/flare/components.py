"""The component classes that jobs of ours may name: what a site's class allow-list holds, exactly."""

from fedward.flare.aggregator import CostWeightedAggregator
from fedward.flare.controller import RoundController
from fedward.flare.exchange_controller import ExchangeController
from fedward.flare.executor import TrainingExecutor
from fedward.flare.persistor import NetworkPersistor

COMPONENTS = (CostWeightedAggregator, RoundController, ExchangeController, TrainingExecutor, NetworkPersistor)
FLARE_COMPONENTS = ("nvflare.app_opt.tracking.tb.tb_receiver.TBAnalyticsReceiver",)  # of --tensorboard


def class_allow_list() -> list[str]:
    """Import paths of every class a job may build. FLARE matches prefixes, so each is a whole class name."""
    return sorted([*(f"{c.__module__}.{c.__qualname__}" for c in COMPONENTS), *FLARE_COMPONENTS])
