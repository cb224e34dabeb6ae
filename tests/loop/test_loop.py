"""Federated rounds end to end on phantoms, in one process."""

import json

import numpy as np
import pytest
from small_run import SITES, load_images, metrics_of, run, small_settings, weights_of

from fedward.errors import FedwardError, RoundFailed, UsageError
from fedward.networks.checkpoint import read_model
from fedward.networks.initial import initial_parameters
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import read_json
from fedward.simulation import simulation_config
from fedward.site_config import SiteConfig
from fedward.training.site import Site
from fedward.training.task import server_score
from fedward.weighting.schemes import SCHEMES

# cost and Dice of the random start and after rounds 1, 3 and 4 (in round 2 the Dice jumps from 0 to .76), on a CPU
GOLDEN_COST, COST_TOLERANCE = [0.574, 0.276, 0.003, 0.001], 0.01
GOLDEN_DICE, DICE_TOLERANCE = [0.0, 0.0, 0.963, 0.986], 0.03


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    return run(small_settings(), tmp_path_factory.mktemp("finished") / "run", images)


def failing(site, error, in_round=None, during="train"):
    """A change of the sites: one of them raises `error`, in one round or always."""

    def change(sites):
        whole = getattr(sites[site], during)

        def broken(parameters, *number):
            if in_round is None or number == (in_round,):
                raise error
            return whole(parameters, *number)

        setattr(sites[site], during, broken)

    return change


def test_golden_metrics(images, tmp_path):
    training = {"local_epochs": None, "local_steps": 25, "learning_rate": 0.02, "augment": False, "batch_size": 8}
    folder = run(small_settings(training=training, rounds=4), tmp_path / "run", images)
    cost, dice = np.array(metrics_of(folder))[[0, 1, 3, 4]].T
    assert cost == pytest.approx(np.array(GOLDEN_COST), abs=COST_TOLERANCE)
    assert dice == pytest.approx(np.array(GOLDEN_DICE), abs=DICE_TOLERANCE)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(images, finished, tmp_path):
    again = run(small_settings(), tmp_path / "again", images)
    assert weights_of(again) == weights_of(finished)
    assert weights_of(again, "best") == weights_of(finished, "best")
    assert metrics_of(again) == metrics_of(finished)
    assert weights_of(run(small_settings(seed=2), tmp_path / "other", images)) != weights_of(finished)


def test_the_run_folder_says_everything(finished, images):
    info = read_json(finished.run)
    assert (info["state"], info["rounds_done"], info["final_record"], info["error"]) == ("finished", 2, True, None)
    records = read_records(finished.rounds)
    assert [(r["kind"], r["round"]) for r in records] == [("training", 1), ("training", 2), ("validation", 2)]
    for site in SITES:
        answer = records[0]["answers"][site]
        assert answer["samples"] == len(images[site].train)
        assert answer["steps"] == -(-answer["samples"] // 4)
        assert answer["bytes"] == sum(v.nbytes for v in read_model(finished.model("last"))[0].values())
    assert info["optimizer_steps"] == sum(a["steps"] for r in records[:2] for a in r["answers"].values())
    sizes = {site: len(images[site].train) for site in SITES}
    assert records[0]["weights"] == pytest.approx({s: n / sum(sizes.values()) for s, n in sizes.items()})  # round 1: R1
    assert records[1]["weights"] != records[0]["weights"]


def test_the_first_round_is_the_weighted_mean_of_the_sites_models(images, tmp_path):
    """A slow second implementation of the whole round."""
    settings = small_settings(rounds=1, aggregation={"scheme": "fedavg"})
    folder = run(settings, tmp_path / "run", images)
    start = initial_parameters("unet", settings.training.network_args, settings.seed)
    own = {s: Site(s, settings, images[s], 1, "cpu").train(start, 1)[0] for s in SITES}
    total = sum(len(images[s].train) for s in SITES)
    for key, value in read_model(folder.model("last"))[0].items():
        if value.dtype.kind == "f":
            expected = sum(len(images[s].train) / total * own[s][key].astype(np.float64) for s in SITES)
            assert value == pytest.approx(expected, rel=1e-6, abs=1e-7)
        else:
            assert value == max(own[s][key] for s in SITES)


@pytest.mark.parametrize("during", ["train", "validate"])
def test_interrupted_and_continued_is_the_same_as_never_interrupted(images, finished, tmp_path, during):
    stop = failing("hospital-02", KeyboardInterrupt(), 2 if during == "train" else None, during)
    with pytest.raises(KeyboardInterrupt):
        run(small_settings(), tmp_path / "run", images, stop)
    half = read_json(tmp_path / "run" / "run.json")
    assert (half["state"], half["rounds_done"]) == ("interrupted", 1 if during == "train" else 2)
    assert half["error"]["message"] == "interrupted by the user"
    folder = run(small_settings(), tmp_path / "run", images)
    assert read_json(folder.run)["state"] == "finished"
    assert weights_of(folder) == weights_of(finished)
    assert weights_of(folder, "best") == weights_of(finished, "best")
    assert metrics_of(folder) == metrics_of(finished)


def test_a_finished_run_is_refused_and_untouched(images, tmp_path):
    settings = small_settings(rounds=1)
    folder = run(settings, tmp_path / "run", images)
    before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is finished"):
        run(settings, tmp_path / "run", images)
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == before


def test_one_failing_site_of_three_is_left_out_where_two_are_enough(images, tmp_path):
    error = FedwardError("a file of the archive cannot be read")
    folder = run(small_settings(min_sites=2), tmp_path / "run", images, failing("hospital-03", error, 2))
    first, second, _ = read_records(folder.rounds)
    assert set(first["weights"]) == set(SITES)
    assert second["missing"] == {"hospital-03": "a file of the archive cannot be read"}
    assert set(second["weights"]) == set(SITES[:2])
    assert sum(second["weights"].values()) == pytest.approx(1)


def test_a_site_that_sends_nonsense_is_refused_where_two_are_enough(images, tmp_path):
    def change(sites):
        whole = sites["hospital-01"].train

        def poisoned(parameters, number):
            own, report = whole(parameters, number)
            return own | {"head.bias": np.array([np.nan], np.float32)}, report

        sites["hospital-01"].train = poisoned

    folder = run(small_settings(min_sites=2, rounds=1), tmp_path / "run", images, change)
    record = read_records(folder.rounds)[0]
    assert "head.bias" in record["refused"]["hospital-01"]
    assert set(record["weights"]) == set(SITES[1:])


def test_without_the_quorum_the_run_fails_with_the_sites_own_reason(images, tmp_path):
    with pytest.raises(RoundFailed, match=r"round 2: only 2 of at least 3 sites.*hospital-03: no images"):
        run(small_settings(), tmp_path / "run", images, failing("hospital-03", FedwardError("no images"), 2))
    info = read_json(tmp_path / "run" / "run.json")
    assert (info["state"], info["rounds_done"]) == ("failed", 1)
    assert "hospital-03: no images" in info["error"]["message"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a defect")])
def test_any_other_failure_is_in_the_run_folder_too(images, tmp_path, error):
    with pytest.raises(type(error)):
        run(small_settings(), tmp_path / "run", images, failing("hospital-01", error, 2))
    info = read_json(tmp_path / "run" / "run.json")
    assert info["state"] == "failed"
    assert info["error"]["message"] == str(error)
    assert run(small_settings(), tmp_path / "run", images).finished()  # and it can go on


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_scheme_runs(images, tmp_path, scheme):
    folder = run(small_settings(aggregation={"scheme": scheme}), tmp_path / "run", images)
    for record in read_records(folder.rounds)[:2]:
        assert sum(record["weights"].values()) == pytest.approx(1, abs=1e-9)
        assert all(sum(share.values()) == pytest.approx(1, abs=1e-9) for share in record["shares"].values())
        assert set(record["shares"]) == set(SCHEMES[scheme].mix)


def test_costs_of_the_training_images(images, tmp_path):
    folder = run(small_settings(aggregation={"cost_source": "site_training"}), tmp_path / "run", images)
    for record in read_records(folder.rounds)[:2]:
        for site in SITES:
            assert record["answers"][site]["end"]["images"] == len(images[site].train)
            assert record["answers"][site]["start"]["images"] == len(images[site].validation)


@pytest.mark.parametrize("reference", ["previous_round", "round_start"])
def test_costs_measured_by_the_server(images, sites_folder, tmp_path, reference):
    settings = small_settings(aggregation={"cost_source": "server_validation", "cost_reference": reference})
    measured = []
    score = server_score(settings, simulation_config(sites_folder, "server", 1, "cpu"))

    def counting(parameters):
        measured.append(score(parameters))
        return measured[-1]

    folder = run(settings, tmp_path / "run", images, score=counting)
    assert folder.finished()
    assert len(measured) == 2 * (3 + (reference == "round_start"))
    assert {(e.images, e.patients) for e in measured} == {(6, 1)}  # the server's one patient


def test_the_server_needs_images_of_its_own(sites_folder, tmp_path):
    settings = small_settings(aggregation={"cost_source": "server_validation"})
    with pytest.raises(FedwardError, match="fedward partition --server-patients"):
        server_score(settings, SiteConfig("fedward.yml"))
    assert server_score(small_settings(), SiteConfig("fedward.yml")) is None


def test_other_settings_than_the_run_began_with(images, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(small_settings(), tmp_path / "run", images, failing("hospital-01", KeyboardInterrupt(), 2))
    with pytest.raises(UsageError, match=r"training.learning_rate: 0.01 before, 0.02 now"):
        run(small_settings(training={"learning_rate": 0.02}), tmp_path / "run", images)


def test_the_record_holds_no_path_and_no_patient(finished, sites_folder):
    patients = [folder.name for folder in sites_folder.glob("*/TCGA_*") if folder.is_dir()]
    assert len(patients) == 12
    for path in (finished.rounds, finished.run, finished.settings):
        text = path.read_text()
        assert str(sites_folder) not in text
        assert not any(patient in text for patient in patients)
        json.loads(text.splitlines()[0]) if path == finished.rounds else json.loads(text)


def test_images_of_a_site_are_its_own(images, sites_folder):
    again = load_images(sites_folder, small_settings())
    held = [patient for part in images.values() for patient in (*part.train.patients, *part.validation.patients)]
    assert len(held) == len(set(held)) == 8
    assert all(again[s].train.patients == images[s].train.patients for s in SITES)
