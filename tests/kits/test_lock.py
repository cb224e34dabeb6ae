"""The lock of a kit: held once, freed with its holder, told apart by folder."""

import socket
import subprocess
import sys

import pytest

from fedward.errors import FedwardError
from fedward.kits.lock import LOCK_FILE, instance, lock

HOLD = "import sys; from pathlib import Path; from fedward.kits.lock import lock; held = lock(Path(sys.argv[1])); "


def test_a_kit_that_runs_is_refused_and_says_who_runs_it(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD + "print('held', flush=True); sys.stdin.read()", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FedwardError, match=rf"is running already \(process {holder.pid} on .*stop that one first"):
            lock(tmp_path)
    finally:
        holder.kill()
        holder.communicate(timeout=10)
    with lock(tmp_path):  # a killed holder holds nothing
        pass


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(FedwardError, match=r"running\.lock cannot be written"):
        lock(tmp_path)


def test_the_same_folder_is_known_again_and_a_copy_is_not(tmp_path):
    (tmp_path / "copy").mkdir()
    with lock(tmp_path) as held:
        first = instance(held)
    with lock(tmp_path) as held, lock(tmp_path / "copy") as other:
        again, copy = instance(held), instance(other)
    assert first["lock"] == again["lock"] != copy["lock"]
    assert all(socket.gethostname() not in str(one) and str(tmp_path) not in str(one) for one in (first, copy))
    assert len({first["start"], again["start"], copy["start"]}) == 3
