"""fedward demo: what it refuses, and (slow) that it runs, also again and after an interruption."""

import signal
import subprocess
import sys
import time

import pytest

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.run_checks import alone_in


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("three years")
    assert run_command(cli, ["demo", "--out", str(tmp_path)]) == 2
    assert "was not made by the demo" in capsys.readouterr().err
    assert (tmp_path / "run" / "thesis.txt").read_text() == "three years"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_demo_under_way_is_not_removed(tmp_path, capsys):
    for name in ("phantoms", "sites", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "sites" / "partition.json").write_text("{}")
    (tmp_path / "run" / "rounds.jsonl").write_text("")
    with alone_in(tmp_path / "run"):
        assert run_command(cli, ["demo", "--out", str(tmp_path)]) == 2
    assert "another command works on" in capsys.readouterr().err
    assert (tmp_path / "run" / "rounds.jsonl").exists()


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.timeout(900)
def test_the_demo_runs_after_an_interruption_and_again(tmp_path):
    command = [sys.executable, "-m", "fedward", "demo", "--rounds", "1", "--out", str(tmp_path / "demo")]
    interrupted = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = tmp_path / "demo" / "run" / "simulator" / "log.txt"
    while not log.is_file() and interrupted.poll() is None:
        time.sleep(0.1)
    interrupted.send_signal(signal.SIGINT)
    output, _ = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, output
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Report: {tmp_path / 'demo' / 'run' / 'report.html'}" in done.stdout
        assert read_json(RunFolder(tmp_path / "demo" / "run").run)["state"] == "finished"
