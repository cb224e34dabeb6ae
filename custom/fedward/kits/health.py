"""Is the running kit connected? The health check of compose.yaml: `python3 -m fedward.kits.health KIT`.

It looks at the connections of the kit's own processes and sends nothing: a probe of its own would be one more refused
handshake in the server's log, every minute.
"""

import contextlib
import sys
from collections.abc import Iterable

import psutil

from fedward.errors import FedwardError
from fedward.kits.kit import Kit, open_kit
from fedward.kits.running import running_process

Connection = tuple[str, int | None, int | None]  # state, own port, the other side's port


def health(kit: Kit, connections: Iterable[Connection] | None) -> str | None:
    """What is wrong, or None. The connections are those of the kit, None where it does not run."""
    if connections is None:
        return f"the kit in {kit.root} does not run"
    if kit.role == "server":
        listening = any(state == psutil.CONN_LISTEN and own == kit.port for state, own, _ in connections)
        return None if listening else f"the server does not listen on port {kit.port}"
    connected = any(state == psutil.CONN_ESTABLISHED and other == kit.port for state, _, other in connections)
    return None if connected else f"no connection to the server {kit.host}:{kit.port}"


def kit_connections(kit: Kit) -> list[Connection] | None:
    """TCP connections of this kit's process and its children; None where it does not run.

    Those of the whole machine where the kit runs as another user, whose connections this one may not tell apart.
    """
    pid = running_process(kit)
    if pid is None:
        return None
    found = []
    try:
        process = psutil.Process(pid)
        found += process.net_connections("tcp")
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found += child.net_connections("tcp")
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        found = psutil.net_connections("tcp")
    return [(c.status, c.laddr.port if c.laddr else None, c.raddr.port if c.raddr else None) for c in found]


def main(arguments: list[str]) -> int:
    """Exit code 0 when healthy, 1 when not, 2 for a wrong argument; the reason is printed."""
    if len(arguments) != 1:
        print("usage: python3 -m fedward.kits.health KIT", file=sys.stderr)
        return 2
    try:
        kit = open_kit(arguments[0])
        problem = health(kit, kit_connections(kit))
    except FedwardError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(problem or "connected")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
