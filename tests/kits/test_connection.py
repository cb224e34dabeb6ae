"""The way to the server: each step that can fail has its own line, and who answers instead is named."""

import contextlib
import json
import shutil
import socket
import ssl
import threading
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fedward.kits.connection import check_connection
from fedward.kits.kit import open_kit


@contextlib.contextmanager
def listening(answer):
    """A server on the loopback that hands each connection to `answer`; gives its port."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        stop.set()
        thread.join(10)
        server.close()


def tls_server(kit, trusted=None):
    """What answers like FLARE's gRPC server: mutual TLS, and it speaks first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(kit / "startup/server.crt", kit / "startup/server.key")
    context.load_verify_locations(trusted or kit / "startup/rootCA.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])

    def answer(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.sendall(b"settings")
            secure.recv(1)

    return answer


def dial(kit, port, host="localhost", scheme="grpc"):
    path = kit / "startup/fed_client.json"
    values = json.loads(path.read_text())
    values["servers"][0]["service"] = {"target": f"{host}:{port}", "scheme": scheme}
    path.write_text(json.dumps(values))
    return open_kit(kit)


def last(kit, starting=False, timeout=5.0):
    finding = check_connection(kit, starting, timeout)[-1]
    return finding.level, finding.name, f"{finding.text} -> {finding.fix}"


def test_the_networks_own_server_is_accepted(kits):
    with listening(tls_server(kits / "localhost")) as port:
        findings = check_connection(dial(kits / "hospital-01", port))
    assert [(one.level, one.name) for one in findings] == [
        ("ok", "proxy"),
        ("ok", "name resolution"),
        ("ok", "server reachable"),
        ("ok", "TLS handshake"),
    ]


def test_nobody_there(kits):
    (port,) = [socket.create_server(("127.0.0.1", 0)).getsockname()[1]]  # closed again at once
    kit = dial(kits / "hospital-01", port)
    level, name, text = last(kit)
    assert (level, name) == ("problem", "server reachable")
    assert "refuses the connection" in text
    assert "outgoing TCP" in text
    assert last(kit, starting=True)[0] == "warning"
    assert last(replace(kit, role="admin"), starting=True)[0] == "warning"
    kit = dial(kits / "hospital-01", port, host="server.invalid")
    level, name, text = last(kit)
    assert (level, name) == ("problem", "name resolution")
    assert "/etc/hosts" in text
    assert last(kit, starting=True)[0] == "warning"


def test_a_proxy_that_inspects_tls_is_recognised(kits, make_authority, issue):
    proxy = make_authority("Hospital Web Gateway")
    issue(kits / "localhost", proxy, "localhost", "consortium")
    with listening(tls_server(kits / "localhost")) as port:
        level, name, text = last(dial(kits / "hospital-01", port), starting=True)
    assert (level, name) == ("problem", "TLS handshake")
    assert "issued by 'Hospital Web Gateway', not by 'fedward'" in text
    assert "proxy that inspects TLS" in text


def test_a_network_that_was_provisioned_anew(kits, make_authority, issue):
    issue(kits / "localhost", make_authority("fedward"), "localhost", "consortium")
    with listening(tls_server(kits / "localhost")) as port:
        level, name, text = last(dial(kits / "hospital-01", port), starting=True)
    assert (level, name) == ("problem", "TLS handshake")
    assert "provisioned anew" in text


def test_a_server_that_does_not_trust_the_kit(kits, make_authority, tmp_path):
    other = tmp_path / "other.pem"
    other.write_bytes(make_authority("other").certificate.public_bytes(Encoding.PEM))
    with listening(tls_server(kits / "localhost", trusted=other)) as port:
        level, name, text = last(dial(kits / "hospital-01", port), starting=True)
    assert (level, name) == ("problem", "TLS handshake")
    assert "refuses this kit's certificate" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": "localhost", "first_day": -9, "last_day": -1}, "the server's certificate is expired"),
        ({"name": "hospital-02", "hosts": ["localhost"]}, "is hospital-02, not localhost"),
        ({"name": "localhost", "hosts": ["other.example"]}, "is for other.example, this kit dials localhost"),
    ],
)
def test_a_wrong_certificate_of_the_server(kits, authority, issue, values, expected):
    issue(kits / "localhost", authority, org="consortium", **values)
    with listening(tls_server(kits / "localhost")) as port:
        level, name, text = last(dial(kits / "hospital-01", port), starting=True)
    assert (level, name) == ("problem", "TLS handshake")
    assert expected in text


def test_the_host_name_counts_for_grpc_alone_as_in_flare(kits, authority, issue):
    issue(kits / "localhost", authority, "localhost", "consortium", hosts=["other.example"])
    with listening(tls_server(kits / "localhost")) as port:
        assert last(dial(kits / "hospital-01", port, scheme="tcp"))[0] == "ok"


def test_a_port_that_speaks_no_tls(kits):
    def plain(connection):
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(plain) as port:
        level, name, text = last(dial(kits / "hospital-01", port), starting=True)
    assert (level, name) == ("problem", "TLS handshake")
    assert "does not speak TLS" in text


def test_a_port_that_says_nothing(kits):
    with listening(lambda connection: [connection.recv(10_000), connection.recv(1)]) as port:
        kit = dial(kits / "hospital-01", port)
        assert last(kit, timeout=0.5)[0] == "problem"
        level, name, text = last(kit, starting=True, timeout=0.5)
    assert (level, name) == ("warning", "TLS handshake")
    assert "says nothing" in text


def test_a_kit_whose_own_certificate_is_broken_says_so_once(kits):
    shutil.copy(kits / "hospital-02/startup/client.key", kits / "hospital-01/startup/client.key")
    with listening(tls_server(kits / "localhost")) as port:
        level, name, text = last(dial(kits / "hospital-01", port))
    assert (level, name) == ("problem", "TLS handshake")
    assert "private key say" in text


def test_proxy_variables(kits, monkeypatch):
    kit = dial(kits / "hospital-01", 1)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    finding = check_connection(kit)[0]
    assert (finding.level, finding.name) == ("warning", "proxy")
    assert "no_proxy=localhost" in finding.fix
    monkeypatch.setenv("no_proxy", "other.example, localhost")
    assert check_connection(kit)[0].level == "ok"
