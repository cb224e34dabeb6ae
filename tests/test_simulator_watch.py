"""How long the simulator's process is waited for: as long as its run folder shows that it lives."""

import subprocess
import sys
import threading
import time

import pytest

from fedward import simulator
from fedward.errors import FedwardError
from fedward.rounds.run_folder import RunFolder, write_json


@pytest.fixture
def process():
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield started
    started.kill()
    started.wait()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator, "ROUND_GRACE", 5.5)
    (tmp_path / "log.txt").write_text("the last words")
    made = RunFolder(tmp_path / "run")
    made.root.mkdir()
    write_json(made.run, {"state": "running"})
    return made


def watch(process, folder):
    simulator._follow(process, set(), folder, 0.5, folder.root.parent / "log.txt", lambda record: None, end_limit=0.1)


def test_deadlines_that_begin_one_after_the_other_are_no_silence(process, folder):
    """Those of an exchange and of the training after it make one record between them."""

    def server():
        for _ in range(8):
            time.sleep(1)
            write_json(folder.run, {"state": "running"})
        write_json(folder.run, {"state": "finished"})

    thread = threading.Thread(target=server)
    begun = time.monotonic()
    thread.start()
    watch(process, folder)
    assert time.monotonic() - begun > 8
    thread.join()


def test_a_server_that_does_nothing_is_ended(process, folder):
    with pytest.raises(FedwardError, match=r"(?s)nothing has happened for .*the last words"):
        watch(process, folder)
    assert simulator._state(folder)[0] == "failed"
