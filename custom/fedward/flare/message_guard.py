"""Who may send what to whom: FLARE's server passes any participant's message on to any other.

All processes of a network are cells that reach each other by name, through the server. FLARE asks for rights where a
command comes by the console; a hospital does what a message says ("train.shutdown") that somebody's own program sends
it, be it with the kit of a member. The server sees every message, with the name in the certificate of the connection
that it came by, which no sender can choose. So it decides here:

- a person talks to the server's console, and to nobody else;
- a site talks to the server and its jobs as a site does, and to its own processes, not to other sites.
"""

from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ServerCommandNames
from nvflare.apis.fl_context import FLContext
from nvflare.fuel.f3.cellnet.core_cell import make_reply
from nvflare.fuel.f3.cellnet.defs import CellChannel, CellChannelTopic, MessageHeaderKey, MessagePropKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.download_service import OBJ_DOWNLOADER_CHANNEL
from nvflare.fuel.f3.streaming.stream_const import STREAM_CHANNEL, StreamHeaderKey

from fedward.kits.job_archive import shown
from fedward.kits.kit import NETWORK_FILE, read_network

ANY = ""  # as the begin of a topic: every topic
BOTH = {
    CellChannel.CELLNET: (CellChannelTopic.Bye,),
    CellChannel.RETURN_ONLY: (ANY,),  # answers
    OBJ_DOWNLOADER_CHANNEL: (ANY,),
    STREAM_CHANNEL: (ANY,),  # receipts of a stream
}
PERSON = {
    **BOTH,
    CellChannel.SERVER_MAIN: (CellChannelTopic.Challenge, CellChannelTopic.Register, CellChannelTopic.Quit),
    CellChannel.HCI: (ANY,),  # the console, which asks for rights
    CellChannel.AUX_COMMUNICATION: ("ObjectStreamer.",),  # uploads
}
SITE = {
    **BOTH,
    CellChannel.SERVER_MAIN: (ANY,),
    CellChannel.CLIENT_MAIN: (ANY,),  # answers to the server's requests
    CellChannel.AUX_COMMUNICATION: (ANY,),
}
SITES_JOB = {
    **BOTH,
    CellChannel.SERVER_COMMAND: (ServerCommandNames.GET_TASK, ServerCommandNames.SUBMIT_UPDATE),
    CellChannel.AUX_COMMUNICATION: (ANY,),
}


class MessageGuard(FLComponent):
    """A component of the server's parent process, which passes on every message between sites, people and jobs."""

    def __init__(self) -> None:
        super().__init__()
        self._server = ""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            kit = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir())
            self._server = read_network(kit / "local" / NETWORK_FILE).server["name"]
            cell = fl_ctx.get_prop(FLContextKey.SITE_OBJ).cell
            # FLARE looks for the most special channel and topic alone: any other than "*" would switch off its own
            # filter, which checks who is logged in
            cell.core_cell.add_incoming_filter("*", "*", self._filter)

    def _filter(self, message: Message) -> Message | None:
        sender = message.get_prop(MessagePropKey.COMMON_NAME)
        if sender in (None, self._server):
            return None  # a job's process at the server; within one machine it needs no certificate
        destination = str(message.get_header(MessageHeaderKey.DESTINATION, ""))
        channel = message.get_header(StreamHeaderKey.CHANNEL) or message.get_header(MessageHeaderKey.CHANNEL, "")
        topic = message.get_header(StreamHeaderKey.TOPIC) or message.get_header(MessageHeaderKey.TOPIC, "")
        if may_send(str(sender), destination, str(channel), str(topic)):
            return None
        self.logger.warning(
            f"message of {sender} refused: nobody with this certificate sends {shown(str(topic))} "
            f"({shown(str(channel))}) to {shown(destination)}"
        )
        return make_reply(ReturnCode.UNAUTHENTICATED, "not allowed by the server")


def may_send(sender: str, destination: str, channel: str, topic: str) -> bool:
    """Whether the owner of a certificate may send this to that cell; people's names are e-mail addresses."""
    root, *inner = FQCN.split(destination)
    person = "@" in sender
    if root != FQCN.ROOT_SERVER:
        return root == sender and not person
    if not inner:
        return topic.startswith((PERSON if person else SITE).get(channel, ()))
    return not person and len(inner) == 1 and topic.startswith(SITES_JOB.get(channel, ()))
