"""A site's job process that is killed is started again, and its loss does not end the job of all the others."""

import logging
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey, FLMetaKey, JobConstants, SystemComponents
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobHandleSpec, JobReturnCode
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.process_launcher import ProcessHandle

from fedward.flare.job_slots import JobSlots

log = logging.getLogger(__name__)
ENDED = (JobReturnCode.SUCCESS, JobReturnCode.ABORTED)


class RestartingLauncher(ClientProcessJobLauncher):
    """Starts a site's job process, and up to `restarts` times again after a signal (SIGKILL, out of memory) ended it.

    A process that failed in another way would fail again. Once it is lost, FLARE is told UNKNOWN: any other code would
    end the job at all sites. The round's policy decides whether the others are enough.
    """

    def __init__(self, restarts: int = 2):
        super().__init__()
        self.restarts = restarts

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> JobHandleSpec:
        job_id = job_meta[JobConstants.JOB_ID]
        run = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_run_dir(job_id))
        launch = super().launch_job
        return RestartingHandle(
            lambda: launch(job_meta, fl_ctx), self.restarts, run / FLMetaKey.PROCESS_RC_FILE, f"job {job_id}"
        )

    def get_command(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> str:
        """FLARE's command, begun by `env` where the job got a GPU: the parent's own environment stays as it is."""
        slots = fl_ctx.get_engine().get_component(SystemComponents.RESOURCE_MANAGER)
        extra = slots.environment(job_meta[JobConstants.JOB_ID]) if isinstance(slots, JobSlots) else {}
        words = [f"{name}={value}" for name, value in extra.items()]
        command = str(super().get_command(job_meta, fl_ctx))
        return f"/usr/bin/env {shlex.join(words)} {command}" if words else command


class RestartingHandle(JobHandleSpec):
    """The handle of one job process and of those that follow it. `code_file` is where FLARE leaves an exit code."""

    def __init__(self, launch: Callable[[], ProcessHandle], restarts: int, code_file: Path, name: str):
        super().__init__()
        self._launch = launch
        self._restarts = restarts
        self._code_file = code_file
        self._name = name
        self._lock = threading.Lock()
        self._ending = False
        self._lost = False
        self._process = launch()

    def terminate(self) -> None:
        with self._lock:
            self._ending = True
            process = self._process
        process.terminate()

    def poll(self) -> Any:
        return JobReturnCode.UNKNOWN if self._lost else self._process.poll()

    def wait(self) -> None:
        """Until the process ended for good: finished, aborted, or lost with no restart left."""
        while True:
            self._process.wait()
            with self._lock:
                code = self._process.adapter.poll()
                if self._ending:
                    return
                if code is not None and code < 0 and self._restarts > 0:
                    self._restarts -= 1
                    log.warning("%s: its process was ended by signal %d; it is started again", self._name, -code)
                    self._process = self._launch()
                    continue
                self._lost = self._final_code(code) not in ENDED
                if self._lost:
                    # FLARE would read this file and end the job at all sites.
                    self._code_file.unlink(missing_ok=True)
                    log.error("%s: its process ended with code %s; the job goes on without this site", self._name, code)
                return

    def _final_code(self, code: int | None) -> int | None:
        try:
            return int(self._code_file.read_text())
        except (OSError, ValueError):
            return code
