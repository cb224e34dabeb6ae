"""What runs of a network on one machine: started from kits' own start.sh, known by pid and birth, ended, measured."""

import contextlib
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from fedward.kits.lock import BOOT_ID
from fedward.rounds.run_folder import read_json, write_json

STOP_SECONDS = 10.0
TAIL = 12


class Processes:
    """The started kits, kept in a file so that another command can stop them."""

    def __init__(self, network: Path):
        self.file = network / "processes.json"
        self.entries: list[dict[str, Any]] = read_json(self.file) if self.file.is_file() else []

    def start(self, kit: Path) -> None:
        """Run the kit's start.sh in the foreground mode, in a session of its own, its output in KIT/console.txt."""
        with (kit / "console.txt").open("wb") as console:
            process = subprocess.Popen(
                [str(kit / "startup" / "start.sh"), "--once"],
                stdout=console,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        with contextlib.suppress(psutil.NoSuchProcess):
            birth = _birth(psutil.Process(process.pid))
            self.entries.append({"name": kit.name, "kit": str(kit), "pid": process.pid, "created": birth})
        write_json(self.file, self.entries)

    def alive(self) -> dict[str, psutil.Process]:
        """The started processes that still run, by name."""
        return {entry["name"]: process for entry in self.entries if (process := _same(entry)) is not None}

    def dead(self) -> list[str]:
        """A line for each started kit that ended by itself, with the end of what it printed."""
        gone = [entry for entry in self.entries if _same(entry) is None]
        consoles = [(entry["name"], Path(entry["kit"]) / "console.txt") for entry in gone]
        return [f"{name} ended, see {console}: {tail(console)}" for name, console in consoles]

    def stop(self) -> list[str]:
        """End what was started, with its job processes, and nothing else; returns the names."""
        family = [member for process in self.alive().values() for member in _family(process)]
        names = sorted(self.alive())
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.terminate()
        _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for member in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)
        self.entries = []
        self.file.unlink(missing_ok=True)
        return names


def _same(entry: dict[str, Any]) -> psutil.Process | None:
    """The process of `entry` where it lives: the number alone could be another's by now."""
    try:
        process = psutil.Process(entry["pid"])
        same = _birth(process) == entry["created"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def _birth(process: psutil.Process) -> str:
    """What no other process on this machine has: when it began, in a way that setting the clock does not change."""
    if not psutil.LINUX:
        return f"{process.create_time():.1f}"
    boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else "the machine"
    return f"{process.create_time() - psutil.boot_time():.1f} s after the start of {boot}"


def _family(process: psutil.Process) -> Iterator[psutil.Process]:
    yield process
    with contextlib.suppress(psutil.NoSuchProcess):
        yield from process.children(recursive=True)


def tail(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return "\n".join(lines[-TAIL:])


def memory_gib(processes: Iterable[psutil.Process]) -> float:
    """Resident memory of the processes and their children, GiB."""
    total = 0
    for process in processes:
        for member in _family(process):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += member.memory_info().rss
    return total / 2**30
