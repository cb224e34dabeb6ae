"""A FLARE network of one process: a real controller, aggregator and persistor, and sites that are plain functions."""

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import yaml
from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContextManager
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.wf_comm_spec import WFCommSpec
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fedward.flare.aggregator import CostWeightedAggregator
from fedward.flare.controller import RoundController
from fedward.flare.exchange_controller import ExchangeController
from fedward.flare.persistor import NetworkPersistor
from fedward.flare.tasks import ERROR, REPORT, TRAIN
from fedward.lgg_segmentation import SETTINGS
from fedward.rounds.exchange import exchanges
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.settings import RunSettings

SITES = ("hospital-01", "hospital-02", "hospital-03")
Answer = Callable[["FakeNetwork", str, Task], Shareable | None]


def tiny_settings(**changes) -> RunSettings:
    """Three sites, two rounds, a U-Net of a few hundred weights."""
    return replace(
        SETTINGS,
        **{
            "name": "run",
            "sites": SITES,
            "min_sites": None,
            "rounds": 2,
            "round_deadline": 30.0,
            "preprocessing": replace(SETTINGS.preprocessing, bias_field="none", image_size=32),
            "training": replace(
                SETTINGS.training,
                network_args={"in_channels": 3, "out_channels": 1, "features": 2, "depth": 1},
                batch_size=4,
            ),
            **changes,
        },
    )


def evaluation(cost: float = 0.5) -> dict:
    counts = {"true_positive": 30, "false_positive": 10, "false_negative": 10}
    return {"cost": cost, "quality": 0.75, "images": 4, "patients": 1, **counts}


def train_report(samples: int = 10, **changes) -> dict:
    return {
        "samples": samples,
        "steps": 3,
        "train_seconds": 0.1,
        "loss": 0.4,
        "start": evaluation(),
        "end": evaluation(),
        "warnings": [],
        **changes,
    }


def train_reply(task: Task, add: float = 1.0, **changes) -> Shareable:
    """The received parameters plus `add`, as the executor would send them; `changes` are those of the FLModel."""
    received = FLModelUtils.from_shareable(task.data)
    parameters = {k: (v + add).astype(v.dtype) if v.dtype.kind == "f" else v for k, v in received.params.items()}
    return model_reply(
        **{"params_type": ParamsType.FULL, "params": parameters, "meta": {REPORT: train_report()}, **changes}
    )


def model_reply(**values) -> Shareable:
    return FLModelUtils.to_shareable(FLModel(**values))


def error_reply(message: str | None = None) -> Shareable:
    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    if message is not None:
        reply.set_header(ERROR, message)
    return reply


def works(network: "FakeNetwork", site: str, task: Task) -> Shareable | None:
    """A site that does what it is asked."""
    if task.name == TRAIN:
        return train_reply(task)
    return model_reply(metrics={REPORT: {"start": evaluation(), "train_seconds": 0.0, "warnings": []}})


class FakeNetwork(WFCommSpec):
    """Runs a RoundController against site functions, each answer on a thread of its own, as FLARE does."""

    def __init__(self, folder: Path, settings: RunSettings, sites: dict[str, Answer], components: dict | None = None):
        self.sites = sites
        self.run_folder = RunFolder(folder / "runs" / settings.name)
        self.panics: list[str] = []
        self.sent: list[Task] = []
        self.abort = Signal()
        self.threads: list[threading.Thread] = []
        (folder / "local").mkdir(parents=True, exist_ok=True)
        values = {"runs": str(folder / "runs"), "cache": str(folder / "cache")}
        (folder / "local" / "fedward.yml").write_text(yaml.safe_dump(values))
        training = settings.training
        self.components = {
            "aggregator": CostWeightedAggregator(**vars(settings.aggregation)),
            "persistor": NetworkPersistor(training.network, training.network_args, settings.seed),
            **(components or {}),
        }
        workspace = SimpleNamespace(
            get_site_config_dir=lambda: str(folder / "local"), get_run_dir=lambda job: str(folder / "job")
        )
        self.engine = SimpleNamespace(
            get_workspace=lambda: workspace,
            get_component=self.components.get,
            get_clients=lambda: [Client(name, "") for name in sites],
            fire_event=self._event,
            register_app_command=lambda topic, function: None,
        )
        self.dead: set[str] = set()  # sites that FLARE counts as disconnected
        self.manager = FLContextManager(self.engine, "server", "job")
        self.engine.new_context = self.new_context
        kind = ExchangeController if exchanges(settings) else RoundController
        self.controller = kind(settings.to_dict())
        self.controller.set_communicator(self)

    @contextmanager
    def new_context(self):
        with self.manager.new_context() as context:
            yield context

    def run(self) -> "FakeNetwork":
        with self.new_context() as context:
            self.controller.initialize(context)
            self.controller.control_flow(self.abort, context)
        for thread in self.threads:
            thread.join()
        return self

    @property
    def records(self) -> list[dict]:
        return read_records(self.run_folder.rounds)

    @property
    def state(self) -> dict:
        return read_json(self.run_folder.run)

    def submit(self, site: str, task: Task, reply: Shareable) -> None:
        """Hand a reply to the controller, whatever has become of its task."""
        client_task = ClientTask(Client(site, ""), task)
        client_task.result = reply
        with self.new_context() as context:
            task.result_received_cb(client_task, context)

    def silence(self, site: str) -> None:
        """Return after the deadline of the open round, which is over once every other site's answer is taken."""
        current = self.controller.federation.round
        end = time.monotonic() + 30
        while any(current.waits_for(other) for other in current.asked - {site}):
            assert time.monotonic() < end, "the other sites do not answer"
            time.sleep(0.01)
        current.clock -= 10_000.0

    # --- what FLARE's communicator offers to a controller ---

    def get_client_disconnect_time(self, client_name):
        return 1.0 if client_name in self.dead else None

    def broadcast(self, task, fl_ctx, targets=None, min_responses=1, wait_time_after_min_received=0):
        self.sent.append(task)
        for site in targets:
            thread = threading.Thread(target=self._ask, args=(site, task))
            self.threads.append(thread)
            thread.start()

    def cancel_all_tasks(self, completion_status=None, fl_ctx=None):
        pass  # a late answer must be judged by our own controller

    def get_num_standing_tasks(self):
        return 0

    def _ask(self, site: str, task: Task) -> None:
        reply = self.sites[site](self, site, task)
        if reply is not None:
            self.submit(site, task, reply)

    def _event(self, event_type, context):
        if event_type == EventType.FATAL_SYSTEM_ERROR:
            self.panics.append(context.get_prop(FLContextKey.EVENT_DATA))
