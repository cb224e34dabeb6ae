"""A running job learns at once that a site's process ended, and takes a site back whose whole client was restarted."""

import threading
import time
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import RunProcessKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import Job
from nvflare.apis.job_scheduler_spec import DispatchInfo
from nvflare.private.admin_defs import MsgHeader, ReturnCode
from nvflare.private.fed.server.admin import check_client_replies
from nvflare.private.fed.server.job_runner import JobRunner

from fedward.errors import FedwardError
from fedward.flare.tasks import SITE_RETURNED

DEPLOY_SECONDS = 20.0
TELL_SECONDS = 10.0
RETRY_SECONDS = 1.0


class SiteReturn(FLComponent):
    """Keeps each running job's list of sites true. It runs in the server's parent process.

    FLARE gives a restarted client a new token, which the job does not know: the site would stay away, and the job would
    wait for its end. Here the job is deployed and started at that site again; the controller answers SITE_RETURNED by
    reading the list anew. Where all tries within `seconds` fail, nobody waits for the site.
    """

    def __init__(self, seconds: float = 60.0):
        super().__init__()
        self.seconds = seconds
        self._told: set[tuple[str, str]] = set()  # (job, token) whose end the job was told

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        # With its first report a site is ready for a job; when it registers, it is not yet.
        if event_type != EventType.CLIENT_HEARTBEAT_PROCESSED or not fl_ctx.get_peer_context():
            return
        engine, site = fl_ctx.get_engine(), fl_ctx.get_peer_context().get_identity_name()
        self._tell_ends(engine)
        client = engine.client_manager.name_to_clients.get(site)
        for job in list(engine.job_runner.running_jobs.values()):
            if client and self._swap(engine, job.job_id, client):
                threading.Thread(target=self._bring_back, args=(engine, job, client), daemon=True).start()

    def _tell_ends(self, engine: Any) -> None:
        """A site whose outcome came in while the job is running has ended early, or never started."""
        running = list(engine.job_runner.running_jobs)
        self._told = {(job_id, token) for job_id, token in self._told if job_id in running}
        for job_id in running:
            for token, client in list(_participants(engine, job_id).items()):
                pending = engine.job_runner.is_client_outcome_pending(job_id, client.name)
                if not pending and (job_id, token) not in self._told:
                    self._told.add((job_id, token))
                    engine.notify_dead_job(job_id, client.name, "its job process ended")

    def _swap(self, engine: Any, job_id: str, client: Client) -> bool:
        """Put the site's new client into the job's list; whether a former one was in it."""
        participants = _participants(engine, job_id)
        former = [token for token, one in list(participants.items()) if one.name == client.name]
        if not former or client.token in former:
            return False
        engine.notify_dead_job(job_id, client.name, "its client was started again")
        for token in former:
            participants.pop(token, None)
        participants[client.token] = client
        if not engine.job_runner.is_client_outcome_pending(job_id, client.name):
            self._told.add((job_id, client.token))  # it was given up before it came back: its outcome says nothing
        return True

    def _bring_back(self, engine: Any, job: Job, client: Client) -> None:
        end = time.monotonic() + self.seconds
        while True:
            time.sleep(RETRY_SECONDS)
            try:
                with engine.new_context() as fl_ctx:
                    self._start(engine, job, client, fl_ctx)
                    self.log_info(fl_ctx, f"job {job.job_id} was started again at {client.name}")
                return
            except Exception as error:  # a thread's error would be lost
                reason = str(error)
            if job.job_id not in engine.run_processes or time.monotonic() > end:
                break
        engine.job_runner.resolve_client_outcome(job.job_id, client.name)
        with engine.new_context() as fl_ctx:
            self.log_error(fl_ctx, f"job {job.job_id} goes on without {client.name}, which came back: {reason}")

    def _start(self, engine: Any, job: Job, client: Client, fl_ctx: FLContext) -> None:
        site = client.name
        fits, token = engine.check_client_resources(job, {site: {}}, fl_ctx).get(site, (False, "no answer"))
        if not fits:
            raise FedwardError(token or "no answer")
        app = job.get_application_name(site)
        message = JobRunner._make_deploy_message(job, job.get_application(app, fl_ctx), app, fl_ctx)
        replies = engine.server.admin_server.send_requests_and_get_reply_dict({client.token: message}, DEPLOY_SECONDS)
        reply = replies.get(client.token)
        if reply is None or reply.get_header(MsgHeader.RETURN_CODE, ReturnCode.OK) != ReturnCode.OK:
            raise FedwardError(f"the job could not be deployed there: {reply.body if reply else 'no answer'}")
        engine.send_app_command(job.job_id, SITE_RETURNED, {}, TELL_SECONDS)
        started = engine.start_client_job(job, {site: DispatchInfo(app, {}, token)}, fl_ctx)
        check_client_replies(started, [site], f"start job ({job.job_id})", strict=True)


def _participants(engine: Any, job_id: str) -> dict[str, Client]:
    """The clients of a running job by token: FLARE's own dictionary, from which the job process is told."""
    participants: dict[str, Client] = engine.run_processes.get(job_id, {}).get(RunProcessKey.PARTICIPANTS, {})
    return participants
