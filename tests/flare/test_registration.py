"""Which start of a kit may register while the server knows another one."""

import uuid
from types import SimpleNamespace

import pytest
from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthenticated
from nvflare.fuel.f3.cellnet.core_cell import make_reply
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode

from fedward.flare import registration
from fedward.flare.kit_lock import INSTANCE
from fedward.flare.registration import RegistrationGuard

SITE = "hospital-01"
FIRST = {"start": "1", "lock": "a:1:1"}
AGAIN = {**FIRST, "start": "2"}
COPY = {"start": "3", "lock": "b:1:1"}


class Server:
    """A server that knows its clients as FLARE's does: by name, each with the token of its registration."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(registration.time, "monotonic", lambda: self.now)
        self.clients, self.filters = {}, []
        core = SimpleNamespace(add_outgoing_reply_filter=lambda channel, topic, function: self.filters.append(function))
        self.engine = SimpleNamespace(
            client_manager=SimpleNamespace(name_to_clients=self.clients),
            get_cell=lambda: SimpleNamespace(core_cell=core),
        )
        self.guard = RegistrationGuard()
        self.fire(EventType.SYSTEM_START)

    def fire(self, event, instance=None, sender=SITE):
        context, peer = FLContext(), FLContext()
        context.put(ReservedKey.ENGINE, self.engine, private=True, sticky=False)
        peer.put(ReservedKey.IDENTITY_NAME, sender, private=False, sticky=False)
        if instance is not None:
            peer.set_prop(INSTANCE, instance, private=False, sticky=False)
        context.set_peer_context(peer)
        self.guard.handle_event(event, context)

    def register(self, instance, valid=True):
        self.fire(EventType.CLIENT_REGISTER_RECEIVED, instance)
        if valid:
            self.clients[SITE] = Client(SITE, str(uuid.uuid4()))
        self.fire(EventType.CLIENT_REGISTER_PROCESSED, instance)

    def refuses(self, instance):
        try:
            self.fire(EventType.CLIENT_REGISTER_RECEIVED, instance)
        except NotAuthenticated:
            return True
        return False

    def report(self, instance):
        self.fire(EventType.CLIENT_HEARTBEAT_PROCESSED, instance)

    def told(self):
        reply = make_reply(ReturnCode.UNAUTHENTICATED, "register_client unauthenticated")
        reply.set_header(MessageHeaderKey.DESTINATION, SITE)
        self.filters[0](reply)
        return reply.get_header(MessageHeaderKey.ERROR)


@pytest.fixture
def server(monkeypatch):
    return Server(monkeypatch)


def test_a_second_start_is_refused_while_the_first_is_alive_and_told_why(server):
    server.register(FIRST)
    assert server.refuses(COPY)
    assert "hospital-01 is connected already, from another start of its kit" in server.told()
    assert server.told() == "register_client unauthenticated"  # of another refusal, FLARE's own words


def test_a_restart_of_the_same_kit_is_let_in_at_once(server):
    server.register(FIRST)
    server.register(AGAIN)
    assert server.refuses(COPY)


def test_a_kit_that_moved_is_let_in_once_the_former_is_silent(server):
    server.register(FIRST)
    server.now += 61
    server.register(COPY)
    assert server.refuses(AGAIN)


def test_a_kit_that_moved_is_let_in_at_once_where_the_former_said_that_it_ends(server):
    server.register(FIRST)
    del server.clients[SITE]
    server.fire(EventType.CLIENT_QUIT, FIRST)
    assert not server.refuses(COPY)


def test_a_site_that_reports_stays(server):
    server.register(FIRST)
    for _ in range(20):
        server.now += 40  # a report every 10 s, and one that was lost costs another 30
        server.report(FIRST)
        server.report(COPY)  # says nothing about the first
    server.now += 59
    assert server.refuses(COPY)


def test_a_copy_that_tries_on_and_on_does_not_take_the_place_of_a_site_whose_reports_it_cuts_off(server):
    server.register(FIRST)
    for _ in range(59):
        server.now += 5
        assert server.refuses(COPY)
    server.report(FIRST)
    server.now += 5
    assert server.refuses(COPY)


def test_a_kit_that_moved_and_tries_on_and_on_is_let_in_after_five_minutes(server):
    server.register(FIRST)
    waited = 0
    while server.refuses(COPY):
        server.now += 30  # as its service does
        waited += 30
        assert waited <= 330
    assert waited == 330


def test_a_site_that_the_server_gave_up_keeps_its_place_until_it_is_known_to_be_gone(server):
    server.register(FIRST)
    client = server.clients.pop(SITE)
    server.now += 50
    assert server.refuses(COPY)
    server.clients[SITE] = client  # its next report: FLARE lists it anew, with the token that it has
    server.report(FIRST)
    server.now += 50
    assert server.refuses(COPY)


def test_who_was_not_let_in_takes_no_place(server):
    server.register(FIRST)
    server.now += 50
    server.register(AGAIN, valid=False)  # its certificate did not hold
    server.now += 20
    assert not server.refuses(COPY)


def test_a_person_may_have_two_sessions(server):
    for _ in range(2):
        server.fire(EventType.CLIENT_REGISTER_RECEIVED, sender="lead@example.org")
        server.fire(EventType.CLIENT_REGISTER_PROCESSED, sender="lead@example.org")


def test_after_a_restart_of_the_server_the_reports_tell_who_is_who(server):
    server.register(FIRST)
    server.guard = RegistrationGuard()
    server.report(FIRST)
    server.report(COPY)  # does not take the place of the first
    server.register(AGAIN)
    assert server.refuses(COPY)


@pytest.mark.parametrize("instance", [None, {}, {"lock": ""}, "text"])
def test_a_client_that_does_not_say_who_it_is_takes_no_place(server, instance):
    server.register(instance)
    assert server.refuses(instance)
