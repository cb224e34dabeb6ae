"""The health check of containers: a server that listens, a site that is connected."""

import os
import socket
import subprocess
import sys

import pytest

from fedward.kits import health as module
from fedward.kits.health import health, main, tcp_connections
from fedward.kits.kit import Kit, Network


@pytest.fixture
def port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def kit_of(role: str, port: int, tmp_path) -> Kit:
    network = Network("n", {"name": "s", "host": "h", "port": port}, ("a",), None, {}, {}, {}, "0", "0", "00")
    return Kit(tmp_path, role, "a", network, "127.0.0.1", port, "grpc")


def test_server_is_healthy_while_it_listens(port, tmp_path):
    number = port.getsockname()[1]
    assert health(kit_of("server", number, tmp_path), tcp_connections()) is None
    port.close()
    assert f"does not listen on port {number}" in health(kit_of("server", number, tmp_path), tcp_connections())


def test_site_is_healthy_while_it_is_connected(port, tmp_path):
    number = port.getsockname()[1]
    site = kit_of("hospital", number, tmp_path)
    assert f"no connection to the server 127.0.0.1:{number}" in health(site, tcp_connections())
    with socket.create_connection(port.getsockname()):
        assert health(site, tcp_connections()) is None


def test_exit_code_and_reason(port, tmp_path, monkeypatch, capsys):
    kit = kit_of("server", port.getsockname()[1], tmp_path)
    monkeypatch.setattr(module, "open_kit", lambda path: kit)
    assert main(["kit"]) == 0
    port.close()
    assert main(["kit"]) == 1
    assert "does not listen" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["no-kit-here"]])
def test_wrong_arguments_are_told_without_a_traceback(arguments):
    command = [sys.executable, "-m", "fedward.kits.health", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ})
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr
