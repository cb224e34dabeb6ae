"""The persistor component: where the first global model comes from, and where the job leaves its last one."""

from pathlib import Path

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

from fedward.errors import UsageError
from fedward.flare.arguments import checked
from fedward.networks.checkpoint import save_model
from fedward.networks.registry import check_network


class NetworkPersistor(ModelPersistor):
    """Random initial weights of a registered network, repeatable by `seed`; the last model goes into the job's folder.

    The run folder, written by the controller, is what reports and continues are made from; the copy in the job's folder
    (`model/last.safetensors`) is what FLARE's own job download brings.
    """

    def __init__(self, network: str, network_args: dict[str, int], seed: int):
        super().__init__()
        checked("the network", lambda: check_network(network, network_args))
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise UsageError(f"seed must be a whole number, not {seed!r}")
        self.network = network
        self.network_args = network_args
        self.seed = seed

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        from fedward.networks.initial import initial_parameters

        return make_model_learnable(initial_parameters(self.network, self.network_args, self.seed), {})

    def save_model(self, learnable: ModelLearnable, fl_ctx: FLContext) -> None:
        workspace = fl_ctx.get_engine().get_workspace()
        path = Path(workspace.get_run_dir(fl_ctx.get_job_id())) / "model" / "last.safetensors"
        save_model(path, learnable[ModelLearnableKey.WEIGHTS], self.network, self.network_args)
