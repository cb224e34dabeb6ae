"""After a crash of the server: its old jobs are closed, its stores are there, and what cannot be is said."""

import tempfile
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import SystemComponents
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager

from fedward.errors import FedwardError


class JobRecovery(FLComponent):
    """Checks the job store before the server starts, and marks jobs that a crash left RUNNING as ended abnormally.

    Without the store FLARE's job runner dies without a word, so the server refuses to start instead. A job that was
    running ends as FINISHED:ABNORMAL; the same job submitted again goes on from the run's last finished round.
    """

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            try:
                check_store(_store_folder(fl_ctx))
            except FedwardError as error:
                raise UnsafeComponentError(str(error)) from error  # the one error at which FLARE stops its start
        elif event_type == EventType.SYSTEM_START:
            # Nothing can be running yet: this process starts the jobs.
            fl_ctx.get_engine().job_runner.update_abnormal_finished_jobs([], fl_ctx)


def check_store(folder: Path) -> None:
    """Make the folder where it is missing; FedwardError where it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FedwardError(
            f"the job store {folder} cannot be written ({error.strerror}): make the folder writable for the account "
            "that runs the server, or name another one for job_manager in local/resources.json"
        ) from error


def _store_folder(fl_ctx: FLContext) -> Path:
    manager: Any = fl_ctx.get_engine().get_component(SystemComponents.JOB_MANAGER)
    if not isinstance(manager, SimpleJobDefManager):
        raise FedwardError("the server has no job_manager: take local/resources.json from a new kit")
    return Path(manager.uri_root)
