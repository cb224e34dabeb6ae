"""The same kit started twice: the second start is refused while the first one is alive."""

import time
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthenticated
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import CellChannel, CellChannelTopic, InternalFLContextKey

from fedward.flare.kit_lock import INSTANCE


class RegistrationGuard(FLComponent):
    """Refuses a site's registration while another start of the same kit is alive; FLARE would let the second take over.

    Alive is a site that the server lists, which it does until 60 s after the last report (`heart_beat_timeout`). A site
    reports every 10 s, or 40 s after a report whose answer was lost with the connection: a start that is refused can
    cost it one, and KitLock keeps the refused start from the next try until it has reported again. A start from the
    same folder on the same machine is let in at once: it holds the lock of the kit, so the former start has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._instances: dict[str, dict[str, Any]] = {}  # site -> the start that is registered
        self._refusals: dict[str, str] = {}

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_START:
            cell = fl_ctx.get_engine().get_cell()
            cell.core_cell.add_outgoing_reply_filter(CellChannel.SERVER_MAIN, CellChannelTopic.Register, self._explain)
        elif event_type == EventType.CLIENT_REGISTER_RECEIVED:
            site, instance = _sender(fl_ctx)
            connection = fl_ctx.get_prop(InternalFLContextKey.CLIENT_REG_SESSION).client_name
            reason = self._why_not(site, instance, fl_ctx)
            # The sender writes its context as it likes; the session's name is that of the connection's certificate.
            if site != connection and {site, connection} & fl_ctx.get_engine().client_manager.name_to_clients.keys():
                reason = "it gives itself out for another site"
            if reason:
                self._refusals[connection] = reason
                raise NotAuthenticated(reason)
        elif event_type == EventType.CLIENT_REGISTER_PROCESSED:
            site, instance = _sender(fl_ctx)
            if not fl_ctx.get_prop(FLContextKey.UNAUTHENTICATED):
                self._instances[site] = instance
        elif event_type == EventType.CLIENT_HEARTBEAT_RECEIVED:  # after a restart of the server nobody registers anew
            site, instance = _sender(fl_ctx)
            self._instances.setdefault(site, instance)

    def _why_not(self, site: str, instance: dict[str, Any], fl_ctx: FLContext) -> str:
        client = fl_ctx.get_engine().client_manager.name_to_clients.get(site)
        if client is None:
            return ""
        known = self._instances.get(site, {})
        if instance.get("lock") and instance["lock"] == known.get("lock"):
            return ""
        silent = time.time() - client.last_connect_time
        return (
            f"{site} is connected already, from another start of its kit, heard of {silent:.0f} s ago: stop that one "
            "(running.lock in its folder names the process), or if it is gone start this one again in a minute"
        )

    def _explain(self, reply: Message) -> None:
        """Put the reason into the answer to the refused site; FLARE's own text names none."""
        if reply.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.UNAUTHENTICATED:
            reason = self._refusals.pop(str(reply.get_header(MessageHeaderKey.DESTINATION)), None)
            if reason:
                reply.set_header(MessageHeaderKey.ERROR, reason)


def _sender(fl_ctx: FLContext) -> tuple[str, dict[str, Any]]:
    """The site that a registration or heartbeat comes from, and which start of its kit."""
    peer = fl_ctx.get_peer_context()
    if peer is None:
        return "", {}
    instance = peer.get_prop(INSTANCE)
    return peer.get_identity_name(), instance if isinstance(instance, dict) else {}
