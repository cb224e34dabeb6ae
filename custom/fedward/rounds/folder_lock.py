"""A lock on a folder: one process at a time works there."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fedward.errors import UsageError
from fedward.rounds.run_folder import RunFolder

SERVER_PATIENCE = 30.0  # seconds in which the process of a server that was killed notices, and ends
POLL_SECONDS = 0.2


@contextmanager
def locked(folder: Path, taken: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of `folder`, which is made; it ends with the process and leaves nothing behind.

    UsageError with the sentence `taken` where another process keeps it for `patience` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, limit = os.open(folder, os.O_RDONLY), time.monotonic() + patience
    try:
        while not _lock(handle):
            if time.monotonic() >= limit:
                raise UsageError(taken)
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(handle)


def only_server(folder: RunFolder) -> AbstractContextManager[None]:
    """One server process a run folder: two jobs of the same name would sum each other's results."""
    taken = (
        f"another job works on {folder.root} of this server: wait until it has ended, "
        "or submit this one under another name (that of --out)"
    )
    return locked(folder.state, taken, SERVER_PATIENCE)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
