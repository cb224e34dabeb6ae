"""Records what a FLARE process sends. Python imports this module when it starts, because PYTHONPATH names its folder.

FEDWARD_CAPTURE/<process id>.frames, in MessagePack, one entry each:

- [peer, kind, headers, payload]: a frame. All that FLARE sends goes through SfmConnection.send_frame: handshakes,
  messages, pieces of streams, and what a process passes on for another. It is written before it is sent.
- ["", "socket", {}, address]: a name or address that Python's own sockets were asked for. gRPC opens its connections
  itself, and what it sends are the frames.
"""

import os
import sys
from pathlib import Path
from typing import Any

FOLDER = os.environ.get("FEDWARD_CAPTURE")
SOCKETS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")


def record(folder: Path) -> None:
    import msgpack
    from nvflare.fuel.f3.sfm.constants import Types
    from nvflare.fuel.f3.sfm.sfm_conn import SfmConnection

    kinds = {value: name for name, value in vars(Types).items() if name.isupper()}
    file = (folder / f"{os.getpid()}.frames").open("ab", buffering=0)  # one write an entry, so that threads do not mix
    send_frame = SfmConnection.send_frame

    def recorded(self: Any, prefix: Any, headers: dict[str, Any] | None, payload: Any) -> None:
        peer = self.sfm_endpoint.endpoint.name if self.sfm_endpoint else ""
        file.write(
            msgpack.packb([peer, kinds.get(prefix.type, str(prefix.type)), headers or {}, bytes(payload or b"")])
        )
        send_frame(self, prefix, headers, payload)

    def asked(event: str, arguments: tuple[Any, ...]) -> None:
        if event in SOCKETS:
            address = arguments[0] if event.startswith("socket.get") else arguments[1]
            file.write(msgpack.packb(["", "socket", {}, str(address).encode()]))

    SfmConnection.send_frame = recorded  # type: ignore[method-assign]
    sys.addaudithook(asked)


if FOLDER and any("nvflare.private.fed.app" in argument for argument in sys.orig_argv):
    record(Path(FOLDER))
