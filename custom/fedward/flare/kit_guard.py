"""KitGuard: a kit whose last check did not pass, or whose files changed since, does not start."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError

from fedward.errors import FedwardError
from fedward.flare.policy_baseline import privacy_problems
from fedward.kits.kit import ROLE_FILES
from fedward.kits.passed import why_not_passed
from fedward.kits.running import listeners
from fedward.rounds.run_folder import read_json

LOOKS, LOOK_SECONDS = 8, 0.25
CLOSE_SECONDS = 2.0


class KitGuard(FLComponent):
    """Ends a server's or site's process before it registers or runs anything, unless `fedward check-kit` passed.

    FLARE swallows what a component raises in an event, with one exception that it looks for after SYSTEM_BOOTSTRAP:
    UnsafeComponentError. Job processes do not fire that event; they are children of a process that passed it.
    """

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type != EventType.SYSTEM_BOOTSTRAP:
            return
        root = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir()).absolute()
        # FLARE may run a copy of the kit whose startup/ links to it (NVFL_WORKSPACE): the record lies with the files.
        kit = (root / "startup").resolve().parent
        try:
            reason = refusal(kit)
        except Exception as error:  # what FLARE would swallow must refuse, too
            reason = f"the files of {kit} cannot be checked ({error}): run: fedward check-kit {kit}"
        if reason:
            end_start_script(root)
            print(f"fedward refuses to start: {reason}", file=sys.stderr, flush=True)
            _close(fl_ctx.get_prop(FLContextKey.SITE_OBJ).cell)
            raise UnsafeComponentError(reason)


def refusal(kit: Path) -> str:
    """Why the kit may not start now, in one sentence; an empty text where it may."""
    if reason := why_not_passed(kit):
        return reason
    privacy = kit / "local" / "privacy.json"
    if (
        (kit / "startup" / ROLE_FILES["hospital"]).is_file()
        and privacy.is_file()
        and (wrong := privacy_problems(privacy))
    ):
        return f"{wrong[0]}: run: fedward check-kit {kit}"  # it names the file
    if (kit / "startup" / ROLE_FILES["server"]).is_file():
        return _second_server(kit)
    return ""


def _second_server(kit: Path) -> str:
    """FLARE's gRPC server shares a taken port in silence (SO_REUSEPORT): sites would land on either of two servers."""
    try:
        target = read_json(kit / "startup" / ROLE_FILES["server"])["servers"][0]["service"]["target"]
        port = int(str(target).rpartition(":")[2])
        others = _others(port)
    except (FedwardError, KeyError, IndexError, TypeError, ValueError, psutil.Error):
        return ""
    if not others:
        return ""
    holder = f"process {others[0]}" if others[0] else "a program of another user"
    return f"port {port} is taken by {holder}, another server runs on this machine: stop it first"


def _others(port: int) -> list[int | None]:
    """Process ids of other listeners on `port`; None for one that this user may not see.

    This process opens its own sockets in these very moments, and one that is listed before it is seen among the open
    files has no process id either: only what stays so for a while is another user's.
    """
    for _ in range(LOOKS):
        others = [one.pid for one in listeners(port) if one.pid != os.getpid()]
        if all(others):
            break
        time.sleep(LOOK_SECONDS)
    return others


def _close(cell: Any) -> None:
    """Close the connections at once: sites must not land on a server that ends in seconds.

    FLARE waits for its listeners, for ever where they are just starting; so this does not wait for FLARE.
    """
    if cell is not None:
        stopping = threading.Thread(target=cell.stop, daemon=True)
        stopping.start()
        stopping.join(CLOSE_SECONDS)


def end_start_script(root: Path) -> None:
    """sub_start.sh would start the process again, five times; this file is how FLARE tells it to end."""
    if (root / "daemon_pid.fl").is_file():
        (root / "shutdown.fl").touch()
