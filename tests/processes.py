"""Processes that others start and end: between two looks at one it may be gone, which psutil tells by an error."""

import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil


def stop(processes: Iterable[psutil.Process], number: signal.Signals = signal.SIGKILL) -> None:
    """Send the signal to each that still is there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def words(process: psutil.Process) -> list[str]:
    """Its command line; empty where it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
