"""A kit that is running already does not start a second time; the server is told which start of the kit this is."""

import time
from pathlib import Path
from typing import IO

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.fuel.f3.cellnet.defs import CellChannel, CellChannelTopic, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message

from fedward.errors import FedwardError
from fedward.kits.lock import instance, lock

INSTANCE = "fedward_instance"  # in the context that a site sends when it registers, and with each report
REGISTER_TRIES = 5
REGISTER_SECONDS = 2.0  # between two tries, as FLARE waits when the server is not there yet
NO_SESSION = "no registration session"  # FLARE's words where the server, or a copy of the kit, came in between


class KitLock(FLComponent):
    """Holds the kit's lock for as long as this process lives, and refuses to start where another process holds it.

    Where a start is refused, here or by the server, the connection is closed at once: as long as it is open, it takes
    the place of the one that the running kit has. Where the server refused it, the process ends `refused_seconds`
    later: a script or service starts it again, and each start can cost the running kit a report, by which the server
    knows that it lives. An answer that was lost with the connection is no refusal, though FLARE ends the site at both:
    the site registers again.
    """

    def __init__(self, refused_seconds: float = 75.0) -> None:
        super().__init__()
        self.refused_seconds = refused_seconds
        self._lock: IO[str] | None = None
        self._refused = False

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            kit = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir())
            try:
                self._lock = lock(kit)
            except FedwardError as error:
                _close(fl_ctx)
                raise UnsafeComponentError(str(error)) from error  # the one error at which FLARE stops its start
            fl_ctx.set_prop(INSTANCE, instance(self._lock), private=False, sticky=True)
        elif event_type == EventType.BEFORE_CLIENT_REGISTER:
            cell = fl_ctx.get_prop(FLContextKey.SITE_OBJ).cell.core_cell
            cell.add_incoming_reply_filter(CellChannel.SERVER_MAIN, CellChannelTopic.Register, self._read)
        elif event_type == EventType.AFTER_CLIENT_REGISTER:
            if fl_ctx.get_prop(FLContextKey.CLIENT_TOKEN) or self._registered_after_all(fl_ctx):
                return
            _close(fl_ctx)
            if self._refused:
                self.log_info(fl_ctx, f"refused: this process ends in {self.refused_seconds:g} s, its connection now")
                time.sleep(self.refused_seconds)

    def _read(self, answer: Message) -> None:
        unauthenticated = answer.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.UNAUTHENTICATED
        self._refused = unauthenticated and answer.get_header(MessageHeaderKey.ERROR) != NO_SESSION

    def _registered_after_all(self, fl_ctx: FLContext) -> bool:
        site = fl_ctx.get_prop(FLContextKey.SITE_OBJ)
        for attempt in range(2, REGISTER_TRIES + 1):
            if self._refused:
                return False
            self.log_info(fl_ctx, f"no answer to the registration: attempt {attempt} of {REGISTER_TRIES}")
            time.sleep(REGISTER_SECONDS)
            site.register(fl_ctx)
            if site.token:
                site.communicator.heartbeat_done = False  # set by FLARE as it gave up: nothing would be reported
                fl_ctx.set_prop(FLContextKey.CLIENT_TOKEN, site.token)
                return True
        return False


def _close(fl_ctx: FLContext) -> None:
    cell = fl_ctx.get_prop(FLContextKey.SITE_OBJ).cell
    if cell is not None:
        cell.stop()
