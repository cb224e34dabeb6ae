"""A job waits until it can run; what it waits for stands in its meta."""

import datetime
import json
import time
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import ALL_SITES, SERVER_SITE_NAME, Job, JobMetaKey
from nvflare.apis.job_def_manager_spec import JobDefManagerSpec
from nvflare.apis.job_scheduler_spec import DispatchInfo
from nvflare.app_common.job_schedulers.job_scheduler import (
    SCHEDULE_RESULT_BLOCK,
    SCHEDULE_RESULT_NO_RESOURCE,
    SCHEDULE_RESULT_OK,
    DefaultJobScheduler,
)
from nvflare.private.fed.utils.fed_utils import extract_participants

from fedward.flare.job_slots import BUSY

NETWORK_FILE = "network.json"  # in the server's local/: which sites there are
FOR_EVER = 10**9
MAX_COUNT = 20  # FLARE doubles the interval with every try counted, and overflows after a thousand
WAKING = (EventType.JOB_COMPLETED, EventType.JOB_ABORTED, EventType.CLIENT_REGISTER_PROCESSED)
TIME = "%Y-%m-%d %H:%M:%S"
Answer = tuple[int, dict[str, DispatchInfo] | None, str]


class QueueingScheduler(DefaultJobScheduler):
    """FLARE's scheduler with a queue: no job is dropped because it waited, and no site is left out because it is busy.

    A job is tried when it is submitted, when another ends or a site comes back, and otherwise every
    `min_schedule_interval` seconds, doubled up to `max_schedule_interval`. A job behind one that waits for the same
    site does not overtake it. A site that is not connected is waited for `patience` seconds; then the job goes without
    it where its min_clients allows that. Each answer stands in the job's `schedule_history`.
    """

    def __init__(
        self,
        max_jobs: int = 4,
        min_schedule_interval: float = 5.0,
        max_schedule_interval: float = 60.0,
        patience: float = 60.0,
    ):
        super().__init__(max_jobs, FOR_EVER, min_schedule_interval, max_schedule_interval)
        self.patience = patience
        self._first_seen: dict[str, float] = {}  # job -> when it was first tried, by this process
        self._waiting: dict[str, set[str]] = {}  # job that waits for a busy site -> all its sites; oldest first
        self._wake = False

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        super().handle_event(event_type, fl_ctx)
        if event_type in WAKING:
            self._wake = True

    def schedule_job(
        self, job_manager: JobDefManagerSpec, job_candidates: list[Job], fl_ctx: FLContext
    ) -> tuple[Job | None, dict[str, DispatchInfo] | None]:
        wake, self._wake = self._wake, False
        ids = {job.job_id for job in job_candidates}
        self._first_seen = {job_id: seen for job_id, seen in self._first_seen.items() if job_id in ids}
        self._waiting = {job_id: sites for job_id, sites in self._waiting.items() if job_id in ids}
        for job in job_candidates:
            count = 0 if wake else min(job.meta.get(JobMetaKey.SCHEDULE_COUNT.value, 0), MAX_COUNT)
            job.meta[JobMetaKey.SCHEDULE_COUNT.value] = count
            if wake:
                job.meta[JobMetaKey.LAST_SCHEDULE_TIME.value] = 0.0
        answer: tuple[Job | None, dict[str, DispatchInfo] | None] = super().schedule_job(
            job_manager, job_candidates, fl_ctx
        )
        return answer

    def _do_schedule_job(
        self, job_candidates: list[Job], fl_ctx: FLContext, failed_jobs: list[Job], blocked_jobs: list[Job]
    ) -> tuple[Job | None, dict[str, DispatchInfo] | None]:
        if self._exceed_max_jobs(fl_ctx=fl_ctx):  # FLARE tells nobody
            reason = f"waits: the server runs {self.max_jobs} job(s), its most at once"
            for job in job_candidates:
                if not _history(job)[-1:] or not _history(job)[-1].endswith(reason):
                    self._update_schedule_history(job, reason, fl_ctx)
                    failed_jobs.append(job)
            return None, None
        answer: tuple[Job | None, dict[str, DispatchInfo] | None] = super()._do_schedule_job(
            job_candidates, fl_ctx, failed_jobs, blocked_jobs
        )
        return answer

    def _try_job(self, job: Job, fl_ctx: FLContext) -> Answer:
        sites = job_sites(job)
        never = why_never(sites, job.min_sites, _network_sites(fl_ctx))
        if never:
            return SCHEDULE_RESULT_BLOCK, None, never
        for ahead, its_sites in self._waiting.items():
            if ahead == job.job_id:
                break
            if its_sites & sites:
                return SCHEDULE_RESULT_NO_RESOURCE, None, f"waits behind job {ahead}"
        connected = {client.name for client in fl_ctx.get_engine().get_clients()}
        missing = sorted(sites - connected)
        now = time.monotonic()
        patient = now - self._first_seen.setdefault(job.job_id, now) < self.patience
        if missing and (patient or len(sites) - len(missing) < max(job.min_sites or 0, 1)):
            self._waiting.pop(job.job_id, None)
            return SCHEDULE_RESULT_NO_RESOURCE, None, f"waits for sites that are not connected: {', '.join(missing)}"
        result, dispatch, reason = super()._try_job(job, fl_ctx)
        checks = fl_ctx.get_prop(FLContextKey.RESOURCE_CHECK_RESULT) or {}
        busy = {site: why for site, (fits, why) in checks.items() if not fits and (why or "").startswith(BUSY)}
        silent = sorted(site for site, (fits, why) in checks.items() if not fits and not why)
        wait = ""
        if busy:
            wait = "waits for busy sites: "
            wait += "; ".join(f"{site} ({why.removeprefix(BUSY)})" for site, why in sorted(busy.items()))
            self._waiting[job.job_id] = sites
        elif silent and patient:
            wait = f"waits for sites that do not answer: {', '.join(silent)}"
        if wait:
            if result == SCHEDULE_RESULT_OK:  # otherwise FLARE gave the other sites' slots back already
                self._cancel_resources(fl_ctx.get_prop(FLContextKey.CLIENT_RESOURCE_SPECS), checks, fl_ctx)
            return SCHEDULE_RESULT_NO_RESOURCE, None, wait
        self._waiting.pop(job.job_id, None)
        if result != SCHEDULE_RESULT_OK:
            return result, dispatch, reason
        left_out = [f"{site} (not connected)" for site in missing]
        left_out += [f"{site} ({why or 'no answer'})" for site, (fits, why) in sorted(checks.items()) if not fits]
        return result, dispatch, f"scheduled without {'; '.join(left_out)}" if left_out else "scheduled"

    def _update_schedule_history(self, job: Job, result: str, fl_ctx: FLContext) -> None:
        """Note the answer; the same answer again only moves the end of its line, since a job may wait for days."""
        history, now = _history(job), datetime.datetime.now().strftime(TIME)
        if history and history[-1].endswith(f": {result}"):
            history = [*history[:-1], f"{history[-1][: len(now)]} to {now}: {result}"]
        else:
            history = [*history, f"{now}: {result}"]
            self.log_info(fl_ctx, f"job {job.job_id}: {result}")
        job.meta[JobMetaKey.SCHEDULE_HISTORY.value] = history
        job.meta[JobMetaKey.JOB_DEPLOY_DETAIL.value] = [f"server: {result}"]  # what `nvflare job meta` shows of a job
        job.meta[JobMetaKey.SCHEDULE_COUNT.value] = job.meta.get(JobMetaKey.SCHEDULE_COUNT.value, 0) + 1
        job.meta[JobMetaKey.LAST_SCHEDULE_TIME.value] = time.time()

    def _get_update_meta_keys(self) -> list[str]:
        return [*super()._get_update_meta_keys(), JobMetaKey.JOB_DEPLOY_DETAIL.value]


def job_sites(job: Job) -> set[str]:
    """The sites that a job names, without the server."""
    named = {site for where in (job.deploy_map or {}).values() for site in extract_participants(where)}
    return named - {SERVER_SITE_NAME}


def why_never(sites: set[str], min_sites: int | None, known: set[str] | None) -> str:
    """Why a job for these sites can never run in a network of the `known` ones; "" where it can."""
    if {site.upper() for site in sites} & {ALL_SITES}:
        return "the job names all sites at once: name them one by one"
    if not sites:
        return "the job names no site"
    unknown = sorted(sites - known) if known is not None else []
    if unknown:
        return f"the network has no site {', '.join(unknown)}: it has {', '.join(sorted(known or ()))}"
    if (min_sites or 0) > len(sites):
        return f"min_clients is {min_sites}, but the job names {len(sites)} sites"
    return ""


def _history(job: Job) -> list[str]:
    return job.meta.get(JobMetaKey.SCHEDULE_HISTORY.value) or []


def _network_sites(fl_ctx: FLContext) -> set[str] | None:
    """The sites in network.json; None where the kit has no such file."""
    folder = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_site_config_dir())
    try:
        network: dict[str, Any] = json.loads((folder / NETWORK_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return {*network["hospitals"], *([network["coordinator"]] if network.get("coordinator") else [])}
