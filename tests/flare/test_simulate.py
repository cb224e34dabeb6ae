"""How the simulator's parent reaches the process of a site, of which it knows a port alone, and misses it."""

import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest
from nvflare.private.fed.app.simulator.simulator_runner import SimulatorClientRunner

from fedward.flare import simulate
from fedward.flare.simulate import WatchedClients
from fedward.kits.one_machine import free_port

SITE = """
import sys, time
from multiprocessing.connection import Listener
time.sleep(1)
for _ in range(100):
    try:
        listener = Listener(("localhost", int(sys.argv[1])))
        break
    except OSError:  # what a test left open there is not closed yet
        time.sleep(0.1)
with listener.accept() as connection:
    connection.send("the site")
"""


@pytest.fixture
def clients():
    return WatchedClients.__new__(WatchedClients)  # FLARE's constructor wants a whole simulation


@pytest.fixture
def site():
    """Starts a site's process that listens at a port a second later."""
    started = []

    def start(port, code=SITE):
        started.append(subprocess.Popen([sys.executable, "-c", code, str(port)]))
        return psutil.Process(started[-1].pid)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_socket_that_still_listens_at_the_port_is_not_taken_for_the_site(clients, site):
    """FLARE tries the port before it gives it away; a process that another thread forks meanwhile holds it open."""
    left_open = socket.create_server(("localhost", 0))
    port = left_open.getsockname()[1]
    threading.Timer(0.5, left_open.close).start()
    site(port)
    with clients._create_connection(port, timeout=20) as connection:
        assert connection.recv() == "the site"


def test_a_site_that_ends_before_it_listens_is_not_waited_for(clients, site):
    begun = time.monotonic()
    site(1, "")
    with pytest.raises(RuntimeError, match="port 1"):
        clients._create_connection(1, timeout=20)
    assert time.monotonic() - begun < 10


def test_a_site_without_a_command_line_yet_is_waited_for(clients, site, monkeypatch):
    """Linux lets Popen return a moment before the new process has its arguments."""
    cmdline, looks = psutil.Process.cmdline, []

    def late(self):
        looks.append(self)
        return [] if len(looks) < 3 else cmdline(self)

    monkeypatch.setattr(psutil.Process, "cmdline", late)
    port = free_port()
    site(port)
    with clients._create_connection(port, timeout=20) as connection:
        assert connection.recv() == "the site"


def test_a_site_that_never_listens_is_given_up(clients, site):
    site(1, "import time; time.sleep(30)")
    with pytest.raises(RuntimeError, match="port 1"):
        clients._create_connection(1, timeout=0.5)


def test_what_the_command_started_ends_with_it_though_some_of_it_has_ended_by_itself(site, monkeypatch):
    children = [site(1, ""), site(1, "import time; time.sleep(30)")]
    children[0].wait(20)
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: children)
    ended = []
    monkeypatch.setattr(simulate.os, "_exit", ended.append)
    simulate.end_with(parent=-1)
    children[1].wait(10)
    assert ended == [1]


def test_a_caller_that_had_ended_before_the_simulator_looked_is_missed(monkeypatch):
    exited = threading.Event()
    monkeypatch.setattr(simulate.os, "_exit", lambda code: exited.set())
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: [])
    monkeypatch.setattr(simulate.simulator_runner, "shlex", None)
    simulation = SimpleNamespace(run=lambda: 0 if exited.wait(20) else 1)
    monkeypatch.setattr(simulate, "WatchedSimulator", lambda *arguments, **options: simulation)
    assert simulate.main("job", "workspace", "hospital-01", caller="-1") == 0


SITE_CLIENT = SimpleNamespace(client_name="hospital-01", token="token")


@pytest.mark.parametrize(
    ("answer", "gone"),
    [
        ((True, SITE_CLIENT, "hospital-01"), []),  # the run is over
        ((False, SITE_CLIENT, None), []),
        ((True, None, "hospital-01"), ["token"]),  # FLARE's way to say that the process has died
        ((True, SITE_CLIENT, None), ["token"]),  # the process ended its work with a fault, and ends
        (RuntimeError("not connected"), ["token"]),
    ],
)
def test_a_site_whose_process_is_gone_leaves_the_servers_list(clients, monkeypatch, answer, gone):
    removed = []
    clients.server = SimpleNamespace(client_manager=SimpleNamespace(remove_client=removed.append))

    def do_one_task(self, client):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(SimulatorClientRunner, "do_one_task", do_one_task)
    if isinstance(answer, Exception):
        with pytest.raises(RuntimeError, match="not connected"):
            clients.do_one_task(SITE_CLIENT)
    else:
        assert clients.do_one_task(SITE_CLIENT) == answer
    assert removed == gone
