"""A job on a real network: submit it, watch its rounds, bring the result home. FLARE is behind `flare.session`."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fedward.errors import FedwardError, UsageError
from fedward.kits.kit import Kit
from fedward.reports.live import LiveTable
from fedward.rounds.record import Record, read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import RunSettings

if TYPE_CHECKING:
    from fedward.flare.session import Connection

POLL_SECONDS = 1.0
JOB_FILE = "job.json"  # in the run folder here: which job of which server it is


def study_sites(kit: Kit, study: str) -> tuple[str, ...]:
    """The hospitals of a study in the kit's network; UsageError names the studies there are."""
    studies = kit.network.studies
    if not studies:
        return kit.network.hospitals
    if study not in studies:
        raise UsageError(f"study {study!r} is unknown to {kit.network.name}: --study is one of {', '.join(studies)}")
    return tuple(name for name in kit.network.hospitals if name in studies[study]["sites"])


def run_on_network(settings: RunSettings, kit: Kit, folder: RunFolder, tensorboard: bool, console: Console) -> None:
    """Submit the job, or go on with the one that this run folder was made for; follow it; download the run folder.

    Ctrl-C stops watching and leaves the job alone; the same command then goes on watching it.
    """
    from fedward.flare.recipe import export_job
    from fedward.flare.session import connect

    note = folder.root / JOB_FILE
    with connect(kit, settings.study) as connection:
        if note.is_file() and (known := read_json(note)).get("fingerprint") == settings.fingerprint():
            job_id = str(known["job"])
            console.print(f"Going on with job {job_id}, which was submitted from here", highlight=False)
        else:
            with tempfile.TemporaryDirectory(prefix="fedward-") as temporary:
                job_id = connection.submit(export_job(settings, Path(temporary), tensorboard))
            about = {"job": job_id, "server": f"{kit.host}:{kit.port}", "fingerprint": settings.fingerprint()}
            write_json(note, about)
            console.print(f"Submitted job {job_id}: {len(settings.sites)} sites, {settings.rounds} rounds")
        try:
            follow(connection, job_id, settings.rounds, console, folder)
        except KeyboardInterrupt:
            console.print(
                f"\nThe job goes on without this command. To see it again, give the same command, or:\n"
                f"  fedward watch {job_id} --startup-kit {kit.root} --study {settings.study} --out {folder.root}",
                highlight=False,
            )
            raise
        except FedwardError:
            if not folder.finished():
                note.unlink(missing_ok=True)  # given again, the command submits anew; the server goes on from its state
            raise


def follow(
    connection: "Connection", job_id: str, rounds: int | None, console: Console, folder: RunFolder | None
) -> None:
    """Show the job's rounds until it has ended, and bring its run folder into `folder`.

    FedwardError with the run's own reason where it did not finish.
    """
    from fedward.flare.session import left_out, status, waiting_for

    said = ""
    with LiveTable(rounds, console) as table:
        while True:
            meta = connection.meta(job_id)
            state = status(meta)
            if state == "RUNNING":
                _show_new(table, connection.records(job_id))
            now = f"{state} {waiting_for(meta)}".strip() if state == "SUBMITTED" else state
            if now != said and (state != "RUNNING" or not said):
                console.print(f"Job {job_id}: {now}", highlight=False, soft_wrap=True)
                for line in left_out(meta):
                    console.print(f"  did not take the job: {line}", highlight=False, soft_wrap=True)
                said = now
            if state.startswith("FINISHED"):
                break
            time.sleep(POLL_SECONDS)
        if folder is not None:
            fetch(connection, job_id, meta, folder)
            _show_new(table, read_records(folder.rounds))  # the last ones came after the last question
    if folder is not None and (run := read_json(folder.run))["state"] != "finished":
        reason = (run.get("error") or {}).get("message", "no reason given")
        raise FedwardError(f"job {job_id} {run['state']}: {reason}")


def _show_new(table: LiveTable, records: list[Record]) -> None:
    shown = {(record["kind"], record["round"]) for record in table.records}
    for record in records:
        if (record["kind"], record["round"]) not in shown:
            table.add(record)


def fetch(connection: "Connection", job_id: str, meta: dict[str, Any], folder: RunFolder) -> None:
    """Download the job's run folder into `folder`; FedwardError with the sites' reasons where it left none."""
    from fedward.flare.session import left_out, status

    with tempfile.TemporaryDirectory(prefix="fedward-") as temporary:
        try:
            source = find_run(connection.download(job_id, Path(temporary)))
        except FedwardError as error:
            reasons = "; ".join(left_out(meta)) or str(error)
            raise FedwardError(f"job {job_id} ended as {status(meta)} without a run folder: {reasons}") from error
        shutil.copytree(source, folder.root, dirs_exist_ok=True)


def find_run(download: Path) -> Path:
    """The run folder inside what FLARE's job download brought; FedwardError where there is none."""
    found = sorted(path.parent for path in download.rglob("run/run.json"))
    if not found:
        raise FedwardError(f"{download} holds no run folder: the job ended before its first round")
    return found[0]
