"""The persistor component: where the first global model comes from, and where the job leaves its last one."""

from pathlib import Path

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

from fedward.errors import UsageError
from fedward.flare.arguments import checked
from fedward.networks.checkpoint import save_model
from fedward.networks.registry import check_network
from fedward.networks.starting import Start
from fedward.rounds.run_folder import check_name
from fedward.settings import RANDOM
from fedward.site_config import FILE_NAME, read_site_config


class NetworkPersistor(ModelPersistor):
    """The starting weights of a registered network; the last model goes into the job's folder.

    `starting_weights` is "random", repeatable by `seed`, or a name registered in the server's fedward.yml; never a
    path. The run folder, written by the controller, is what reports and continues are made from; the copy in the job's
    folder (`model/last.safetensors`) is what FLARE's own job download brings.
    """

    def __init__(self, network: str, network_args: dict[str, int], seed: int, starting_weights: str = RANDOM):
        super().__init__()
        checked("the network", lambda: check_network(network, network_args))
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise UsageError(f"seed must be a whole number, not {seed!r}")
        check_name("starting weights", starting_weights)
        self.network = network
        self.network_args = network_args
        self.seed = seed
        self.starting_weights = starting_weights
        self.start: Start | None = None  # once loaded: the weights and where they come from, for run.json

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        from fedward.networks.initial import start_from  # torch

        registered = None
        if self.starting_weights != RANDOM:
            folder = Path(fl_ctx.get_engine().get_workspace().get_site_config_dir())
            registered = read_site_config(folder / FILE_NAME, "server").registered_weights(self.starting_weights)
        self.start = start_from(self.starting_weights, registered, self.network, self.network_args, self.seed)
        return make_model_learnable(self.start.parameters, {})

    def save_model(self, learnable: ModelLearnable, fl_ctx: FLContext) -> None:
        workspace = fl_ctx.get_engine().get_workspace()
        path = Path(workspace.get_run_dir(fl_ctx.get_job_id())) / "model" / "last.safetensors"
        save_model(path, learnable[ModelLearnableKey.WEIGHTS], self.network, self.network_args)
