"""A researcher's or administrator's connection to the server: submit, watch, download. FLARE's API, our errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nvflare.apis.job_def import JobMetaKey
from nvflare.fuel.flare_api.api_spec import (
    AuthorizationError,
    InvalidJobDefinition,
    JobNotFound,
    JobNotRunning,
    NoConnection,
    SessionClosed,
)
from nvflare.fuel.flare_api.flare_api import Session

from fedward.errors import FedwardError, NoAnswer, NoSuchJob, UsageError
from fedward.flare.login import PATIENCE, log_in
from fedward.flare.progress import RECORDS
from fedward.kits.job_check import SERVER, refusals
from fedward.kits.kit import Kit
from fedward.rounds.record import Record
from fedward.settings import DEFAULT_STUDY

COMPLETED = "FINISHED:COMPLETED"
ANSWER_SECONDS = 30.0  # FLARE's 5 are what its server waits for a job's process, before it answers at all
TIMES = re.compile(r"^[\d: -]+( to [\d: -]+)?: ")


class Connection:
    """What fedward asks of the server; every method raises FedwardError with the server's own reason.

    NoAnswer where there is none in time, NoSuchJob where the server knows no such job.
    """

    def __init__(self, session: Session):
        self._session = session

    def submit(self, job: Path) -> str:
        """Submit the job folder; returns the job's id."""
        with _explained("the server did not take the job"):
            return str(self._session.submit_job(str(job.resolve())))

    def sites(self) -> set[str]:
        """Names of the sites that are connected now."""
        with _explained("the server did not say who is connected"):
            return {client.name for client in self._session.get_system_info().client_info}

    def meta(self, job_id: str) -> dict[str, Any]:
        """FLARE's meta of the job, with its status and history."""
        with _explained(f"job {job_id}"):
            return dict(self._session.get_job_meta(job_id))

    def records(self, job_id: str) -> list[Record]:
        """The round records of a running job so far; empty where it does not run yet, or no more."""
        with _explained(f"job {job_id}"):
            try:
                stats = self._session.show_stats(job_id, "server")
            except (JobNotRunning, JobNotFound):
                return []
            except Exception as error:
                if "not running" in str(error):
                    return []
                raise
        return _find(stats, RECORDS) or []

    def abort(self, job_id: str) -> None:
        with _explained(f"job {job_id} was not aborted"):
            self._session.abort_job(job_id)

    def download(self, job_id: str, folder: Path) -> Path:
        """Download the job's result below `folder`; returns the folder that holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        with _explained(f"the result of job {job_id} was not downloaded"):
            location = self._session.download_job_result(job_id, str(folder))
        if not location or not Path(location).is_dir():
            raise FedwardError(f"job {job_id} has no result at the server")
        return Path(location)


@contextmanager
def connect(kit: Kit, study: str = DEFAULT_STUDY, patience: float = PATIENCE) -> Iterator[Connection]:
    """Log in with an admin kit, see `log_in`; FedwardError says whether server, name or study is the trouble."""
    if kit.role != "admin":
        raise UsageError(f"{kit.root} is the kit of {kit.name}, a {kit.role}: give the kit of a person")
    session = log_in(kit, study, patience)
    try:
        session.set_timeout(ANSWER_SECONDS)
        yield Connection(session)
    finally:
        session.unset_timeout()  # the logout of a server that is silent need not take as long
        session.close()


def status(meta: dict[str, Any]) -> str:
    """FLARE's status of a job: SUBMITTED, RUNNING, FINISHED:COMPLETED, ..."""
    return str(meta.get(JobMetaKey.STATUS.value, "unknown"))


def waiting_for(meta: dict[str, Any]) -> str:
    """Why a submitted job does not run yet, in the scheduler's words without their time; empty where it is silent."""
    history = meta.get(JobMetaKey.SCHEDULE_HISTORY.value) or []
    return TIMES.sub("", str(history[-1])) if history else ""


def left_out(meta: dict[str, Any]) -> dict[str, str]:
    """Sites that did not take the job, each with its own reason."""
    details = meta.get(JobMetaKey.JOB_DEPLOY_DETAIL.value) or []
    return {site: reason for site, reason in refusals(map(str, details)).items() if site != SERVER}


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except NoConnection as error:
        raise NoAnswer(
            f"{what}: the server did not answer. When it is there again, give the same command again"
        ) from error
    except JobNotFound as error:
        raise NoSuchJob(f"{what}: {error}: look at the id that its submission printed, and at its study") from error
    except SessionClosed as error:  # a server that was started again knows no session
        raise FedwardError(f"{what}: {error}: give the same command again") from error
    except (InvalidJobDefinition, AuthorizationError) as error:
        raise FedwardError(f"{what}: {error}") from error
    except Exception as error:
        raise FedwardError(f"{what}: {type(error).__name__}: {error}") from error


def _find(values: Any, key: str) -> Any:
    """The value under `key` at any depth; FLARE nests statistics by site and component."""
    if isinstance(values, dict):
        if key in values:
            return values[key]
        values = list(values.values())
    if isinstance(values, list):
        return next((found for value in values if (found := _find(value, key)) is not None), None)
    return None
