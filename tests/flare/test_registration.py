"""Which start of a kit may register while the server knows another one."""

import time
from types import SimpleNamespace

import pytest
from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthenticated
from nvflare.fuel.f3.cellnet.core_cell import make_reply
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.private.defs import ClientRegSession, InternalFLContextKey

from fedward.flare.kit_lock import INSTANCE
from fedward.flare.registration import RegistrationGuard

SITE = "hospital-01"
FIRST = {"start": "1", "lock": "a:1:1"}
AGAIN = {**FIRST, "start": "2"}
COPY = {"start": "3", "lock": "b:1:1"}


class Server:
    """A server that knows its clients as FLARE's does: by name, with the time it last heard of them."""

    def __init__(self):
        self.clients, self.filters = {}, []
        core = SimpleNamespace(add_outgoing_reply_filter=lambda channel, topic, function: self.filters.append(function))
        self.engine = SimpleNamespace(
            client_manager=SimpleNamespace(name_to_clients=self.clients),
            get_cell=lambda: SimpleNamespace(core_cell=core),
        )
        self.guard = RegistrationGuard()
        self.fire(EventType.SYSTEM_START)

    def fire(self, event, instance=None, sender=SITE, connection=None):
        context, peer = FLContext(), FLContext()
        context.put(ReservedKey.ENGINE, self.engine, private=True, sticky=False)
        session = ClientRegSession(connection or sender)
        context.set_prop(InternalFLContextKey.CLIENT_REG_SESSION, session, private=True, sticky=False)
        peer.put(ReservedKey.IDENTITY_NAME, sender, private=False, sticky=False)
        if instance is not None:
            peer.set_prop(INSTANCE, instance, private=False, sticky=False)
        context.set_peer_context(peer)
        self.guard.handle_event(event, context)

    def register(self, instance, silent=0.0):
        self.fire(EventType.CLIENT_REGISTER_RECEIVED, instance)
        self.clients[SITE] = Client(SITE, "token")
        self.clients[SITE].last_connect_time = time.time() - silent
        self.fire(EventType.CLIENT_REGISTER_PROCESSED, instance)

    def refuses(self, instance):
        try:
            self.fire(EventType.CLIENT_REGISTER_RECEIVED, instance)
        except NotAuthenticated:
            return True
        return False

    def told(self):
        reply = make_reply(ReturnCode.UNAUTHENTICATED, "register_client unauthenticated")
        reply.set_header(MessageHeaderKey.DESTINATION, SITE)
        self.filters[0](reply)
        return reply.get_header(MessageHeaderKey.ERROR)


@pytest.fixture
def server():
    return Server()


def test_a_second_start_is_refused_while_the_first_is_alive_and_told_why(server):
    server.register(FIRST, silent=59.0)
    assert server.refuses(COPY)
    assert "hospital-01 is connected already, from another start of its kit, heard of 59 s ago" in server.told()
    assert server.told() == "register_client unauthenticated"  # of another refusal, FLARE's own words


def test_a_restart_of_the_same_kit_is_let_in_at_once(server):
    server.register(FIRST)
    server.register(AGAIN)
    assert server.refuses(COPY)


def test_a_kit_that_moved_is_let_in_once_the_server_has_given_the_former_up(server):
    server.register(FIRST)
    del server.clients[SITE]
    server.register(COPY)
    assert server.refuses(AGAIN)


def test_after_a_restart_of_the_server_the_reports_tell_who_is_who(server):
    server.register(FIRST)
    server.guard = RegistrationGuard()
    server.fire(EventType.CLIENT_HEARTBEAT_RECEIVED, FIRST)
    server.fire(EventType.CLIENT_HEARTBEAT_RECEIVED, COPY)  # does not take the place of the first
    server.register(AGAIN)
    assert server.refuses(COPY)


def test_another_site_that_gives_itself_out_for_this_one_takes_no_place(server):
    server.register(FIRST)
    with pytest.raises(NotAuthenticated, match="gives itself out for another site"):
        server.fire(EventType.CLIENT_REGISTER_RECEIVED, COPY, SITE, connection="hospital-02")
    assert (
        server.told() == "register_client unauthenticated"
    )  # the reason is for that connection, not for the real site
    with pytest.raises(NotAuthenticated):
        server.fire(EventType.CLIENT_REGISTER_RECEIVED, COPY, "nobody", connection=SITE)
    assert server.told() == "it gives itself out for another site"


@pytest.mark.parametrize("instance", [None, {}, {"lock": ""}, "text"])
def test_a_client_that_does_not_say_who_it_is_takes_no_place(server, instance):
    server.register(instance)
    assert server.refuses(instance)
