"""Both jobs on chest X-rays through the FLARE simulator, on phantoms: the same bits as in the plain loop."""

import sys
from pathlib import Path

import numpy as np
import pytest
from simulated_job import Place

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.networks.checkpoint import read_model
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json

pytestmark = [pytest.mark.simulator, pytest.mark.timeout(400)]

JOBS = Path(__file__).parents[2] / "jobs"
TINY = ["--image-size", "40", "--growth-rate", "8", "--batch-size", "8", "--rounds", "2", "--round-deadline", "120"]
CLASSIFICATION, PRETRAINING = "cxr_classification", "cxr_pretraining"


def lay_out(*arguments) -> None:
    assert run_command(cli, [str(argument) for argument in arguments]) == 0


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("xrays") / "images"
    lay_out("phantoms", "chestxray14", folder, "--patients", 24, "--size", 40, "--institutions", 3, "--seed", 2)
    return folder


@pytest.fixture(scope="module")
def hospitals(images):
    """Two hospitals and three test patients or so."""
    sites = images.parent / "hospitals"
    options = ["--sites", 2, "--by", "iid", "--fold", 1, "--seed", 2]
    lay_out("partition", "chestxray14", images, "--out", sites, *options)
    return sites


@pytest.fixture(scope="module")
def public(images):
    sites = images.parent / "public"
    probe = f"chestxray14={images}"
    lay_out("partition", "image_folder", images / "images", "--out", sites, "--coordinator", "--probe", probe)
    return sites


def both(tmp_path, job, sites, *options) -> list[RunFolder]:
    """The run in the simulator and in the plain loop."""
    folders = []
    for environment in ("sim", "loop"):
        (tmp_path / environment).mkdir()
        place = Place(tmp_path / environment)
        try:
            words = [*TINY, *options, "--sites", str(sites), "--out", str(place.run.root), "--env", environment]
            done = place.command(
                sys.executable, str(JOBS / job / "job.py"), *words, "--device", "cpu", "--threads", "1"
            ).wait()
        finally:
            place.remove()
        assert done.code == 0, done.output
        assert place.state["state"] == "finished"
        assert place.run.report.is_file()
        folders.append(place.run)
    return folders


def check_same_bits(simulated: RunFolder, looped: RunFolder) -> None:
    ours, others = (read_model(folder.model("last"))[0] for folder in (simulated, looped))
    assert ours.keys() == others.keys()
    assert all(np.array_equal(ours[key], others[key], equal_nan=True) for key in ours)
    pairs = zip(read_records(simulated.rounds), read_records(looped.rounds), strict=True)
    for one, other in pairs:
        assert one["received"] == other["received"]
        assert one["answers"].keys() == other["answers"].keys()
        for site, answer in one["answers"].items():
            assert {k: answer[k] for k in ("bytes", "sent")} == {
                k: other["answers"][site][k] for k in ("bytes", "sent")
            }
    assert [record["kind"] for record in read_records(simulated.rounds)] == ["training"] * 2 + ["validation"]


def test_a_linear_evaluation_sends_less_than_one_percent_after_the_first_contact(tmp_path, hospitals):
    simulated, looped = both(tmp_path, CLASSIFICATION, hospitals, "--training", "linear", "--scheme", "dcew")
    check_same_bits(simulated, looped)
    first, second, last = read_records(simulated.rounds)
    whole = sum(value.nbytes for value in read_model(simulated.model("last"))[0].values())
    for site, answer in first["answers"].items():
        assert answer["sent"] == whole  # what fine-tuning sends and gets in every round
        for record in (second, last):
            assert 0 < record["answers"][site]["sent"] < 0.01 * whole
        assert 0 < second["answers"][site]["bytes"] < 0.01 * whole
    assert set(first["answers"]["hospital-01"]["start"]["details"]) > {"positives.Hernia", "negatives.Hernia"}
    assert read_json(simulated.test)["task"] == "classification"


def test_the_coordinator_keeps_its_private_state_from_round_to_round(tmp_path, public):
    options = ["--method", "moco_v2", "--queue-size", "8", "--probe-data-set", "chestxray14"]
    simulated, looped = both(tmp_path, PRETRAINING, public, *options)
    check_same_bits(simulated, looped)
    settings = read_json(simulated.settings)
    assert (settings["sites"], settings["pretext"]["private_state"]) == (["coordinator"], "keep")
    first = read_records(simulated.rounds)[0]["answers"]["coordinator"]
    assert set(first["end"]["details"]) == {"features.std", "features.rank", "knn.auc"}
    parts = {name.split(".")[0] for name in read_model(simulated.model("last"))[0]}
    assert parts == {"encoder", "projector"}
    assert (simulated.models / "encoder.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["fedavg", "dcew"])
def test_fine_tuning_in_hospitals(tmp_path, hospitals, scheme):
    simulated, looped = both(tmp_path, CLASSIFICATION, hospitals, "--scheme", scheme)
    check_same_bits(simulated, looped)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "frid"])
def test_pretraining_over_the_hospitals(tmp_path, hospitals, method):
    """The same job as at the coordinator; private state is built anew each round, so that nobody's is left behind."""
    simulated, looped = both(tmp_path, PRETRAINING, hospitals, "--method", method)
    check_same_bits(simulated, looped)
    settings = read_json(simulated.settings)
    assert (settings["data_set"], settings["pretext"]["private_state"]) == ("chestxray14", "reset")
