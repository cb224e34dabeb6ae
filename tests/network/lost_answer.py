"""A server whose first answer to a site's registration is lost. Part of the network of test_operations.py."""

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.fuel.f3.cellnet.defs import CellChannel, CellChannelTopic, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message


class LostAnswer(FLComponent):
    def __init__(self, site: str):
        super().__init__()
        self.site = site
        self.lost = False

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_START:
            cell = fl_ctx.get_engine().get_cell().core_cell
            cell.add_outgoing_reply_filter(CellChannel.SERVER_MAIN, CellChannelTopic.Register, self._lose)

    def _lose(self, answer: Message) -> None:
        """Make it what the site's own cell gives when the connection breaks: an error and nothing else."""
        if not self.lost and answer.get_header(MessageHeaderKey.DESTINATION) == self.site:
            self.lost = True
            answer.set_header(MessageHeaderKey.RETURN_CODE, ReturnCode.COMM_ERROR)
            answer.payload = None
