"""After a crash of the server: its old jobs are closed."""

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext


class JobRecovery(FLComponent):
    """Marks jobs that a crash left RUNNING as FINISHED:ABNORMAL; nothing else in FLARE 2.9 does.

    The same job submitted again goes on from the run's last finished round.
    """

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_START:
            # Nothing can be running yet: this process starts the jobs.
            fl_ctx.get_engine().job_runner.update_abnormal_finished_jobs([], fl_ctx)
