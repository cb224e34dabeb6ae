"""KitGuard in FLARE's own processes: what `fedward check-kit` did not pass does not start, however it is started."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedward.cli import cli, run
from fedward.flare.kit_guard import refusal
from fedward.kits.health import main as health
from fedward.kits.kit import open_kit
from fedward.kits.passed import write_passed
from fedward.kits.running import running_process


@pytest.fixture
def launch():
    """Start a kit by FLARE's script, not by ours; everything started is ended afterwards."""
    started = []

    def start(kit, *options):
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        script = ["bash", str(kit / "startup/sub_start.sh"), *options]
        with (kit / "console.txt").open("w") as console:
            process = subprocess.Popen(
                script, stdout=console, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def refused(process, kit):
    process.wait(60)
    return next(line for line in (kit / "console.txt").read_text().splitlines() if "fedward refuses to start" in line)


def wait_for_port(process, port):
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the server does not listen")


def test_only_a_checked_kit_starts_and_only_once(kits, launch):
    server, copy, site = kits / "localhost", kits / "copy", kits / "hospital-01"
    process = launch(server, "--once")
    assert "this kit was never checked" in refused(process, server)
    assert process.returncode != 0

    assert run(cli, ["check-kit", str(server)]) == 0
    shutil.copytree(server, copy)
    process = launch(server, "--once")
    wait_for_port(process, open_kit(server).port)
    second, unchecked = launch(copy, "--once"), launch(site)  # the script would start the site again, and again
    assert f"port {open_kit(server).port} is taken by process" in refused(second, copy)
    shutil.copy(server / "running.lock", copy)  # as in a kit that was copied while it ran
    assert [running_process(open_kit(kit)) for kit in (server, copy)] == [process.pid, None]
    assert [health([str(kit)]) for kit in (server, copy)] == [0, 1]
    assert second.returncode != 0
    assert "this kit was never checked" in refused(unchecked, site)
    log = (site / "log.txt").read_text()
    assert "run: fedward check-kit" in log
    assert "Successfully registered" not in log
    assert (site / "console.txt").read_text().count("fedward refuses to start") == 1
    assert process.poll() is None


def test_a_privacy_list_that_is_wrong_keeps_a_site_from_starting(kits):
    site = kits / "hospital-01"
    path = site / "local/privacy.json"
    values = json.loads(path.read_text())
    values["scopes"][0]["task_result_filters"][-1]["args"]["metrics"] = ["names of patients"]
    path.write_text(json.dumps(values))
    assert run(cli, ["check-kit", str(site), "--offline"]) == 1
    write_passed(site, {"fedward": open_kit(site).network.fedward}, 0)  # as if that check had passed
    assert refusal(site).count("privacy.json") == 1
