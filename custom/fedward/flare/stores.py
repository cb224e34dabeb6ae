"""Where a server keeps submitted jobs and snapshots: in its kit's folder, never under /tmp, wherever the kit lies.

FLARE wants absolute paths in resources.json, which provisioning cannot know. Its server processes change into the
kit's folder before they build components, so a path relative to it is made absolute here. The arguments have FLARE's
names: `nvflare poc` and `nvflare deploy` put absolute paths into them.
"""

import tempfile
from pathlib import Path
from threading import Lock

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager
from nvflare.apis.job_def import JobMetaKey, RunStatus
from nvflare.app_common.storages.filesystem_storage import FilesystemStorage

from fedward.errors import FedwardError


def kit_folder(folder: str) -> str:
    """`folder` of the running kit, made where it is missing; FedwardError where it cannot be made or written.

    Without it FLARE's job runner would die without a word; built here, the server does not start.
    """
    path = Path.cwd() / folder
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise FedwardError(
            f"the server's store {path} cannot be written ({error.strerror}): make the folder writable for the account "
            "that runs the server"
        ) from error
    return str(path)


class KitJobManager(SimpleJobDefManager):
    """FLARE's job manager with its jobs in `uri_root`, a folder of the kit. A job that was aborted stays aborted."""

    def __init__(self, uri_root: str, job_store_id: str = "job_store"):
        super().__init__(uri_root=kit_folder(uri_root), job_store_id=job_store_id)
        self._lock = Lock()  # a person's command and the job runner have threads of their own

    def set_status(self, jid: str, status: RunStatus, fl_ctx: FLContext) -> None:
        """Note the status; FedwardError where an aborted job would run.

        FLARE 2.9 calls a job aborted that it is deploying or starting, says so, and runs it all the same. By the error
        its job runner stops what it has started; where it was done just before, the job is stopped here.
        """
        engine = fl_ctx.get_engine()
        with self._lock:
            job = self.get_job(jid, fl_ctx)
            before = job.meta.get(JobMetaKey.STATUS.value) if job is not None else None
            late = (before, status) == (RunStatus.RUNNING, RunStatus.FINISHED_ABORTED) and jid in engine.run_processes
            if before == RunStatus.FINISHED_ABORTED:
                if status in (RunStatus.DISPATCHED, RunStatus.RUNNING):
                    raise FedwardError(f"job {jid} was aborted before it ran")
            elif not late:
                super().set_status(jid, status, fl_ctx)
        if late:
            engine.job_runner.stop_run(jid, fl_ctx)  # its end is noted when its process has ended


class KitStorage(FilesystemStorage):
    """FLARE's file storage in `root_dir`, a folder of the kit."""

    def __init__(self, root_dir: str, uri_root: str = "/"):
        super().__init__(root_dir=kit_folder(root_dir), uri_root=uri_root)
