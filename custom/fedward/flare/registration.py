"""The same kit started twice: the second start is refused while the first one is alive."""

import time
from dataclasses import dataclass
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthenticated
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import CellChannel, CellChannelTopic

from fedward.flare.kit_lock import INSTANCE

ALIVE_SECONDS = 60.0  # a report comes every 10 s; one whose answer is lost with the connection is repeated after 40 s
LONGEST_SECONDS = 300.0


@dataclass
class _Start:
    """A start of a site's kit that the server let in."""

    instance: dict[str, Any]
    token: str  # FLARE's, new with each registration
    heard: float  # monotonic seconds of its last report
    disturbed: float  # of the last start of a copy, which takes the connection of this one for a moment


class RegistrationGuard(FLComponent):
    """Refuses a site's registration while another start of the same kit is alive; FLARE would let the second take over.

    A site is taken for gone 60 s after its last report. Starts of a copy can cost it reports, so that a copy that tries
    on and on would take its place: then the 60 s count from the last try, up to 300 s after the last report. A start
    from the same folder on the same machine is let in at once: it holds the lock of the kit, so the former start has
    ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._starts: dict[str, _Start] = {}  # site -> the start that is registered
        self._refusals: dict[str, str] = {}

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_START:
            cell = fl_ctx.get_engine().get_cell()
            cell.core_cell.add_outgoing_reply_filter(CellChannel.SERVER_MAIN, CellChannelTopic.Register, self._explain)
        elif event_type == EventType.CLIENT_REGISTER_RECEIVED:
            site, instance = _sender(fl_ctx)
            reason = self._why_not(site, instance)
            if reason:
                self._refusals[site] = reason
                raise NotAuthenticated(reason)
        elif event_type in (EventType.CLIENT_REGISTER_PROCESSED, EventType.CLIENT_HEARTBEAT_PROCESSED):
            self._note(*_sender(fl_ctx), fl_ctx.get_engine().client_manager.name_to_clients)
        elif event_type == EventType.CLIENT_QUIT:
            self._starts.pop(_sender(fl_ctx)[0], None)

    def _note(self, site: str, instance: dict[str, Any], clients: dict[str, Client]) -> None:
        """Keep what the server answered with yes: it lists the site's client, with another token than before."""
        start, client = self._starts.get(site), clients.get(site)
        if client is None:  # a person, or a site whose certificate did not hold
            return
        if start is None or client.token != start.token:
            self._starts[site] = _Start(instance, client.token, time.monotonic(), time.monotonic())
        elif instance == start.instance:
            start.heard = time.monotonic()

    def _why_not(self, site: str, instance: dict[str, Any]) -> str:
        start = self._starts.get(site)
        if start is None:
            return ""
        same_kit = bool(instance.get("lock")) and instance["lock"] == start.instance.get("lock")
        now = time.monotonic()
        silent = now - start.heard
        if same_kit or silent > LONGEST_SECONDS or min(silent, now - start.disturbed) > ALIVE_SECONDS:
            return ""
        start.disturbed = now
        return (
            f"{site} is connected already, from another start of its kit, heard of {silent:.0f} s ago: stop that one "
            f"(running.lock in its folder names the process), or if it is gone start this one again in "
            f"{ALIVE_SECONDS:g} s, and not before"
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
