"""A site whose registration the server refuses ends, and not at once; one whose answer was lost asks again."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import FLCommunicationError
from nvflare.fuel.f3.cellnet.core_cell import make_reply
from nvflare.fuel.f3.cellnet.defs import CellChannel, CellChannelTopic, ReturnCode
from nvflare.private.fed.client.fed_client_base import FederatedClientBase

from fedward.flare import kit_lock
from fedward.flare.kit_lock import KitLock

TEMPLATES = Path(__file__).resolve().parents[2] / "workspace_templates"
REFUSED = (ReturnCode.UNAUTHENTICATED, "hospital-01 is connected already, from another start of its kit")
NO_SESSION = (
    ReturnCode.UNAUTHENTICATED,
    "no registration session",
)  # the server, or a copy of the kit, came in between
STARTING = (ReturnCode.COMM_ERROR, "server is not ready")
LOST = None  # the connection broke, or the time for an answer was over: FLARE's cell gives an empty one


class Site:
    """FLARE's client as far as its registration, with a server that gives `answers` in turn, the last one for ever."""

    client_register = FederatedClientBase.client_register
    client_name = "hospital-01"
    logger = logging.getLogger("site")

    def __init__(self, *answers):
        self.answers, self.asked, self.filters, self.waits = answers, 0, [], []
        self.token, self.fl_ctx, self.stopped = None, FLContext(), False
        self.communicator = SimpleNamespace(client_registration=self._answer, heartbeat_done=False)
        self.cell = SimpleNamespace(core_cell=SimpleNamespace(add_incoming_reply_filter=self._filter), stop=self._stop)

    def register(self, fl_ctx):
        self.client_register("net", fl_ctx)

    def _filter(self, channel, topic, function):
        assert (channel, topic) == (CellChannel.SERVER_MAIN, CellChannelTopic.Register)
        self.filters.append(function)

    def _answer(self, *_):
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, str):
            return answer, "signature", "ssid"
        if answer is not LOST:
            for function in self.filters:
                function(make_reply(*answer))
        raise FLCommunicationError("error:client_registration")

    def _stop(self):
        self.stopped = True


@pytest.fixture
def started(monkeypatch):
    """Start a site as FLARE's main function does, up to its registration; `waits` are its pauses in seconds."""

    def start(*answers):
        site, context = Site(*answers), FLContext()
        monkeypatch.setattr(kit_lock.time, "sleep", lambda seconds: site.waits.append((seconds, site.stopped)))
        context.set_prop(FLContextKey.SITE_OBJ, site, private=True, sticky=True)
        guard = KitLock()
        guard.handle_event(EventType.BEFORE_CLIENT_REGISTER, context)
        site.register(context)
        context.set_prop(FLContextKey.CLIENT_TOKEN, site.token)
        guard.handle_event(EventType.AFTER_CLIENT_REGISTER, context)
        assert context.get_prop(FLContextKey.CLIENT_TOKEN) == site.token
        return site

    return start


def test_a_refused_start_closes_its_connection_and_ends_once_the_running_kit_has_reported_again(started):
    site = started(REFUSED)
    assert site.asked == 1  # each further try would cut off the kit that runs
    ((seconds, closed),) = site.waits
    assert closed
    server = json.loads((TEMPLATES / "server/resources.json").read_text())["servers"][0]
    assert seconds > server["heart_beat_timeout"]  # else a copy that is started on and on could silence the running kit


def test_an_accepted_start_goes_on(started):
    site = started("token")
    assert site.asked == 1
    assert not site.stopped
    assert site.waits == []


@pytest.mark.parametrize("answer", [LOST, STARTING, NO_SESSION])
def test_a_site_whose_answer_was_lost_asks_again_and_reports_to_the_server(started, answer):
    site = started(answer, answer, "token")
    assert site.token == "token"
    assert not site.communicator.heartbeat_done  # FLARE sets it at the first failure, and then no report would be sent
    assert not site.stopped


def test_a_refusal_whose_answer_was_lost_is_heard_the_second_time(started):
    site = started(LOST, REFUSED)
    assert site.asked == 2
    assert site.stopped


def test_a_site_that_gets_no_answer_ends_at_once_and_is_started_again(started):
    site = started(LOST)
    assert site.asked == kit_lock.REGISTER_TRIES
    assert site.stopped
    assert site.waits == [(kit_lock.REGISTER_SECONDS, False)] * (kit_lock.REGISTER_TRIES - 1)
