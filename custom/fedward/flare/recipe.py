"""From the settings of a run to a FLARE job: configuration alone, without code and without any machine's paths."""

from dataclasses import asdict
from pathlib import Path

from nvflare.job_config.api import FedJob
from nvflare.recipe.spec import Recipe

from fedward.flare.aggregator import CostWeightedAggregator
from fedward.flare.controller import RoundController
from fedward.flare.exchange_controller import ExchangeController
from fedward.flare.executor import TrainingExecutor
from fedward.flare.persistor import NetworkPersistor
from fedward.flare.tasks import site_tasks
from fedward.rounds.exchange import exchanges
from fedward.rounds.run_folder import read_json, write_json
from fedward.settings import RunSettings

# How often a site asks for its next task. FLARE's default of 2 s is most of the waiting in a short round.
TASK_REQUEST_SECONDS = 0.1


class TrainingRecipe(Recipe):
    """A federated training as a FLARE recipe: `export(DIR)` writes the job folder, `execute(env)` runs it."""

    def __init__(self, settings: RunSettings, tensorboard: bool = False):
        job = FedJob(name=settings.name, min_clients=settings.quorum)
        job.set_app_packages(["fedward"])
        values = settings.to_dict()
        training = settings.training
        persistor = NetworkPersistor(training.network, training.network_args, settings.seed, settings.starting_weights)
        job.to_server(persistor, id="persistor")
        job.to_server(CostWeightedAggregator(**asdict(settings.aggregation)), id="aggregator")
        job.to_server(ExchangeController(values) if exchanges(settings) else RoundController(values))
        if tensorboard:
            from nvflare.app_opt.tracking.tb.tb_receiver import TBAnalyticsReceiver

            job.to_server(TBAnalyticsReceiver(), id="tensorboard")
        job.to_clients(TrainingExecutor(values), tasks=site_tasks(settings))
        super().__init__(job)
        self.add_server_config({"server": {"task_request_interval": TASK_REQUEST_SECONDS}})


def export_job(settings: RunSettings, folder: Path, tensorboard: bool = False) -> Path:
    """Write the job folder `folder/NAME` and return it."""
    TrainingRecipe(settings, tensorboard).export(str(folder))
    made = folder / settings.name
    meta = read_json(made / "meta.json")
    meta["deploy_map"] = {"app": ["server", *settings.sites]}  # FLARE's @ALL would be whoever happens to be connected
    write_json(made / "meta.json", meta)
    return made
