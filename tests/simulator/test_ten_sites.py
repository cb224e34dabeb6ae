"""The ready-made ten-site job, unchanged, through FLARE's own simulator command: what a newcomer's first job is."""

import json
import shutil
import sys
import time

import pytest
from simulated_job import JOBS, Running

from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.simulation import find_sites

pytestmark = [pytest.mark.simulator]
FIRST_ROUND = 240  # seconds


def begun(place, command, folder) -> Running:
    """The command, under way. FLARE's own simulator may lose a site as it starts, and waits: then once more."""
    running, limit = place.command(*command), time.monotonic() + FIRST_ROUND
    while not read_records(folder.rounds) and running.process.poll() is None:
        if time.monotonic() > limit:
            running.end()
            return place.command(*command)
        time.sleep(0.2)
    return running


def run_ready_made(place, ten_sites, job) -> RunFolder:
    """`fedward simulator-workspace`, then `nvflare simulator`; returns the run folder."""
    workspace = place.root / "ws"
    fedward = [sys.executable, "-m", "fedward", "simulator-workspace", str(workspace), "--sites", str(ten_sites)]
    made = place.command(*fedward).wait()
    assert made.code == 0, made.output
    nvflare = made.output.splitlines()[-1].replace("JOB", str(job)).split()
    assert nvflare[:2] == ["nvflare", "simulator"]
    assert nvflare[-4:] == ["-c", ",".join(find_sites(ten_sites)), "-t", "10"]
    folder = RunFolder(place.root / "ws-runs" / read_json(job / "meta.json")["name"])
    done = begun(place, [sys.executable, "-m", "nvflare.cli", *nvflare[1:]], folder).wait(limit=1000)
    assert done.code == 0, done.output
    assert (workspace / "server" / "simulate_job" / "model" / "last.safetensors").is_file()
    assert (workspace / "server" / "simulate_job" / "run" / "rounds.jsonl").is_file()
    return folder


def check(folder: RunFolder, rounds: int) -> None:
    run, records = read_json(folder.run), read_records(folder.rounds)
    assert run["state"] == "finished"
    assert run["scheme"] == "dcew"
    assert [record["kind"] for record in records] == ["training"] * rounds + ["validation"]
    for record in records:
        assert len(record["answers"]) == 10
        assert record["missing"] == record["refused"] == {}
    for record in records[:-1]:
        assert len(record["weights"]) == 10
        assert sum(record["weights"].values()) == pytest.approx(1)
        assert len(record["shares"]) == 3  # size, cost, Dice
        for share in record["shares"].values():
            assert sum(share.values()) == pytest.approx(1)


@pytest.mark.timeout(600)
def test_ten_sites_three_rounds(place, ten_sites):
    """The ready-made job with fewer rounds and a smaller network; all else as it is."""
    job = place.root / "dcew"
    shutil.copytree(JOBS / "dcew", job)
    smaller = {
        '"rounds": 25': '"rounds": 3',
        '"features": 16': '"features": 2',
        '"bias_field": "n4"': '"bias_field": "none"',
    }
    for path in (job / "app" / "config").iterdir():
        text = path.read_text()
        for old, new in smaller.items():
            text = text.replace(old, new)
        path.write_text(text)
        json.loads(text)
    check(run_ready_made(place, ten_sites, job), rounds=3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_ready_made_job_unchanged(place, ten_sites):
    check(run_ready_made(place, ten_sites, JOBS / "dcew"), rounds=25)
