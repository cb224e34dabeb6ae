"""A provisioned network of ten hospitals on the loopback, used as its people use it: by commands and the console."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from fedward.errors import FedwardError
from fedward.flare.session import connect, status
from fedward.kits.kit import Kit, open_kit
from fedward.kits.one_machine import free_port, kits_folder, server_kit
from fedward.kits.processes import Processes, memory_gib
from processes import stop

PROJECT = Path(__file__).parents[2] / "provisioning" / "one_machine.yml"
JOB = Path(__file__).parents[2] / "jobs" / "lgg_segmentation" / "job.py"
LEAD, STUDY = "lead@consortium.example", "brain-tumour"
TINY = ["--bias-field", "none", "--image-size", "32", "--features", "2", "--rounds", "3", "--round-deadline", "120"]
LIMIT = 120.0  # seconds until a test gives up


def command(*arguments: object, limit: float = LIMIT, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output and errors in `stdout`."""
    words = [str(argument) for argument in arguments]
    return subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=options.pop("stdin", subprocess.DEVNULL) if "input" not in options else None,
        text=True,
        timeout=limit,
        **options,
    )


def fedward(*arguments: object, limit: float = LIMIT, **options: Any) -> subprocess.CompletedProcess[str]:
    return command(sys.executable, "-m", "fedward", *arguments, limit=limit, **options)


class PeakMemory:
    """The most memory that a network's processes have together while this is open, GiB."""

    def __init__(self, network: "Network"):
        self.network = network
        self.gib = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._ended.wait(1.0):
            self.gib = max(self.gib, memory_gib(self.network.processes().values()))

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(30)


class Network:
    """The network in `root`; `started` is the output of `fedward network start`."""

    def __init__(self, root: Path, sites: Path):
        self.root = root
        self.sites = sites
        self.port = free_port()
        self.started = ""

    def start(self) -> None:
        options = ["--network", self.root, "--sites", self.sites, "--project", PROJECT, "--port", self.port]
        done = fedward("network", "start", *options, limit=240)
        self.started = done.stdout
        assert done.returncode == 0, done.stdout

    def stop(self) -> str:
        return fedward("network", "stop", "--network", self.root).stdout

    @property
    def kits(self) -> Path:
        return kits_folder(self.root)

    @property
    def server(self) -> Path:
        return server_kit(self.kits)

    def kit(self, name: str) -> Path:
        return self.kits / name

    def person(self, name: str = LEAD) -> Kit:
        return open_kit(self.kits / name)

    def processes(self) -> dict[str, psutil.Process]:
        return Processes(self.root).alive()

    def restart(self, *names: str, limit: float = LIMIT) -> None:
        """Stop these hospitals and start them by their own start script, as their IT does after a change."""
        running = [process for name, process in self.processes().items() if name in names]
        family = [one for process in running for one in (process, *process.children(recursive=True))]
        stop(family, signal.SIGTERM)
        stop(psutil.wait_procs(family, timeout=5)[1])
        processes = Processes(self.root)
        for name in names:
            (self.kit(name) / "log.txt").unlink()  # so that what it says is of this start
            processes.start(self.kit(name))
        end = time.monotonic() + limit
        while not all("Successfully registered" in self.log(name) for name in names):
            assert time.monotonic() < end, [self.log(name)[-1500:] for name in names]
            time.sleep(0.3)

    def log(self, name: str) -> str:
        """Everything the kit's parent process has logged and printed."""
        texts = [self.kit(name) / "log.txt", self.kit(name) / "console.txt"]
        return "\n".join(path.read_text(errors="replace") for path in texts if path.is_file())

    def export(
        self, folder: Path, name: str, *options: str, study: str = STUDY, job: Path = JOB, tiny: Sequence[str] = TINY
    ) -> Path:
        """A job folder as job.py exports it."""
        arguments = [*tiny, *options, "--study", study, "--name", name, "--export", "--export-dir", folder]
        done = command(sys.executable, job, *arguments)
        assert done.returncode == 0, done.stdout
        return folder / name

    def submit(self, job: Path, person: str = LEAD, study: str = STUDY) -> str:
        with connect(self.person(person), study) as connection:
            return connection.submit(job)

    def refusal(self, job: Path, person: str = LEAD, study: str = STUDY) -> str:
        """What the submitter is told; the test fails where the job is taken."""
        try:
            job_id = self.submit(job, person, study)
        except FedwardError as error:
            return str(error)
        raise AssertionError(f"the server took the job as {job_id}")

    def meta(self, job_id: str, study: str = STUDY) -> dict[str, Any]:
        with connect(self.person(), study) as connection:
            return connection.meta(job_id)

    def until(self, job_id: str, *states: str, limit: float = LIMIT) -> dict[str, Any]:
        """The job's meta once its status is one of `states` (FINISHED stands for every end)."""
        end = time.monotonic() + limit
        with connect(self.person(), STUDY) as connection:
            while time.monotonic() < end:
                meta = connection.meta(job_id)
                if any(status(meta).startswith(state) for state in states):
                    return meta
                time.sleep(0.3)
        raise AssertionError(f"job {job_id} is {status(meta)}, not {states}, after {limit:.0f} s: {meta}")

    def console(self, *lines: str, person: str = LEAD, study: str = STUDY, limit: float = LIMIT) -> str:
        """What the interactive console of a person prints after these lines."""
        script = self.kits / person / "startup" / "fl_admin.sh"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        typed = "\n".join([person, *lines, "bye", ""])
        done = command(script, "--study", study, limit=limit, input=typed, env={**os.environ, "PATH": path})
        return done.stdout

    def copy_kit(self, name: str, target: Path) -> Path:
        """A copy of a kit as it was handed out: without what its running process has written."""
        written = shutil.ignore_patterns("*.fl", "*.txt", "*.lock", "store", "runs")
        shutil.copytree(self.kit(name), target, ignore=written)
        return target
