"""What run.json says about versions and machine."""

import json
import platform
import socket

from fedward import __version__
from fedward.machine import machine, versions


def test_versions_are_those_installed():
    found = versions()
    assert found["fedward"] == __version__
    assert found["python"] == platform.python_version()
    assert {"torch", "nvflare", "numpy"} <= set(found)


def test_the_machine_is_described_without_its_name():
    found = machine(3)
    assert found["threads_per_site"] == 3
    assert found["cores"] >= 1
    assert found["memory_gib"] >= 1
    assert found["processor"]
    assert socket.gethostname() not in json.dumps(found)
