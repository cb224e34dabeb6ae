"""A site whose registration the server refuses ends, its start script too; one whose answer was lost asks again."""

import logging
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

REFUSED = (ReturnCode.UNAUTHENTICATED, "hospital-01 is connected already, from another start of its kit")
NO_SESSION = (ReturnCode.UNAUTHENTICATED, "no registration session")  # the server began anew since the challenge
STARTING = (ReturnCode.COMM_ERROR, "server is not ready")
LOST = None  # the connection broke, or the time for an answer was over: FLARE's cell gives an empty one


class Site:
    """FLARE's client as far as its registration, with a server that gives `answers` in turn, the last one for ever."""

    client_register = FederatedClientBase.client_register
    client_name = "hospital-01"
    logger = logging.getLogger("site")

    def __init__(self, *answers):
        self.answers, self.asked, self.filters = answers, 0, []
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
def started(tmp_path, monkeypatch):
    """Start a site as FLARE's main function does, up to its registration."""
    monkeypatch.setattr(kit_lock, "REGISTER_SECONDS", 0.0)

    def start(*answers):
        site, context = Site(*answers), FLContext()
        context.set_prop(FLContextKey.SITE_OBJ, site, private=True, sticky=True)
        workspace = SimpleNamespace(get_root_dir=lambda: str(tmp_path))
        context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True)
        guard = KitLock()
        guard.handle_event(EventType.BEFORE_CLIENT_REGISTER, context)
        site.register(context)
        context.set_prop(FLContextKey.CLIENT_TOKEN, site.token)
        guard.handle_event(EventType.AFTER_CLIENT_REGISTER, context)
        assert context.get_prop(FLContextKey.CLIENT_TOKEN) == site.token
        return site

    return start


@pytest.fixture
def in_the_background(tmp_path):
    (tmp_path / "daemon_pid.fl").write_text("4711\n")  # sub_start.sh runs, and would start it again
    return tmp_path / "shutdown.fl"


def test_a_refused_start_in_the_background_is_not_tried_again(started, in_the_background):
    site = started(REFUSED)
    assert site.asked == 1  # each further try would cut off the kit that runs
    assert site.stopped
    assert in_the_background.exists()


def test_a_service_decides_itself_when_to_try_again(started, tmp_path):
    assert started(REFUSED).stopped
    assert not (tmp_path / "shutdown.fl").exists()


def test_an_accepted_start_goes_on(started, in_the_background):
    site = started("token")
    assert site.asked == 1
    assert not site.stopped
    assert not in_the_background.exists()


@pytest.mark.parametrize("answer", [LOST, STARTING, NO_SESSION])
def test_a_site_whose_answer_was_lost_asks_again_and_reports_to_the_server(started, in_the_background, answer):
    site = started(answer, answer, "token")
    assert site.token == "token"
    assert not site.communicator.heartbeat_done  # FLARE sets it at the first failure, and then no report would be sent
    assert not site.stopped
    assert not in_the_background.exists()


def test_a_refusal_whose_answer_was_lost_is_heard_the_second_time(started, in_the_background):
    site = started(LOST, REFUSED)
    assert site.asked == 2
    assert site.stopped
    assert in_the_background.exists()


def test_a_site_that_gets_no_answer_leaves_it_to_its_start_script_to_try_again(started, in_the_background):
    site = started(LOST)
    assert site.asked == kit_lock.REGISTER_TRIES
    assert site.stopped
    assert not in_the_background.exists()
