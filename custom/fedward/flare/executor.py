"""The Executor component: unpacks a task, lets `fedward.training.site.Site` do the work, packs the result."""

from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.security.logging import secure_format_exception

from fedward.errors import FedwardError
from fedward.flare.arguments import checked_settings
from fedward.flare.tasks import BANK, ERROR, ERROR_KIND, FEATURES, FINGERPRINT, OTHERS, REPORT, TRAIN, site_tasks
from fedward.rounds.exchange import FeatureTable, check_table, exchanges, join_tables, read_table
from fedward.settings import RunSettings
from fedward.site_config import FILE_NAME, read_site_config


def known_class(error: FedwardError) -> str:
    """The name of the error's class that users know: that of `fedward.errors`, whatever a reader derives from it."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == FedwardError.__module__)


class TrainingExecutor(Executor):
    """Trains and validates on this site's images, which its own `fedward.yml` names; the job says only what to do.

    `settings` are those of the run (`fedward.settings.RunSettings.to_dict()`), checked when the component is built. An
    error here goes to the server as a sentence, so that the submitter reads it.
    """

    def __init__(self, settings: dict[str, Any]):
        super().__init__()
        self.settings = settings
        self._run: RunSettings = checked_settings(settings)
        self._site: Any = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.END_RUN:
            self._site = None

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        try:
            return self._execute(task_name, shareable, fl_ctx)
        except FedwardError as error:
            kind, message = known_class(error), str(error)
            self.log_error(fl_ctx, message)
        except Exception as error:
            kind = type(error).__name__
            message = f"unexpected error in {task_name}: {secure_format_exception(error)} (see this site's log)"
            self.log_exception(fl_ctx, message)
        reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
        reply.set_header(ERROR, message)
        reply.set_header(ERROR_KIND, kind)  # where the site's list of what may leave keeps the sentence back
        return reply

    def _execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        taken = site_tasks(self._run)
        if task_name not in taken:
            raise FedwardError(f"task {task_name!r} is unknown: this site takes {' and '.join(taken)}")
        model = FLModelUtils.from_shareable(shareable)
        if model.meta.get(FINGERPRINT) != self._run.fingerprint():
            raise FedwardError("server and site have different settings for this job: submit it again, unedited")
        if self._site is None:
            self._site = self._open(fl_ctx)
        if task_name == TRAIN:
            offered = {"others": self._others(model.meta.get(OTHERS))} if exchanges(self._run) else {}
            parameters, report = self._site.train(model.params, model.current_round, **offered)
            result = FLModel(params_type=ParamsType.FULL, params=parameters, meta={REPORT: report})
        elif task_name == BANK:
            table, report = self._site.bank(model.params, model.current_round)
            result = FLModel(metrics={REPORT: report}, meta={FEATURES: table.to_dict()})
        else:
            result = FLModel(metrics={REPORT: self._site.validate(model.params)})
        return FLModelUtils.to_shareable(result)

    def _others(self, received: Any) -> FeatureTable | None:
        """The other sites' features, each table looked at as the server has done: no site trusts the server."""
        contrast = self._run.contrast
        assert contrast is not None  # the run exchanges features
        tables = [read_table(values) for values in received] if isinstance(received, list) else []
        for table in tables:
            check_table(table, contrast)
        return join_tables(tables)

    def _open(self, fl_ctx: FLContext) -> Any:
        from fedward.training.site import open_site  # imports torch, which a waiting site need not have loaded

        name = fl_ctx.get_identity_name()
        workspace = fl_ctx.get_engine().get_workspace()
        config = read_site_config(Path(workspace.get_site_config_dir()) / FILE_NAME, name)
        return open_site(name, self._run, config)
