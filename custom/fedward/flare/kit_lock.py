"""A kit that is running already does not start a second time; the server is told which start of the kit this is."""

from pathlib import Path
from typing import IO

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError

from fedward.errors import FedwardError
from fedward.flare.kit_guard import end_start_script
from fedward.kits.lock import instance, lock

INSTANCE = "fedward_instance"  # in the context that a site sends when it registers, and with each report


class KitLock(FLComponent):
    """Holds the kit's lock for as long as this process lives, and refuses to start where another process holds it.

    Where a start is refused, here or by the server, the connection is closed at once: as long as it is open, it takes
    the place of the one that the running kit has.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock: IO[str] | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            kit = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir())
            try:
                self._lock = lock(kit)
            except FedwardError as error:
                _close(fl_ctx)
                raise UnsafeComponentError(str(error)) from error  # the one error at which FLARE stops its start
            fl_ctx.set_prop(INSTANCE, instance(self._lock), private=False, sticky=True)
        elif event_type == EventType.AFTER_CLIENT_REGISTER and not fl_ctx.get_prop(FLContextKey.CLIENT_TOKEN):
            _close(fl_ctx)
            # FLARE's script tries again within seconds, and with each try the running kit loses its connection: after
            # a few the server would take it for gone.
            end_start_script(Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir()))


def _close(fl_ctx: FLContext) -> None:
    cell = fl_ctx.get_prop(FLContextKey.SITE_OBJ).cell
    if cell is not None:
        cell.stop()
