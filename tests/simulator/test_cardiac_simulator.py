"""Segmentation of hearts through the FLARE simulator with DCEW, from an encoder that hospitals learned together."""

import sys
from pathlib import Path

import pytest
from simulated_job import Place
from test_xray_simulator import check_same_bits, lay_out

from fedward.cli import run as run_command
from fedward.job_command import training_command
from fedward.networks.checkpoint import read_model
from fedward.networks.initial import initial_parameters
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.settings import run_settings_from_dict
from fedward.simulation import simulation_config
from fedward.training.site import open_site
from fedward.volume_jobs import CONTRASTIVE, SEGMENTATION
from published_formulas import mean_over_structures, published_weights

pytestmark = [pytest.mark.simulator, pytest.mark.timeout(400)]

JOB = Path(__file__).parents[2] / "jobs" / "cardiac_segmentation" / "job.py"
TINY = ["--image-size", "16", "--pixel-spacing", "3", "--features", "4", "--depth", "2", "--batch-size", "4"]
TINY += ["--learning-rate", "0.01", "--threads", "1", "--device", "cpu", "--round-deadline", "120"]
WEIGHTS = "learned-together"
STRUCTURES = ["right_ventricle", "myocardium", "left_ventricle"]


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    """Two hospitals, three patients and two, each with one to validate on, and a test patient."""
    root = tmp_path_factory.mktemp("hearts")
    lay_out("phantoms", "acdc", root / "images", "--patients", 6, "--size", 32, "--slices", 4, "--seed", 1)
    split = ["--sites", 2, "--test-patients", 1, "--validation-patients", 1]
    lay_out("partition", "acdc", root / "images", "--out", root / "sites", *split)
    return root / "sites"


def in_loop(job, sites, out, *options) -> RunFolder:
    words = [*TINY, *options, "--sites", str(sites), "--out", str(out), "--env", "loop"]
    assert run_command(training_command(job), words) == 0
    return RunFolder(out)


@pytest.fixture(scope="module")
def encoder(hearts):
    """The registered encoder of one round of contrastive pretraining."""
    pretraining = in_loop(CONTRASTIVE, hearts, hearts.parent / "pretraining", "--rounds", "1")
    lay_out("register-weights", WEIGHTS, pretraining.root, "--sites", hearts)
    return read_model(pretraining.model("encoder"))[0]


@pytest.fixture(scope="module")
def runs(hearts, encoder, tmp_path_factory):
    """The same two rounds in the simulator, by job.py as a user calls it, and in the plain loop."""
    options = ["--rounds", "2", "--scheme", "dcew", "--starting-weights", WEIGHTS]
    place = Place(tmp_path_factory.mktemp("simulated"))
    try:
        words = [*TINY, *options, "--sites", str(hearts), "--out", str(place.run.root), "--env", "sim"]
        done = place.command(sys.executable, str(JOB), *words).wait()
    finally:
        place.remove()
    assert done.code == 0, done.output
    return place.run, in_loop(SEGMENTATION, hearts, hearts.parent / "run", *options)


def test_simulator_and_plain_loop_end_in_the_same_bits(runs):
    simulated, looped = runs
    check_same_bits(simulated, looped)
    for one, other in zip(read_records(simulated.rounds)[:2], read_records(looped.rounds)[:2], strict=True):
        assert (one["weights"], one["shares"]) == (other["weights"], other["shares"])


def test_the_second_round_is_weighted_by_cost_and_mean_dice(runs):
    first, second, _ = read_records(runs[0].rounds)
    by_size = published_weights("fedavg", first, second)
    assert first["weights"] == pytest.approx(by_size, abs=1e-9)  # nothing lies before it
    assert second["weights"] == pytest.approx(published_weights("dcew", first, second), abs=1e-9)
    assert all(abs(second["weights"][site] - by_size[site]) > 0.001 for site in by_size)
    for record in (first, second):
        for answer in record["answers"].values():
            assert answer["end"]["quality"] == pytest.approx(mean_over_structures(answer["end"]), abs=1e-12)


def test_the_sites_began_with_the_registered_encoder(runs, hearts, encoder):
    """What they measured of the first model is what that encoder gives here, and random weights give another."""
    simulated = runs[0]
    about = read_json(simulated.run)["starting_weights"]
    assert (about["name"], about["method"], about["loaded"], about["unused"]) == (WEIGHTS, "fcl", len(encoder), [])
    settings = run_settings_from_dict(read_json(simulated.settings))
    random = initial_parameters(settings.training.network, settings.training.network_args, settings.seed)
    assert encoder.keys() < random.keys()
    for name, answer in read_records(simulated.rounds)[0]["answers"].items():
        site = open_site(name, settings, simulation_config(hearts, name, 1, "cpu"))
        assert answer["start"] == site.validate({**random, **encoder})["start"]
        assert answer["start"]["cost"] != site.validate(random)["start"]["cost"]


def test_the_run_has_a_test_of_each_structure_and_a_report(runs):
    for folder in runs:
        assert read_json(folder.run)["state"] == "finished"
        test = read_json(folder.test)
        assert (test["structures"], set(test["models"])) == (STRUCTURES, {"best", "last"})
        page = folder.report.read_text()
        names = [name.replace("_", " ") for name in STRUCTURES]
        assert all(words in page for words in (f"from {WEIGHTS} weights", "dcew", *names))
