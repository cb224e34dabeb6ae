"""Who is let in: forged, foreign and expired certificates, kits started twice, a second server."""

import re
import shutil
import socket

import pytest
from attacker import Authority, flare, printed, take_certificate, tls, until, without_guards
from real_network import LEAD, STUDY, command

from fedward.errors import FedwardError
from fedward.flare.session import connect
from fedward.kits.kit import open_kit

SITE, OTHER = "hospital-03", "hospital-02"
PERSONS = "the certificate is a person's (role lead), the kit a hospital's"


@pytest.fixture(scope="module")
def forged(network, tmp_path_factory):
    """Kits of hospital-03 with certificates that are not its own, and with a good one, all by name."""
    root = tmp_path_factory.mktemp("kits")
    own, stranger = Authority(network), Authority(network, own=False)
    changes = {
        "good": lambda kit: kit,
        "unknown authority": lambda kit: stranger.put_into(kit, SITE, "hospital_03"),
        "expired": lambda kit: own.put_into(kit, SITE, "hospital_03", expired=True),
        "another site": lambda kit: take_certificate(kit, network.kit(OTHER)),
        "a person": lambda kit: take_certificate(kit, network.kit(LEAD)),
        "a person of the site's name": lambda kit: own.put_into(kit, SITE, "hospital_03", role="lead"),
    }
    return {name: change(network.copy_kit(SITE, root / name.replace(" ", "-"))) for name, change in changes.items()}


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("unknown authority", "the certificate of hospital-03 was not issued by fedward"),
        pytest.param("expired", "the certificate expired on", marks=pytest.mark.slow),
        ("another site", "the certificate is that of hospital-02, the kit that of hospital-03"),
        pytest.param("a person", PERSONS, marks=pytest.mark.slow),
        pytest.param("a person of the site's name", PERSONS, marks=pytest.mark.slow),
    ],
)
def test_the_kit_itself_does_not_start_and_says_why(forged, what, reason):
    done = command(forged[what] / "startup" / "start.sh", "--once")
    assert done.returncode == 1
    assert reason in done.stdout
    assert "not ready" in done.stdout


def test_the_server_ends_the_handshake_with_whom_its_authority_did_not_certify(network, forged):
    assert tls(network, forged["good"]) == "accepted"
    assert tls(network, forged["unknown authority"]) == "refused"
    assert tls(network, forged["expired"]) == "refused"
    assert tls(network, None) == "refused"


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 64]
)
def test_plain_tcp_gets_no_answer(network, sent):
    with socket.create_connection(("127.0.0.1", network.port), 10) as plain:
        plain.settimeout(10)
        plain.sendall(sent)
        try:
            answer = plain.recv(100)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer[:1] == b"\x15"  # closed, at most after a TLS alert


def test_a_hospital_is_no_person_and_a_stranger_nobody(network, tmp_path):
    kit = tmp_path / "kit"
    shutil.copytree(network.kit(LEAD), kit)
    take_certificate(kit, network.kit(OTHER))
    with pytest.raises(FedwardError, match=r"no session with .*client_registration"), connect(open_kit(kit), STUDY):
        pass
    assert "failed to verify client identity: CNMismatch" in network.log("localhost")
    Authority(network, own=False).put_into(kit, LEAD, "consortium", "lead")
    with pytest.raises(FedwardError, match="signature does not match"), connect(open_kit(kit), STUDY):
        pass


@pytest.mark.slow
def test_a_client_that_skips_the_check_is_refused_by_the_server(network, forged):
    names = ("another site", "a person")
    kits = [without_guards(forged[name]) for name in names]
    with flare(kits[0], name=SITE), flare(kits[1], name=SITE):
        for owner in (OTHER, LEAD):
            sentence = f"authenticated as '{owner}' but claimed endpoint '{SITE}' requires identity '{SITE}'"
            until(lambda text=sentence: text in network.log("localhost"), 60, lambda: network.log("localhost")[-1500:])
    assert not any("Successfully registered" in printed(kit) for kit in kits)
    with connect(network.person(), STUDY) as connection:
        assert SITE in connection.sites()


@pytest.mark.slow
def test_the_same_kit_does_not_run_twice(network, forged, tmp_path):
    kit = network.kit(SITE)
    again = command(kit / "startup" / "start.sh", "--once")
    assert again.returncode == 1
    assert re.search("this kit runs already as process [0-9]+", again.stdout)
    copy = network.copy_kit(SITE, tmp_path / "elsewhere")
    there = command(copy / "startup" / "start.sh", "--once", limit=200)  # a refused start ends after 75 s
    assert there.returncode != 0
    assert f"registration rejected: {SITE} is connected already, from" in there.stdout
    with connect(network.person(), STUDY) as connection:
        assert SITE in connection.sites()


@pytest.mark.slow
def test_a_second_server_ends_with_a_clear_error(network, tmp_path):
    copy = network.copy_kit("localhost", tmp_path / "server")
    done = command(copy / "startup" / "start.sh", "--once")
    assert done.returncode == 1
    assert re.search(rf"port {network.port}: taken by process [0-9]+ .*another server runs here", done.stdout)
    shutil.copy(network.server / "check.json", copy / "check.json")
    with flare(copy, "server") as process:
        assert process.wait(60) != 0
    assert f"fedward refuses to start: port {network.port} is taken by process" in printed(copy)


@pytest.mark.slow  # in the default set, the job of test_people.py says the same
def test_a_good_job_still_runs(network, tmp_path):
    job = network.export(tmp_path, "after-identity", "--hospitals", "3", "--rounds", "1")
    meta = network.until(network.submit(job), "FINISHED")
    assert meta["status"] == "FINISHED:COMPLETED", meta
