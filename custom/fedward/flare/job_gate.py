"""The server's gate: an upload is checked before FLARE parses it, and a refusal reaches the submitter as a sentence."""

import tempfile
from collections.abc import Container
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.apis.job_def import DEFAULT_STUDY, get_job_meta_study
from nvflare.fuel.hci.conn import Connection
from nvflare.fuel.hci.proto import MetaStatusValue, make_meta
from nvflare.fuel.hci.server.constants import ConnProps
from nvflare.private.fed.server.job_cmds import JobCommandModule
from nvflare.security.logging import secure_format_exception

from fedward.errors import FedwardError, UsageError
from fedward.flare.signatures import signers
from fedward.flare.tasks import REFUSALS_FILE
from fedward.flare.uploads import limit_uploads
from fedward.kits.job_archive import SIGNATURE_FILES, check_archive_size, read_archive
from fedward.kits.job_check import check_job, check_server, refusals
from fedward.kits.kit import NETWORK_FILE, read_network
from fedward.rounds.run_folder import write_json
from fedward.site_config import FILE_NAME, read_site_config

MAX_REASON = 1000


class JobGate(FLComponent):
    """A component of the server's parent process: puts `GatedJobs` in the place of FLARE's job commands."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            kit = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir()).absolute()
            server = fl_ctx.get_prop(FLContextKey.SITE_OBJ)
            server.cmd_modules = gated(server.cmd_modules, kit)  # FLARE makes its console's commands of these later
            limit_uploads(server)
        elif event_type == EventType.JOB_DEPLOYED:
            _keep_refusals(fl_ctx)


class GatedJobs(JobCommandModule):
    """FLARE's job commands, where submit_job and clone_job check the job first; both run after login and rights."""

    def __init__(self, kit: Path):
        super().__init__()
        self._kit = kit

    def submit_job(self, conn: Connection, args: list[str]) -> None:
        location = conn.get_prop(ConnProps.FILE_LOCATION)
        try:
            study = conn.get_prop(ConnProps.ACTIVE_STUDY) or DEFAULT_STUDY
            if self._passes(conn, lambda: self._check(_uploaded(location), study, conn.get_prop(ConnProps.USER_NAME))):
                super().submit_job(conn, args)
        finally:
            if location:
                Path(location).unlink(missing_ok=True)  # FLARE has its copy by now, and would leave this one

    def clone_job(self, conn: Connection, args: list[str]) -> None:
        job = conn.get_prop(self.JOB)

        def check() -> None:
            engine = conn.app_ctx
            with engine.new_context() as fl_ctx:
                data = engine.job_def_manager.get_content(job.meta, fl_ctx)
            if not data:
                raise FedwardError("the job's content is no longer in the job store: submit its folder again")
            self._check(data, get_job_meta_study(job.meta), None)  # signed by whoever submitted it

        if self._passes(conn, check):
            super().clone_job(conn, args)

    def _passes(self, conn: Connection, check: Any) -> bool:
        """Whether `check` raises nothing; what it raises is told to the submitter."""
        try:
            check()
        except FedwardError as error:
            reason = str(error)[:MAX_REASON]
        except Exception as error:
            self.logger.exception("a job could not be checked")
            reason = f"the job could not be checked ({secure_format_exception(error)}; see the server's log)"
        else:
            return True
        user = conn.get_prop(ConnProps.USER_NAME, "")
        self.logger.warning(f"job of {user} refused: {reason}")
        sentence = f"The job is refused: {reason}"
        conn.append_error(sentence, meta=make_meta(MetaStatusValue.INVALID_JOB_DEFINITION, sentence))
        return False

    def _check(self, data: bytes, study: str, user: str | None) -> None:
        files = read_archive(data)
        root_ca = self._kit / "startup" / "rootCA.pem"
        network = read_network(self._kit / "local" / NETWORK_FILE)
        if root_ca.is_file():
            check_signature(files, root_ca, user, network.users)
        settings = check_job(files, network, study)
        check_server(settings, read_site_config(self._kit / "local" / FILE_NAME, "server"))


def gated(modules: list[Any], kit: Path) -> list[Any]:
    """FLARE's command modules with the job commands behind the gate; no server starts without it."""
    plain = [module for module in modules if type(module) is JobCommandModule]
    if len(plain) != 1:
        raise UnsafeComponentError(
            "FLARE's job commands are not where fedward expects them: uploads would be unchecked"
        )
    return [GatedJobs(kit) if module is plain[0] else module for module in modules]


def check_signature(files: dict[str, bytes], root_ca: Path, user: str | None, people: Container[str]) -> None:
    """UsageError unless every file, meta.json too, is signed by `user` (None: by any one) of the network's `people`.

    FLARE revokes no certificate: whoever leaves is taken out of the server's network.json.
    """
    if not all(name in files for name in SIGNATURE_FILES):
        raise UsageError(
            "the job is not signed: submit its folder with 'nvflare job submit' or the console's submit_job"
        )
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        names = {signer.name for signer in signers(Path(folder), root_ca)}
    if len(names) > 1:
        raise UsageError(f"the job is signed by {' and '.join(sorted(names))}: one person must sign all of it")
    if strangers := sorted(name for name in names if name not in people):
        raise UsageError(
            f"{strangers[0]} is not, or no more, among the people of this network: the project_admin can say why"
        )
    if user is not None and names != {user}:
        raise UsageError(
            f"the job is signed by {', '.join(sorted(names))}, but {user} submits it: submit it with your own kit"
        )


def _uploaded(location: str | None) -> bytes:
    if not location:
        raise UsageError("no job folder was uploaded")
    path = Path(location)
    check_archive_size(path.stat().st_size)
    return path.read_bytes()


def _keep_refusals(fl_ctx: FLContext) -> None:
    """Leave the refusals of a job that goes on without some sites where its controller and `job download` find them."""
    refused = refusals(fl_ctx.get_prop(FLContextKey.JOB_DEPLOY_DETAIL) or [])
    if refused:
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
        write_json(Path(workspace.get_run_dir(fl_ctx.get_prop(FLContextKey.CURRENT_JOB_ID))) / REFUSALS_FILE, refused)
