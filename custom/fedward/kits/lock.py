"""A kit runs once: a lock on its folder, and what tells one start of it from another."""

import fcntl
import hashlib
import os
import socket
import uuid
from pathlib import Path
from typing import IO

from fedward.errors import FedwardError

LOCK_FILE = "running.lock"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def lock(kit: Path) -> IO[str]:
    """The open lock file of a kit; FedwardError where another process holds it."""
    path = kit / LOCK_FILE
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise FedwardError(f"{path} cannot be written ({error.strerror}): start the kit as its owner") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise FedwardError(f"the kit in {kit} is running already ({holder}): stop that one first") from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def instance(held: IO[str]) -> dict[str, str]:
    """What tells this start of the kit from another: same `lock`, different `start` means that the former ended.

    It goes to the server, so it is a hash that names neither machine nor folder.
    """
    status = os.fstat(held.fileno())
    machine = BOOT_ID.read_text().strip() if BOOT_ID.exists() else f"{socket.gethostname()}-{uuid.getnode()}"
    held_by = f"{machine}:{status.st_dev}:{status.st_ino}"
    return {"start": str(uuid.uuid4()), "lock": hashlib.sha256(held_by.encode()).hexdigest()}
