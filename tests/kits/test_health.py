"""The health check of containers and of services: this kit runs, and listens or is connected."""

import os
import socket
import subprocess
import sys

import psutil
import pytest

from fedward.kits import health as module
from fedward.kits.health import health, kit_connections, main
from fedward.kits.kit import Kit, Network

CONNECT = """
import socket, sys
held = []
if sys.argv[1] == "listen":
    held.append(socket.create_server(("127.0.0.1", 0)))
elif sys.argv[1] == "connect":
    held.append(socket.create_connection(("127.0.0.1", int(sys.argv[2]))))
print(held[0].getsockname()[1] if held else 0, flush=True)
sys.stdin.read()
"""
CHILD = """
import subprocess, sys
print(subprocess.Popen(sys.argv[3:], stdout=subprocess.PIPE, text=True).stdout.readline(), end="", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def start():
    """A process that looks as FLARE's of a kit, holds one socket and says its port."""
    started = []

    def start(kit, does, port=0, child=False):
        flare = ["-m", "nvflare.private.fed.app.client.client_train", "-m", str(kit.root), "-s", "fed_client.json"]
        words = [sys.executable, "-c", CONNECT, does, str(port)]
        if child:  # as a site's job, whose process is a child of the site's
            words = [sys.executable, "-c", CHILD, does, str(port), *words]
        process = subprocess.Popen([*words, *flare], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        number = int(process.stdout.readline())
        (kit.root / "running.lock").write_text(f"process {process.pid} on here\n")
        return process, number

    yield start
    for process in started:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def kit_of(role: str, port: int, root) -> Kit:
    root.mkdir(exist_ok=True)
    network = Network("n", {"name": "s", "host": "h", "port": port}, ("a",), None, {}, {}, {}, "0", "0", "00")
    return Kit(root, role, "a", network, "127.0.0.1", port, "grpc")


def told(kit):
    return health(kit, kit_connections(kit))


def test_server_is_healthy_while_it_listens(start, server, tmp_path):
    kit = kit_of("server", server, tmp_path)  # this test listens on the port, and is not the server
    assert "does not run" in told(kit)
    _, port = start(kit, "listen")
    assert f"does not listen on port {server}" in told(kit)
    assert told(kit_of("server", port, tmp_path)) is None


@pytest.mark.parametrize("child", [False, True])
def test_site_is_healthy_while_it_is_connected(start, server, tmp_path, child):
    kit = kit_of("hospital", server, tmp_path)
    start(kit, "nothing")
    assert f"no connection to the server 127.0.0.1:{server}" in told(kit)
    start(kit, "connect", server, child)
    assert told(kit) is None


def test_a_killed_site_is_not_healthy_because_of_another_kit_on_the_machine(start, server, tmp_path):
    one, other = kit_of("hospital", server, tmp_path / "one"), kit_of("hospital", server, tmp_path / "other")
    process, _ = start(one, "connect", server)
    start(other, "connect", server)
    assert told(one) is None
    process.kill()
    process.wait(20)
    assert "does not run" in told(one)
    assert told(other) is None
    (one.root / "running.lock").write_text((other.root / "running.lock").read_text())
    assert "does not run" in told(one)  # as in a copy of the other kit


def test_a_kit_of_another_user_is_judged_by_the_whole_machine(start, server, tmp_path, monkeypatch):
    kit = kit_of("hospital", server, tmp_path)
    start(kit, "nothing")

    def denied(process, kind):
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    assert "no connection" in told(kit)
    with socket.create_connection(("127.0.0.1", server)):
        assert told(kit) is None


def test_exit_code_and_reason(start, tmp_path, monkeypatch, capsys):
    process, port = start(kit_of("server", 1, tmp_path), "listen")
    kit = kit_of("server", port, tmp_path)
    monkeypatch.setattr(module, "open_kit", lambda path: kit)
    assert main(["kit"]) == 0
    process.kill()
    process.wait(20)
    assert main(["kit"]) == 1
    assert "does not run" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["no-kit-here"]])
def test_wrong_arguments_are_told_without_a_traceback(arguments):
    command = [sys.executable, "-m", "fedward.kits.health", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ})
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr
