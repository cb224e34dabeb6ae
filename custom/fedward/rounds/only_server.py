"""One server process a run folder: two jobs of the same name would sum each other's results."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fedward.errors import UsageError
from fedward.rounds.run_folder import RunFolder

PATIENCE = 30.0  # seconds in which the process of a server that was killed notices, and ends
POLL_SECONDS = 0.2


@contextmanager
def only_server(folder: RunFolder) -> Iterator[None]:
    """Hold the lock of the run's state, which ends with the process; UsageError where another one keeps it."""
    folder.state.mkdir(parents=True, exist_ok=True)
    handle, limit = os.open(folder.state, os.O_RDONLY), time.monotonic() + PATIENCE
    try:
        while not _locked(handle):
            if time.monotonic() > limit:
                raise UsageError(
                    f"another job works on {folder.root} of this server: wait until it has ended, "
                    "or submit this one under another name (that of --out)"
                )
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
