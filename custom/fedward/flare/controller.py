"""The Controller component: asks the sites, collects what they answer, and lets `fedward.rounds` decide."""

import shutil
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from nvflare.apis.controller_spec import ClientTask
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.wf_comm_spec import WFCommSpec
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.app_common.workflows.model_controller import ModelController
from nvflare.security.logging import secure_format_exception

from fedward.errors import FedwardError, RefusedUpdate, RoundFailed, UsageError
from fedward.flare.aggregator import OUTCOME, SITE, CostWeightedAggregator
from fedward.flare.analytics import send_record
from fedward.flare.arguments import checked_settings, checked_text
from fedward.flare.persistor import NetworkPersistor
from fedward.flare.progress import asks_for_progress, tell_progress
from fedward.flare.task_list import mend
from fedward.flare.tasks import (
    ERROR,
    FINGERPRINT,
    REFUSALS_FILE,
    REPORT,
    SITE_RETURNED,
    TRAIN,
    VALIDATE,
    controller_name,
)
from fedward.flare.unreadable import outlive_unreadable_messages
from fedward.machine import machine, versions
from fedward.networks.starting import Start
from fedward.rounds.aggregation import Parameters
from fedward.rounds.federation import Federation
from fedward.rounds.folder_lock import only_server
from fedward.rounds.open_round import EXCHANGE, TRAINING, VALIDATION, OpenRound
from fedward.rounds.record import Record, read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.rounds.site_report import Report
from fedward.rounds.spool import Spool
from fedward.settings import RunSettings
from fedward.site_config import FILE_NAME, SiteConfig, read_site_config

POLL_SECONDS = 0.05
MAX_REASON = 1000  # characters of a site's own words that are kept


class RoundController(ModelController):
    """Runs the rounds of a federated training.

    `settings` are those of the run (`fedward.settings.RunSettings.to_dict()`). A round ends when all asked sites have
    answered, or at the deadline with at least `min_sites` results; otherwise the run fails with the sites' own reasons.
    What is decided, recorded and kept is in `fedward.rounds.federation`; here is only the transport.
    """

    tasks: ClassVar[dict[str, str]] = {TRAINING: TRAIN, VALIDATION: VALIDATE}

    def __init__(self, settings: dict[str, Any], aggregator_id: str = "aggregator", persistor_id: str = "persistor"):
        self._run: RunSettings = checked_settings(settings)
        super().__init__(
            persistor_id=checked_text("persistor_id", persistor_id), ignore_result_error=True, task_check_period=0.1
        )
        self.settings = settings
        self.aggregator_id = checked_text("aggregator_id", aggregator_id)
        self.persistor_id = persistor_id
        self._lock = threading.Lock()  # results arrive on threads of their own
        self._federation: Federation | None = None

    @property
    def federation(self) -> Federation:
        if self._federation is None:
            raise FedwardError("the run has not begun")
        return self._federation

    def set_communicator(self, communicator: WFCommSpec) -> None:
        mend(communicator)
        super().set_communicator(communicator)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        super().handle_event(event_type, fl_ctx)
        if asks_for_progress(event_type) and self._federation is not None:
            tell_progress(self, read_records(self._federation.folder.rounds), fl_ctx)

    def run(self) -> None:
        outlive_unreadable_messages()
        self.engine.register_app_command(SITE_RETURNED, self._site_returned)
        with ExitStack() as held:
            try:
                self._begin(held)
                for kind in self.federation.kinds_left():
                    if self._round(kind) is None:
                        return
                self.federation.finish()
                self._deliver()
            except (FedwardError, OSError) as error:
                self._stop(str(error))
                self.panic(str(error))
            except Exception as error:  # a fault of ours: the run says what it was, FLARE logs where and ends the job
                self._stop(f"unexpected error at the server: {secure_format_exception(error)} (see the server's log)")
                raise

    def _stop(self, message: str) -> None:
        if self._federation is not None:
            self._federation.stop("failed", message)
            self._copy_run()
        else:
            error = {"message": message, "site": None}
            run = {"name": self._run.name, "state": "failed", "error": error}
            write_json(RunFolder(Path(self.get_run_dir()) / "run").run, run)

    def _site_returned(self, topic: str, data: Any, fl_ctx: FLContext) -> dict[str, Any]:
        """The server's parent process has started this job at a restarted site again: take it as one of ours."""
        self.engine.sync_clients_from_main_process()
        return {}

    def _begin(self, held: ExitStack) -> None:
        aggregator = self.get_component(self.aggregator_id)
        if not isinstance(aggregator, CostWeightedAggregator):
            raise UsageError(f"component {self.aggregator_id!r} of the job is no CostWeightedAggregator")
        if aggregator.settings() != self._run.aggregation:
            raise UsageError("the job's aggregator and its settings name different weighting: export the job again")
        if f"{type(self).__module__}.{type(self).__qualname__}" != controller_name(self._run):
            raise UsageError(f"a run of these settings needs {controller_name(self._run)}: export the job again")
        self._aggregator = aggregator
        config = self._config()
        folder = RunFolder(config.runs_folder() / self._run.name)
        held.enter_context(only_server(folder))
        aggregation = aggregator.begin(Spool(folder.spool), self._score(config))
        about = {
            "mode": "federated",
            "environment": "flare",
            "versions": versions(),
            "machine": {**machine(config.threads), "device": config.device},
        }
        self._federation = Federation(self._run, folder, aggregation, self._initial, about)

    def _config(self) -> SiteConfig:
        return read_site_config(Path(self.engine.get_workspace().get_site_config_dir()) / FILE_NAME, "server")

    def _score(self, config: SiteConfig) -> Any:
        if self._run.aggregation.cost_source != "server_validation":
            return None
        from fedward.training.task import server_score  # torch, which a server needs for this alone

        return server_score(self._run, config)

    def _initial(self) -> Start:
        persistor, training = self.persistor, self._run.training
        if not isinstance(persistor, NetworkPersistor):
            raise UsageError(f"component {self.persistor_id!r} of the job is no NetworkPersistor")
        wanted = (training.network, training.network_args, self._run.seed, self._run.starting_weights)
        if (persistor.network, persistor.network_args, persistor.seed, persistor.starting_weights) != wanted:
            raise UsageError("the job's persistor and its settings name different networks: export the job again")
        self.load_model()
        assert persistor.start is not None  # load_model has just set it
        return persistor.start

    def _round(self, kind: str) -> Record | None:
        """One round, from asking to its record; None where the job was aborted."""
        with self._lock:
            current = self.federation.open(kind)
        self._drop_refusing()
        targets = sorted(current.asked - self._drop_disconnected("not connected"))
        if targets and self.federation.decide().action == "wait":
            for message, sites in self._messages(current, targets):
                self.send_model(
                    task_name=self.tasks[kind],
                    data=message,
                    targets=sites,
                    timeout=int(self._run.round_deadline) + 1,
                    callback=lambda model: None,  # FLARE wants one; answers are taken in _process_result
                )
        while True:
            self._drop_disconnected("its connection was lost: its process ended, or its network failed")
            with self._lock:
                decision = self.federation.decide()
            if decision.action != "wait":
                break
            if self.abort_signal.triggered:
                self.federation.stop("interrupted", "the job was aborted")
                self._copy_run()
                return None
            time.sleep(POLL_SECONDS)
        self.cancel_all_tasks()
        if decision.action == "fail":
            raise RoundFailed(f"round {current.number}: {decision.reason}")
        with self._lock:
            outcome = self._aggregator.aggregate_model().meta[OUTCOME] if kind == TRAINING else None
            record = self.federation.close(outcome)
        if kind != EXCHANGE:  # its record is a part of the next one
            send_record(self, record, self.fl_ctx)
        return record

    def _messages(self, current: OpenRound, targets: list[str]) -> list[tuple[FLModel, list[str]]]:
        """What the sites are sent, each with those that it goes to."""
        groups = self.federation.task_groups(targets)
        return [(self._message(current, parameters), sites) for parameters, sites in groups]

    def _message(self, current: OpenRound, parameters: Parameters, **meta: Any) -> FLModel:
        return FLModel(
            params_type=ParamsType.FULL,
            params=parameters,
            current_round=current.number,
            total_rounds=self._run.rounds,
            meta={FINGERPRINT: self._run.fingerprint(), **meta},
        )

    def _drop_refusing(self) -> None:
        """Sites that did not take the job at its deployment answer nothing; their reasons were left in a file."""
        path = Path(self.get_run_dir()) / REFUSALS_FILE
        if path.is_file():
            with self._lock:
                asked = self.federation.round.asked
                for site, reason in sorted(read_json(path).items()):
                    if site in asked:
                        self.federation.fail(site, f"did not take the job: {reason}"[:MAX_REASON])

    def _drop_disconnected(self, reason: str) -> set[str]:
        """Wait no more for sites that FLARE counts as gone; returns them."""
        clients = {client.name for client in self.engine.get_clients()}  # on a real network, all that began the job
        connected = {site for site in clients if not self.get_client_disconnect_time(site)}
        with self._lock:
            current = self.federation.round
            gone = current.asked - connected - current.answers.keys()
            for site in sorted(gone - current.failed.keys()):
                self.federation.fail(site, reason)
        return set(gone)

    def _process_result(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        """One site's answer, on the thread that received it. Whatever it holds, the site is not waited for any more."""
        site, result, task = client_task.client.name, client_task.result, client_task.task
        client_task.result = None  # FLARE keeps the task; the parameters need not stay in memory
        with self._lock:
            current = self.federation.open_round_
            asked = (task.name, task.data.get_header(AppConstants.CURRENT_ROUND))
            if current is None or asked != (self.tasks[current.kind], current.number):
                return  # FLARE drops results of ended tasks; this one arrived while the next round opened
            try:
                self._take(site, result)
            except OSError as error:
                self.federation.fail(site, f"its result could not be kept at the server: {error}")
            except Exception as error:
                reason = secure_format_exception(error)
                self.log_exception(fl_ctx, f"the answer of {site} could not be used")
                self.federation.fail(site, f"its answer could not be used: {reason} (see the server's log)")

    def _take(self, site: str, result: Shareable) -> None:
        code = result.get_return_code()
        if code and code != ReturnCode.OK:
            self.federation.fail(site, str(result.get_header(ERROR) or f"the site answered {code}")[:MAX_REASON])
            return
        self._use(site, FLModelUtils.from_shareable(result))

    def _use(self, site: str, model: FLModel) -> None:
        if self.federation.round.kind == VALIDATION:
            self.federation.answer(site, (model.metrics or {}).get(REPORT), 0)
            return
        parameters = model.params or {}
        size = sum(getattr(value, "nbytes", 0) for value in parameters.values())

        def accept(checked: Report) -> None:
            if model.params_type != ParamsType.FULL:
                raise RefusedUpdate("the answer holds no parameters, or only their difference: all are needed")
            self._aggregator.accept_model(FLModel(params=parameters, meta={SITE: site, REPORT: checked}))

        self.federation.answer(site, model.meta.get(REPORT), size, accept)

    def _deliver(self) -> None:
        """Leave the last model and the run folder where FLARE's job download finds them."""
        self.save_model(FLModel(params_type=ParamsType.FULL, params=self.federation.parameters))
        self._copy_run()

    def _copy_run(self) -> None:
        """A copy of the run folder in the job's result; that of a failed run says why it failed."""
        source, target = self.federation.folder, RunFolder(Path(self.get_run_dir()) / "run")
        target.root.mkdir(parents=True, exist_ok=True)
        if source.models.is_dir():
            shutil.copytree(source.models, target.models, dirs_exist_ok=True)
        for path in (source.run, source.settings, source.rounds):
            if path.is_file():
                shutil.copy(path, target.root)
