"""Chest X-rays on the real network of ten hospitals: the study's own lead, a linear classifier on a frozen encoder."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from real_network import command

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.networks.checkpoint import read_model
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.simulation import find_sites, site_data_sets

pytestmark = pytest.mark.timeout(600)

JOB = Path(__file__).parents[2] / "jobs" / "cxr_classification" / "job.py"
LEAD = "lead-cxr@consortium.example"
LINEAR = [
    *["--image-size", "40", "--growth-rate", "8", "--batch-size", "8", "--rounds", "2", "--round-deadline", "120"],
    *["--training", "linear", "--learning-rate", "0.1", "--scheme", "dcew"],
]


@pytest.fixture(scope="module")
def xray_sites(network, tmp_path_factory):
    """Ten hospitals of phantoms; each kit's fedward.yml names its folder while the tests of this file run."""
    root = tmp_path_factory.mktemp("xrays")
    for arguments in (
        ["phantoms", "chestxray14", root / "images", "--patients", "40", "--size", "40"],
        ["partition", "chestxray14", root / "images", "--out", root / "sites", "--by", "iid", "--fold", "1"],
    ):
        assert run_command(cli, [str(argument) for argument in arguments]) == 0
    sites, before = root / "sites", {}
    for name in find_sites(sites):
        path = network.kit(name) / "local" / "fedward.yml"
        before[path] = path.read_bytes()
        values = yaml.safe_load(before[path])
        values["data_sets"] |= {data_set: str(folder) for data_set, folder in site_data_sets(sites, name).items()}
        path.write_text(yaml.safe_dump(values))
    yield sites
    for path, text in before.items():
        path.write_bytes(text)


@pytest.fixture(scope="module")
def run(network, xray_sites, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "xray"
    options = ["--env", "prod", "--startup-kit", network.kit(LEAD), "--sites", xray_sites, "--out", folder]
    done = command(sys.executable, JOB, *LINEAR, *options, limit=300)
    assert done.returncode == 0, done.stdout
    return SimpleNamespace(folder=RunFolder(folder), output=done.stdout)


def test_ten_hospitals_train_under_the_study_of_their_lead(run):
    assert "10 sites, 2 rounds" in run.output
    assert all(f"round {number}/2  sites 10/10" in run.output for number in (1, 2)), run.output
    assert read_json(run.folder.settings)["study"] == "chest-x-ray"
    assert read_json(run.folder.run)["state"] == "finished"
    assert read_json(run.folder.test)["task"] == "classification"
    assert run.folder.report.is_file()


def test_the_encoder_travels_once_and_details_leave_rounded(run):
    first, second, last = read_records(run.folder.rounds)
    whole = sum(value.nbytes for value in read_model(run.folder.model("last"))[0].values())
    assert {answer["sent"] for answer in first["answers"].values()} == {whole}
    for record in (second, last):
        assert all(0 < answer["sent"] < 0.01 * whole for answer in record["answers"].values())
    counts = [
        value
        for answer in first["answers"].values()
        for name, value in ((answer["start"] or {}).get("details") or {}).items()
        if name.startswith(("positives.", "negatives."))
    ]
    assert counts
    assert all(count % 5 == 0 for count in counts)


def test_the_weights_are_those_of_the_plain_loop_bit_for_bit(run, xray_sites, tmp_path):
    options = ["--sites", xray_sites, "--out", tmp_path / "loop", "--env", "loop", "--threads", "1", "--device", "cpu"]
    done = command(sys.executable, JOB, *LINEAR, *options, limit=300)
    assert done.returncode == 0, done.stdout
    ours, looped = (read_model(RunFolder(path).model("last"))[0] for path in (run.folder.root, tmp_path / "loop"))
    assert ours.keys() == looped.keys()
    assert all(np.array_equal(ours[key], looped[key]) for key in ours)


def test_the_lead_of_another_study_cannot_submit_it(network, xray_sites, tmp_path):
    options = ["--env", "prod", "--startup-kit", network.root / "lead", "--out", tmp_path / "run"]
    done = command(sys.executable, JOB, *LINEAR, *options)
    assert done.returncode == 1
    assert "chest-x-ray" in done.stdout
    assert not (tmp_path / "run" / "run.json").exists()
