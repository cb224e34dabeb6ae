"""Is the running kit connected? The health check of compose.yaml: `python3 -m fedward.kits.health KIT`.

It looks at this machine's connections and sends nothing: a probe of its own would be one more refused handshake in the
server's log, every minute.
"""

import sys
from collections.abc import Iterable

import psutil

from fedward.errors import FedwardError
from fedward.kits.kit import Kit, open_kit


def health(kit: Kit, connections: Iterable[tuple[str, int | None, int | None]]) -> str | None:
    """What is wrong, or None. Each of `connections` is (state, own port, the other side's port)."""
    if kit.role == "server":
        listening = any(state == psutil.CONN_LISTEN and own == kit.port for state, own, _ in connections)
        return None if listening else f"the server does not listen on port {kit.port}"
    connected = any(state == psutil.CONN_ESTABLISHED and other == kit.port for state, _, other in connections)
    return None if connected else f"no connection to the server {kit.host}:{kit.port}"


def tcp_connections() -> list[tuple[str, int | None, int | None]]:
    """The TCP connections of this machine or container."""
    found = psutil.net_connections("tcp")
    return [(c.status, c.laddr.port if c.laddr else None, c.raddr.port if c.raddr else None) for c in found]


def main(arguments: list[str]) -> int:
    """Exit code 0 when healthy, 1 when not, 2 for a wrong argument; the reason is printed."""
    if len(arguments) != 1:
        print("usage: python3 -m fedward.kits.health KIT", file=sys.stderr)
        return 2
    try:
        problem = health(open_kit(arguments[0]), tcp_connections())
    except FedwardError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(problem or "connected")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
