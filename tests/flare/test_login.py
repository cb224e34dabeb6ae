"""Logging in at a server that is slow, gone or refuses: which of FLARE's errors are tried again, and for how long."""

from types import SimpleNamespace

import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.fuel.f3.cellnet.core_cell import make_reply
from nvflare.fuel.f3.cellnet.defs import IdentityChallengeKey, ReturnCode
from nvflare.fuel.flare_api.api_spec import AuthenticationError, AuthorizationError, NoConnection
from nvflare.fuel.flare_api.flare_api import Session
from nvflare.fuel.hci.client import api as admin_api
from nvflare.private.fed import authenticator

from fedward.errors import FedwardError
from fedward.flare import login
from fedward.flare.login import PATIENCE, PAUSE, log_in
from fedward.kits.finding import ok, problem, warning

KIT = SimpleNamespace(name="lead@example.org", root="KIT", host="server.example", port=8002)
GONE = NoConnection("cannot connect to server for 15.0 seconds")


class Server:
    """What FLARE meets, one thing a try (the last again and again), each after `seconds` on its own clock."""

    def __init__(self, *results, seconds=15.0):
        self.results, self.seconds = list(results), seconds
        self.now, self.tries, self.pauses = 0.0, 0, []

    def new_session(self, name, kit, **options):
        self.tries += 1
        self.now += self.seconds
        print("Connecting to FLARE ...")
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def enter(monkeypatch):
    """enter(server, patience=...): log in at it; TLS with it goes as `enter.tls` says."""

    def entered(server, patience=PATIENCE):
        monkeypatch.setattr(login, "new_secure_session", server.new_session)
        monkeypatch.setattr(login, "check_connection", lambda kit, starting: entered.tls if starting else [])
        return log_in(KIT, "brain-tumour", patience, lambda: server.now, server.sleep)

    entered.tls = [ok("TLS handshake", "accepted")]
    return entered


def raised(call) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def of_authentication(*replies, challenge):
    """What FLARE raises where the server's replies to the challenge, or else to registrations, are these."""
    left = list(replies)
    cell = SimpleNamespace(send_request=lambda **request: left.pop(0))
    names = ("net", "lead", "admin", "server")
    made = authenticator.Authenticator(cell, *names, challenge, "", "", "", msg_timeout=1, retry_interval=0, timeout=9)
    return raised(lambda: made.authenticate(FLContext(), Signal()))


def of_login(monkeypatch, answer):
    """What FLARE raises where the server's answer to the login of a registered person is this; None: none came."""
    monkeypatch.setattr(admin_api, "AUTO_LOGIN_INTERVAL", 0)
    asserter = SimpleNamespace(cert_data=b"", sign_common_name=lambda nonce: b"")
    monkeypatch.setattr(admin_api, "IdentityAsserter", lambda **files: asserter)
    api = admin_api.AdminAPI.__new__(admin_api.AdminAPI)
    vars(api).update(event_handlers=[], auto_login_max_tries=1, closed=False, user_name="lead", study="s", _debug=False)
    vars(api).update(client_key="", client_cert="", connect=lambda timeout: None)
    api.server_execute = lambda *command, **headers: setattr(api, "login_result", answer)
    session = Session.__new__(Session)
    session.api = api
    return raised(lambda: session.try_connect(1))


def test_a_server_that_answers_at_last_lets_in_and_the_wait_is_told_once(enter, monkeypatch, capsys):
    server = Server(GONE, of_login(monkeypatch, None), GONE, "a session")
    assert enter(server) == "a session"
    assert (server.tries, server.pauses) == (4, [PAUSE] * 3)
    told = "Waiting for the server at server.example:8002 (cannot connect to server for 15.0 seconds): trying again"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"{told} for up to 120 s\n"


@pytest.mark.parametrize(
    ("reply", "challenge"),
    [
        (make_reply(ReturnCode.TIMEOUT), True),
        (make_reply(ReturnCode.PROCESS_EXCEPTION), True),
        (make_reply(ReturnCode.TIMEOUT), False),
        (make_reply(ReturnCode.COMM_ERROR), False),
    ],
)
def test_what_flare_raises_where_no_answer_comes_is_tried_again(enter, capsys, reply, challenge):
    server = Server(of_authentication(reply, challenge=challenge), "a session")
    capsys.readouterr()
    assert enter(server) == "a session"
    assert server.tries == 2
    assert "server.example:8002 (no answer in time): trying again" in capsys.readouterr().err


@pytest.mark.parametrize("error", [GONE, None], ids=["no connection", "no answer to the login"])
def test_it_ends_in_time_and_says_what_to_look_at(enter, monkeypatch, error):
    server = Server(error or of_login(monkeypatch, None))
    said = str(raised(lambda: enter(server)))
    assert PATIENCE - PAUSE <= server.now <= PATIENCE + server.seconds
    assert server.tries == 1 + len(server.pauses) > 3
    assert "server.example:8002, tried for 1" in said
    assert ("cannot connect to server" if error else "Communication Error") in said
    assert "fedward check-kit KIT names the step that fails" in said


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            AuthenticationError("unknown study 'x'"),
            "the server refused lead@example.org, study 'brain-tumour': unknown",
        ),
        (AuthorizationError("no"), "the server refused lead@example.org"),
        (RuntimeError("signature does not match"), "no session with server.example:8002: signature does not match"),
    ],
)
def test_a_refusal_is_final(enter, capsys, error, sentence):
    server = Server(error)
    with pytest.raises(FedwardError, match=sentence):
        enter(server)
    assert server.tries == 1
    assert capsys.readouterr().err == ""


def test_what_flare_raises_where_the_server_refuses_is_final(enter, monkeypatch):
    # another's certificate: a reply without a token, and to the next try this
    unknown = (
        make_reply(ReturnCode.OK, body={}),
        make_reply(ReturnCode.UNAUTHENTICATED, error="no registration session"),
    )
    stranger = make_reply(ReturnCode.OK, body=Shareable({IdentityChallengeKey.COMMON_NAME: "another"}))
    monkeypatch.setattr(authenticator, "load_crt_chain_bytes", lambda data: [None])
    for error, sentence in (
        (of_authentication(*unknown, challenge=False), "client_registration no registration session"),
        (of_authentication(stranger, challenge=True), "expected server identity is 'server' but got 'another'"),
        (of_login(monkeypatch, "REJECT: AUTH_UNKNOWN_STUDY: unknown study 'x'"), "unknown study 'x'"),
        (of_login(monkeypatch, "REJECT"), "Incorrect user name"),
    ):
        server = Server(error)
        with pytest.raises(FedwardError, match=sentence):
            enter(server)
        assert server.tries == 1


def test_a_certificate_that_tls_refuses_is_final_although_flare_calls_it_no_connection(enter):
    server = Server(GONE)
    enter.tls = [problem("TLS handshake", "server.example:8002 refuses this kit's certificate", "ask the lead")]
    with pytest.raises(FedwardError, match="refuses this kit's certificate: ask the lead"):
        enter(server)
    assert server.tries == 1


def test_a_server_that_is_not_reached_yet_is_not_refusing(enter):
    enter.tls = [warning("server reachable", "server.example:8002 refuses the connection", "ask whether it runs")]
    assert enter(Server(GONE, "a session"))


def test_without_patience_there_is_one_try_and_no_word(enter, capsys):
    server = Server(GONE)
    with pytest.raises(FedwardError, match=r"no server answers at server.example:8002, tried for 15 s"):
        enter(server, patience=0)
    assert server.tries == 1
    assert capsys.readouterr().err == ""
