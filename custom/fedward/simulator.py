"""Starts a job in the FLARE simulator, follows its run folder, and sees to it that it ends.

The simulator runs in a process group of its own, its output in a log file. Whatever happens (the last round is done,
the run failed, nothing starts, Ctrl-C), every process that was started is gone when this returns.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from fedward.errors import FedwardError
from fedward.rounds.record import Record, read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json

POLL_SECONDS = 0.2
START_LIMIT = 180.0  # seconds until the server of the simulation must have begun the run
END_LIMIT = 3.0  # seconds the simulator may take to end after the run is over; FLARE's own shutdown sleeps for 6
ROUND_GRACE = 600.0  # seconds beyond a round's deadline, to score and sum what came, until the server counts as hung
LOG_TAIL = 15


def simulate(
    job: Path,
    workspace: Path,
    sites: tuple[str, ...],
    folder: RunFolder,
    round_deadline: float,
    log_file: Path,
    on_record: Callable[[Record], None],
) -> None:
    """Run `job` with `sites` and hand each new round record to `on_record`.

    Raises FedwardError with the run's own reason where it failed, and KeyboardInterrupt after stopping everything where
    the user interrupted it; the run folder then says so and keeps the finished rounds. A caller that dies takes the
    simulator with it.
    """
    arguments = [str(job), str(workspace), ",".join(sites), str(os.getpid())]
    _resume(folder)
    family: set[psutil.Process] = set()
    temporary = tempfile.mkdtemp(prefix="fw-")  # holds sockets, so a short path; what FLARE leaves there goes too
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": temporary}
    try:
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fedward.flare.simulate", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        family.add(psutil.Process(process.pid))
        _follow(process, family, folder, round_deadline, log_file, on_record)
    except KeyboardInterrupt:
        _stop(family)
        _mark(folder, "interrupted", "interrupted by the user")
        raise
    finally:
        _stop(family)
        shutil.rmtree(temporary, ignore_errors=True)
    state, message = _state(folder)
    if state == "running":
        message = f"the simulator ended with exit code {process.poll()} before the run was over"
        _mark(folder, "failed", message)
    if state != "finished":
        raise FedwardError(f"{message}\n(the simulator's log: {log_file})")


def _follow(
    process: subprocess.Popen[bytes],
    family: set[psutil.Process],
    folder: RunFolder,
    round_deadline: float,
    log_file: Path,
    on_record: Callable[[Record], None],
    end_limit: float = END_LIMIT,
) -> None:
    """Return when the simulator has ended, or must be ended because the run is over; FedwardError where it hangs."""
    shown, last_change, over_since, written = 0, time.monotonic(), None, None
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        with contextlib.suppress(psutil.NoSuchProcess):  # remembered now: a site whose parent dies is nobody's child
            family.update(psutil.Process(process.pid).children(recursive=True))
        for record in read_records(folder.rounds)[shown:]:
            on_record(record)
            shown += 1
        if (latest := _written(folder)) != written:  # with every deadline that begins, that of an exchange too
            written, last_change = latest, time.monotonic()
        state, _ = _state(folder)
        idle = time.monotonic() - last_change
        if state in ("finished", "failed", "interrupted"):
            over_since = over_since or time.monotonic()
            if time.monotonic() - over_since > end_limit:
                return
        elif state is None and idle > START_LIMIT:
            raise FedwardError(
                f"the simulator has not begun the run after {START_LIMIT:g} s: is there memory for all sites? "
                f"{log_file} ends with\n{_tail(log_file)}"
            )
        elif state == "running" and idle > round_deadline + ROUND_GRACE:
            message = f"nothing has happened for {idle:.0f} s although a round ends after {round_deadline:g} s"
            _mark(folder, "failed", message)
            raise FedwardError(f"{message}; {log_file} ends with\n{_tail(log_file)}")
    for record in read_records(folder.rounds)[shown:]:
        on_record(record)
    if _state(folder)[0] is None:
        raise FedwardError(f"the simulator could not begin the run; {log_file} ends with\n{_tail(log_file)}")


def _state(folder: RunFolder) -> tuple[str | None, str]:
    """(state, message) of run.json; (None, '') before there is one."""
    if not folder.run.is_file():
        return None, ""
    run = read_json(folder.run)
    return run["state"], (run.get("error") or {}).get("message", "")


def _written(folder: RunFolder) -> int | None:
    """When run.json was last written, ns."""
    return folder.run.stat().st_mtime_ns if folder.run.is_file() else None


def _mark(folder: RunFolder, state: str, message: str) -> None:
    """Say in run.json why a run stopped, unless its server has said so itself."""
    if folder.run.is_file():
        run = read_json(folder.run)
        if run["state"] == "running":
            write_json(folder.run, {**run, "state": state, "error": {"message": message, "site": None}})


def _resume(folder: RunFolder) -> None:
    """Let an interrupted run count as running again, or its old state would be taken for this one's end."""
    if folder.run.is_file():
        write_json(folder.run, {**read_json(folder.run), "state": "running", "error": None})


def _stop(family: set[psutil.Process]) -> None:
    """End the simulator and every process it started: politely, then for good."""
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.terminate()
    _, alive = psutil.wait_procs(family, timeout=5)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(alive, timeout=5)


def _tail(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL:])
