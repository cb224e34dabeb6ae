"""The whole path on a real network of ten hospitals: provision, start, submit, train, download, compare, stop."""

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from real_network import JOB, LEAD, STUDY, TINY, PeakMemory, command, fedward

from fedward.kits.processes import memory_gib
from fedward.networks.checkpoint import read_model
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json

TEN = [f"hospital-{number:02d}" for number in range(1, 11)]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def run(network, tmp_path_factory):
    """Three rounds, by job.py with the lead's kit."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    options = ["--env", "prod", "--startup-kit", network.root / "lead", "--out", folder, "--sites", network.sites]
    idle = memory_gib(network.processes().values())
    with PeakMemory(network) as peak:
        done = command(sys.executable, JOB, *TINY, *options, limit=400)
    assert done.returncode == 0, done.stdout
    return SimpleNamespace(folder=RunFolder(folder), output=done.stdout, idle=idle, peak=peak.gib)


def test_ten_sites_are_connected(network):
    assert "All 10 hospitals are connected" in network.started
    assert set(network.processes()) == {*TEN, "localhost"}
    shown = fedward("network", "status", "--network", network.root).stdout
    assert all(re.search(rf"{name} +\d+ +yes", shown) for name in TEN), shown


def test_ten_sites_and_a_job_fit_into_ten_gib(run):
    assert run.peak - run.idle > 2, "the ten processes that train were not seen"
    assert run.peak < 10


def test_the_rounds_were_shown_and_the_result_came_home(run):
    folder, output = run.folder, run.output
    assert re.search(r"Submitted job [0-9a-f-]{36}: 10 sites, 3 rounds", output)
    assert all(f"round {number}/3  sites 10/10" in output for number in (1, 2, 3)), output
    assert "round final" in output
    assert folder.report.is_file()
    assert [record["kind"] for record in read_records(folder.rounds)] == ["training"] * 3 + ["validation"]
    assert read_json(folder.run)["state"] == "finished"


def test_the_weights_are_those_of_the_simulator_bit_for_bit(run, network, tmp_path):
    folder = run.folder
    done = command(sys.executable, JOB, *TINY, "--sites", network.sites, "--out", tmp_path / "sim", limit=400)
    assert done.returncode == 0, done.stdout
    ours, simulated = (read_model(RunFolder(path).model("last"))[0] for path in (folder.root, tmp_path / "sim"))
    assert ours.keys() == simulated.keys()
    assert all(np.array_equal(ours[key], simulated[key]) for key in ours)


def test_the_console_submits_the_job_folder_that_the_simulator_runs(network, tmp_path):
    job = network.export(tmp_path, "console", "--rounds", "1")
    said = network.console(f"submit_job {job}")
    job_id = re.search(r"Submitted job: ([0-9a-f-]{36})", said)
    assert job_id, said
    watched = fedward(
        "watch", job_id[1], "--startup-kit", network.root / "lead", "--study", STUDY, "--out", tmp_path / "run"
    )
    assert watched.returncode == 0, watched.stdout
    assert "sites 10/10" in watched.stdout
    assert "Report: " in watched.stdout
    assert fedward("report", tmp_path / "run").returncode == 0
    downloaded = network.console(f"download_job {job_id[1]}")
    reported = fedward("report", network.kit(LEAD) / "transfer" / job_id[1])
    assert reported.returncode == 0, downloaded + reported.stdout
    assert "run/report.html" in reported.stdout, reported.stdout
    shown = command(
        sys.executable, "-m", "nvflare.cli", "job", "list", "--startup-kit", network.root / "lead", "--study", STUDY
    )
    assert job_id[1] in shown.stdout, shown.stdout


def test_a_finished_run_is_not_made_again(run, network):
    folder = run.folder
    again = command(
        sys.executable, JOB, *TINY, "--env", "prod", "--startup-kit", network.root / "lead", "--out", folder.root
    )
    assert again.returncode == 2
    assert "is finished: choose another --out" in again.stdout


def test_nothing_is_written_outside_the_network(network):
    """FLARE's defaults put jobs and snapshots of every project under /tmp/nvflare."""
    opened = {
        Path(file.path) for process in network.processes().values() for file in process.open_files() if file.mode != "r"
    }
    assert opened  # logs, at least
    assert [path for path in opened if not path.is_relative_to(network.root)] == []
    assert {path.name for path in (network.server / "store").iterdir()} >= {"jobs", "snapshots"}


def test_stop_ends_exactly_what_start_started(network, tmp_path):
    """On a second small network, so that the shared one stays."""
    from real_network import Network

    sites = tmp_path / "sites"
    sites.mkdir()
    for name in ("hospital-01", "hospital-02", "partition.json"):
        os.symlink(network.sites / name, sites / name)
    other = Network(tmp_path / "net", sites)
    before = set(network.processes().values())
    try:
        other.start()
        started = {p for one in other.processes().values() for p in (one, *one.children(recursive=True))}
        assert len(other.processes()) == 3
    finally:
        said = other.stop()
    assert "Stopped 3 processes: hospital-01, hospital-02, localhost" in said
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []
    assert set(network.processes().values()) == before
    assert "Nothing of this network runs" in other.stop()
