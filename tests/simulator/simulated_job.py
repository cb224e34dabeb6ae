"""Starts job.py as a user does and looks at its processes and files."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.datasets.phantoms import write_phantoms
from fedward.networks.checkpoint import read_model
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json
from processes import stop, words

JOBS = Path(__file__).parents[2] / "jobs" / "lgg_segmentation"
TINY = ["--bias-field", "none", "--image-size", "32", "--features", "2", "--rounds", "3", "--round-deadline", "120"]
FIVE = ["--rounds", "5"]  # enough that a run interrupted in its second has not come to its end meanwhile
LIMIT = 150  # seconds until a test gives up on a process


def lay_out_sites(folder: Path, hospitals: int, patients: int) -> Path:
    images = folder / "images"
    images.mkdir()
    write_phantoms(images, patients=patients, slices=4, size=32, institutions=min(3, hospitals))
    arguments = ["partition", "lgg", str(images), "--out", str(folder / "sites"), "--sites", str(hospitals)]
    assert run_command(cli, [*arguments, "--workers", "1"]) == 0
    return folder / "sites"


class Place:
    """A folder for one run, with a working directory, home and temporary folder of its own, all empty."""

    def __init__(self, root: Path):
        self.root = root
        self.commands: list[Running] = []
        self.run = RunFolder(root / "runs" / "run")
        self.empty = {name: root / name for name in ("cwd", "home")}
        for folder in self.empty.values():
            folder.mkdir()
        self.empty["tmp"] = Path(tempfile.mkdtemp(prefix="fw-"))  # sockets lie in it: a long path would be an error
        self.environment = {
            **os.environ,
            "HOME": str(self.empty["home"]),
            "TMPDIR": str(self.empty["tmp"]),
            "MPLCONFIGDIR": str(root / "matplotlib"),
        }

    def remove(self) -> None:
        for command in self.commands:
            command.end()  # a test that failed leaves it running
        shutil.rmtree(self.empty["tmp"])

    def start(self, sites: Path, *options: str) -> "Running":
        """job.py with tiny settings; a later option overrides an earlier one."""
        job = [sys.executable, str(JOBS / "job.py"), *TINY, "--sites", str(sites), "--out", str(self.run.root)]
        return self.command(*job, *options)

    def command(self, *command: str) -> "Running":
        self.commands.append(Running(list(command), self))
        return self.commands[-1]

    @property
    def records(self) -> list[dict]:
        return read_records(self.run.rounds)

    @property
    def state(self) -> dict:
        return read_json(self.run.run)

    @property
    def model(self) -> dict:
        return read_model(self.run.model("last"))[0]


class Running:
    """A command under way."""

    def __init__(self, command: list[str], place: Place):
        self.place = place
        self.process = subprocess.Popen(
            command,
            cwd=place.empty["cwd"],
            env=place.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.family: set[psutil.Process] = set()
        self.output = ""

    def wait(self, limit: float = LIMIT) -> "Running":
        self.output, _ = self.process.communicate(timeout=limit)
        return self

    @property
    def code(self) -> int:
        return self.process.returncode

    def until(self, what: Callable[[], bool]) -> "Running":
        """Wait until `what()` holds; the command must still be running then."""
        limit = time.monotonic() + LIMIT
        while not what():
            if self.process.poll() is not None or time.monotonic() > limit:
                self.end()
                raise AssertionError(f"the command ended too early:\n{self.process.communicate()[0]}")
            time.sleep(0.05)
        self.look()
        return self

    def until_round(self, number: int) -> "Running":
        """Wait until so many rounds are finished."""
        return self.until(lambda: len(self.place.records) >= number)

    def look(self) -> None:
        self.family |= {psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)}

    def site(self, name: str) -> psutil.Process:
        """The process in which a simulated site works."""
        found = []

        def started() -> bool:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                line = words(child)
                if "--client" in line and line[line.index("--client") + 1] == name:
                    found.append(child)
            return bool(found)

        self.until(started)
        return found[0]

    def alive(self) -> list[str]:
        """Command lines of the processes seen by `look` that still run, five seconds from now at the latest."""
        _, alive = psutil.wait_procs(self.family, timeout=5)
        return [line for process in alive if (line := " ".join(words(process)))]  # a zombie has none

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.look()
        stop(self.family)
        self.process.wait(10)
