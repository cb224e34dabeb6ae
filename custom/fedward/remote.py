"""A job on a real network: submit it, watch its rounds, bring the result home. FLARE is behind `flare.session`."""

import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fedward.errors import FedwardError, NoAnswer, NoSuchJob, UsageError
from fedward.kits.kit import Kit
from fedward.reports.event_files import event_files
from fedward.reports.formats import counted
from fedward.reports.live import LiveTable
from fedward.rounds.record import Record, read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import RunSettings

if TYPE_CHECKING:
    from fedward.flare.session import Connection

POLL_SECONDS = 1.0
PATIENCE = 120.0  # seconds without an answer after which watching ends
JOB_FILE = "job.json"  # in the run folder here: which job of which server it is


def study_sites(kit: Kit, study: str, coordinator: bool = False) -> tuple[str, ...]:
    """The hospitals of a study in the kit's network, or its coordinator alone; UsageError names what there is."""
    network = kit.network
    wanted = network.hospitals
    if coordinator:
        if network.coordinator is None:
            raise UsageError(f"{network.name} has no coordinator: leave --at out, or give --at hospitals")
        wanted = (network.coordinator,)
    if not network.studies:
        return wanted
    if study not in network.studies:
        known = ", ".join(network.studies)
        raise UsageError(f"study {study!r} is unknown to {network.name}: --study is one of {known}")
    members = tuple(name for name in wanted if name in network.studies[study]["sites"])
    if coordinator and not members:
        raise UsageError(f"{network.coordinator} is not part of study {study!r}: name another --study, or enrol it")
    return members


def run_on_network(settings: RunSettings, kit: Kit, folder: RunFolder, tensorboard: bool, console: Console) -> None:
    """Submit the job, or go on with the one that this run folder was made for; follow it; download the run folder.

    Ctrl-C stops watching and leaves the job alone; the same command then goes on watching it.
    """
    from fedward.flare.recipe import export_job
    from fedward.flare.session import connect

    with connect(kit, settings.study) as connection:
        job_id = _job_of(connection, settings, folder, kit)
        if job_id is not None:
            console.print(f"Going on with job {job_id}, which was submitted from here", highlight=False)
        else:
            with tempfile.TemporaryDirectory(prefix="fedward-") as temporary:
                job_id = connection.submit(export_job(settings, Path(temporary)))
            about = {"job": job_id, "server": f"{kit.host}:{kit.port}", "fingerprint": settings.fingerprint()}
            write_json(folder.root / JOB_FILE, about)
            console.print(
                f"Submitted job {job_id}: {counted(len(settings.sites), 'site')}, {counted(settings.rounds, 'round')}"
            )
        try:
            training = settings.training
            follow(
                connection, job_id, settings.rounds, console, folder, training.batch_size, training.task, tensorboard
            )
        except KeyboardInterrupt:
            again = watch_command(job_id, kit.root, settings.study, folder.root, tensorboard)
            console.print(
                f"\nThe job goes on without this command. To see it again, give the same command, or:\n  {again}",
                highlight=False,
                soft_wrap=True,
            )
            raise


def watch_command(job_id: str, kit: Path, study: str, out: Path, tensorboard: bool = False) -> str:
    """What to type to see a job again, and to bring its run folder into `out`."""
    words = ["fedward", "watch", job_id, "--startup-kit", str(kit), "--study", study, "--out", str(out)]
    return shlex.join([*words, *(["--tensorboard"] if tensorboard else [])])


def _job_of(connection: "Connection", settings: RunSettings, folder: RunFolder, kit: Kit) -> str | None:
    """The job that this run folder was made for, where it still matters; None where one is to be submitted.

    UsageError where a job of other settings was submitted from here and has not ended: it would be forgotten.
    """
    from fedward.flare.session import COMPLETED, status

    note = folder.root / JOB_FILE
    if not note.is_file():
        return None
    known = read_json(note)
    job_id = str(known["job"])
    try:
        state = status(connection.meta(job_id))
    except NoSuchJob:
        return None  # deleted at the server, or another server's
    if known.get("fingerprint") == settings.fingerprint():
        return job_id if state == COMPLETED or not state.startswith("FINISHED") else None
    if not state.startswith("FINISHED"):
        raise UsageError(
            f"{folder.root} belongs to job {job_id}, which has other settings and is {state}: choose another --out, "
            f"or end that job with: nvflare job abort {job_id} --force --startup-kit {kit.root}"
        )
    return None


def check_target(folder: RunFolder, job_id: str) -> None:
    """UsageError where `folder` holds the run of another job than `job_id`: downloading would replace it."""
    note = folder.root / JOB_FILE
    known = str(read_json(note)["job"]) if note.is_file() else None
    if known not in (None, job_id) or (known is None and folder.run.exists()):
        raise UsageError(f"{folder.root} holds {f'job {known}' if known else 'another run'}: choose another --out")


def follow(
    connection: "Connection",
    job_id: str,
    rounds: int | None,
    console: Console,
    folder: RunFolder | None,
    batch_size: int | None = None,
    task: str | None = None,
    tensorboard: bool = False,
) -> None:
    """Show the job's rounds until it has ended, and bring its run folder into `folder`, if wanted with event files.

    FedwardError with the run's own reason where it did not finish; NoAnswer where the server was silent for long.
    """
    from fedward.flare.session import left_out, status, waiting_for

    said: set[str] = set()
    shown: set[tuple[str, int]] = set()

    def say(text: str) -> None:
        """Once: the server is asked every second."""
        if text not in said:
            said.add(text)
            console.print(text, highlight=False, soft_wrap=True)

    def show_new(records: list[Record]) -> None:
        for record in records:
            if (key := (record["kind"], record["round"])) not in shown:
                shown.add(key)
                table.add(record)
                write(record)

    answered = time.monotonic()
    with (
        LiveTable(rounds, console, batch_size, task) as table,
        event_files(folder if tensorboard else None) as write,
    ):
        while True:
            try:
                meta = connection.meta(job_id)
                state = status(meta)
                records = connection.records(job_id) if state == "RUNNING" else []
            except NoAnswer:
                if time.monotonic() - answered >= PATIENCE:
                    raise
                say(f"The server does not answer; asking again for up to {PATIENCE:g} s")
                time.sleep(POLL_SECONDS)
                continue
            answered = time.monotonic()
            say(f"Job {job_id}: {state}")
            if state == "SUBMITTED" and (reason := waiting_for(meta)):
                say(f"  {reason}; it starts by itself, or needs fewer sites with --min-sites")
            if state != "SUBMITTED":
                for site, reason in left_out(meta).items():
                    say(f"  {site} did not take the job: {reason}")
            show_new(records)
            if state.startswith("FINISHED"):
                break
            time.sleep(POLL_SECONDS)
        if folder is not None:
            fetch(connection, job_id, meta, folder)
            show_new(read_records(folder.rounds))  # the last ones came after the last question
    if folder is not None and (run := read_json(folder.run))["state"] != "finished":
        reason = (run.get("error") or {}).get("message", "no reason given")
        again = "; submitted again, it goes on from its last round" if run.get("rounds_done") else ""
        raise FedwardError(f"job {job_id} {run['state']}: {reason}{again}")


def fetch(connection: "Connection", job_id: str, meta: dict[str, Any], folder: RunFolder) -> None:
    """Download the job's run folder into `folder`; FedwardError with the sites' reasons where it left none."""
    from fedward.flare.session import left_out, status

    with tempfile.TemporaryDirectory(prefix="fedward-") as temporary:
        try:
            source = find_run(connection.download(job_id, Path(temporary)))
        except NoAnswer:
            raise
        except FedwardError as error:
            reasons = "; ".join(f"{site}: {reason}" for site, reason in left_out(meta).items()) or str(error)
            raise FedwardError(f"job {job_id} ended as {status(meta)} without a run folder: {reasons}") from error
        shutil.copytree(source, folder.root, dirs_exist_ok=True)
        if not (folder.root / JOB_FILE).is_file():
            write_json(folder.root / JOB_FILE, {"job": job_id})


def find_run(download: Path) -> Path:
    """The run folder inside what FLARE's job download brought; FedwardError where there is none."""
    found = sorted(path.parent for path in download.rglob("run/run.json"))
    if not found:
        raise FedwardError("see the server's log: it ended before its first round, or the server's process was killed")
    return found[0]
