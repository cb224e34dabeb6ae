"""Pretraining on a real network, at the coordinator and over hospitals, and fine-tuning that begins with its encoder.

A coordinator's private state (queue, momentum network) stays at its site, and is there when its process was killed.
"""

import numpy as np
import pytest
from captured_site import found, middle, peer_properties
from nvflare.apis.shareable import ReservedHeaderKey
from pretraining_network import CLASSIFICATION, HOSPITALS, PRETRAINING, pretraining_network, state_needles
from real_network import fedward
from small_network import until

from fedward.flare.leaving import PEER_NAMES, leaves_outside
from fedward.flare.tasks import TRAIN, VALIDATE
from fedward.kits.leaving import layout
from fedward.networks.checkpoint import load_model, read_model, sha256_of
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import read_json
from fedward.simulation import COORDINATOR

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MOCO = ["--method", "moco_v2", "--queue-size", "8", "--probe-data-set", "chestxray14", "--rounds", "3"]
BYOL = ["--method", "byol", "--rounds", "2"]
FINE_TUNE = ["--training", "fine_tune", "--starting-weights", "moco", "--learning-rate", "0.01", "--rounds", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with pretraining_network(tmp_path_factory.mktemp("pretraining")) as started:
        yield started


def results(place, site, job):
    """(name of the task, result) of all that a site's process of this job sent."""
    sent = place.recorded(site, {}).results(job)
    return [(result[ReservedHeaderKey.HEADERS][ReservedHeaderKey.TASK_NAME], result) for result in sent]


@pytest.fixture(scope="module")
def whole(place):
    """Three rounds at the coordinator that nothing interrupts."""
    return place.run("whole", *MOCO)


@pytest.fixture(scope="module")
def sent_by_coordinator(place, whole):
    return results(place, COORDINATOR, whole.job)  # before a process is killed while it sends


@pytest.fixture(scope="module")
def looped(place):
    return place.loop("looped", PRETRAINING, place.public, *MOCO)


@pytest.fixture(scope="module")
def killed(place, sent_by_coordinator):
    """The same, but its process is killed after the first round, and again when it has trained the second."""
    job = place.submit("killed", PRETRAINING, "--at", COORDINATOR, *MOCO)
    for done, what in (
        (lambda: place.records("killed"), "the first round"),
        (lambda: place.state("killed", 2), "the training of the second round"),
    ):
        process = place.process(job)
        until(done, 90, what)
        process.kill()
        process.wait(20)
    return place.watch("killed", job)


@pytest.fixture(scope="module")
def federated(place):
    return place.watch("federated", place.submit("federated", PRETRAINING, "--hospitals", "2", *BYOL))


@pytest.fixture(scope="module")
def fine_tuned(place, whole):
    registered = fedward("register-weights", "moco", whole.out.root, "--kit", place.network.server)
    assert registered.returncode == 0, registered.stdout
    return place.watch("tuned", place.submit("tuned", CLASSIFICATION, "--hospitals", "2", *FINE_TUNE))


def same_bits(folder, other, which):
    ours, others = (read_model(one.model(which))[0] for one in (folder, other))
    return ours.keys() == others.keys() and all(ours[key].tobytes() == others[key].tobytes() for key in ours)


def check_finished(done, sites, rounds):
    assert read_json(done.out.run)["state"] == "finished", done.shown
    records = read_records(done.out.rounds)
    assert [record["round"] for record in records] == [*range(1, rounds + 1), rounds]
    assert [record["kind"] for record in records] == ["training"] * rounds + ["validation"]
    assert all(sorted(record["answers"]) == sorted(sites) for record in records)


# --- at the coordinator -------------------------------------------------------------------------------------------


def test_the_coordinator_pretrains_and_its_encoder_loads(whole):
    check_finished(whole, [COORDINATOR], 3)
    assert f"Job {whole.job}: FINISHED:COMPLETED" in whole.shown
    settings = read_json(whole.out.settings)
    assert (settings["study"], settings["data_set"]) == ("chest-x-ray", "image_folder")
    assert settings["pretext"]["private_state"] == "keep"
    assert all(f"round {number}/3  sites 1/1" in whole.shown for number in (1, 2, 3)), whole.shown
    encoder = whole.out.model("encoder")
    assert read_json(whole.out.test)["encoder"]["sha256"] == sha256_of(encoder)
    assert load_model(encoder)[0].classifier is None
    model = read_model(whole.out.model("last"))[0]
    assert all(value.tobytes() == model[f"encoder.{key}"].tobytes() for key, value in read_model(encoder)[0].items())


def test_its_encoder_and_its_private_state_are_those_of_the_plain_loop_bit_for_bit(place, whole, looped):
    assert same_bits(whole.out, looped, "encoder")
    assert same_bits(whole.out, looped, "last")
    assert place.state("whole", 3).read_bytes() == place.state("looped", 3).read_bytes()


def test_the_coordinator_sends_what_the_list_names_and_nothing_of_its_private_state(place, whole, sent_by_coordinator):
    received = layout(read_model(whole.out.model("last"))[0])
    needles = state_needles(place.state("whole", 2)) | state_needles(place.state("whole", 3))
    assert {name.split(".")[0] for name in needles} == {"queue", "target"}
    site = place.recorded(COORDINATOR, needles)
    assert [task for task, _ in sent_by_coordinator] == [TRAIN, TRAIN, TRAIN, VALIDATE]
    for task, result in sent_by_coordinator:
        assert leaves_outside(result, site.rules, task, received) == []
        assert peer_properties(result).keys() <= PEER_NAMES
    last = sent_by_coordinator[2][1]["DXO"]["data"]
    assert {name.split(".")[0] for name in last} == {"encoder", "projector"}
    layer = max(last.values(), key=lambda value: value.nbytes)
    assert found(needles | {"a layer": middle(layer.tobytes())}, site.sent) == {"a layer"}  # the search finds what left
    states = [place.state("whole", number).read_bytes() for number in (2, 3)]
    assert found(needles, states) == needles.keys()  # and the private state, where it is


def test_a_coordinator_whose_process_is_killed_twice_ends_with_the_same_bits(place, whole, killed):
    log = (place.network.kit(COORDINATOR) / "log.txt").read_text()
    assert log.count(f"job {killed.job}: its process was ended by signal 9; it is started again") == 2
    check_finished(killed, [COORDINATOR], 3)
    assert same_bits(killed.out, whole.out, "last")
    assert place.state("killed", 3).read_bytes() == place.state("whole", 3).read_bytes()


# --- over the hospitals ---------------------------------------------------------------------------------------------


def test_hospitals_pretrain_together_and_build_their_private_state_anew(place, federated):
    check_finished(federated, HOSPITALS, 2)
    assert f"Job {federated.job}: FINISHED:COMPLETED" in federated.shown
    settings = read_json(federated.out.settings)
    assert (settings["data_set"], settings["pretext"]["private_state"]) == ("chestxray14", "reset")
    assert not (place.hospitals / "cache" / "state").exists()
    encoder = federated.out.model("encoder")  # the watching command has made it of the last model
    assert read_json(federated.out.test)["encoder"]["sha256"] == sha256_of(encoder)
    assert "There is no encoder yet" not in federated.out.report.read_text()
    registered = fedward("register-weights", "byol", federated.out.root, "--sites", place.hospitals)
    assert registered.returncode == 0, registered.stdout
    assert load_model(place.hospitals / "weights" / "byol.safetensors")[0].classifier is None


def test_their_weights_are_those_of_the_plain_loop_bit_for_bit(place, federated):
    assert same_bits(federated.out, place.loop("federated", PRETRAINING, place.hospitals, *BYOL), "last")


def test_a_hospital_sends_its_online_network_and_no_target_network(place, federated):
    received = layout(read_model(federated.out.model("last"))[0])
    site = place.recorded(HOSPITALS[0], {"the data folder": str(place.hospitals / HOSPITALS[0]).encode()})
    sent = results(place, site.name, federated.job)
    assert [task for task, _ in sent] == [TRAIN, TRAIN, VALIDATE]
    for task, result in sent:
        assert leaves_outside(result, site.rules, task, received) == []
    for _, result in sent[:2]:
        assert {name.split(".")[0] for name in result["DXO"]["data"]} == {"encoder", "projector", "predictor"}
    names = {f"image {path.name}": path.name.encode() for path in (place.hospitals / site.name).rglob("*.png")}
    assert names
    assert found(names | site.needles, site.sent) == set()


# --- fine-tuning from the encoder ---------------------------------------------------------------------------------


def test_fine_tuning_begins_with_the_encoder_that_is_registered_at_the_server(whole, fine_tuned):
    check_finished(fine_tuned, HOSPITALS, 1)
    assert f"Job {fine_tuned.job}: FINISHED:COMPLETED" in fine_tuned.shown
    about = read_json(fine_tuned.out.run)["starting_weights"]
    assert (about["name"], about["run"], about["method"]) == ("moco", "whole", "moco_v2")
    assert about["fresh"] == ["classifier.weight", "classifier.bias"]
    assert about["sha256"] == sha256_of(whole.out.model("encoder"))
    encoder, model = (read_model(path)[0] for path in (whole.out.model("encoder"), fine_tuned.out.model("last")))
    layers = [key for key, value in encoder.items() if value.ndim == 4]
    assert not any(np.array_equal(encoder[key], model[key]) for key in layers)  # all of it was trained further


def test_the_fine_tuned_weights_are_those_of_the_plain_loop_bit_for_bit(place, whole, fine_tuned):
    registered = fedward("register-weights", "moco", whole.out.root, "--sites", place.hospitals)
    assert registered.returncode == 0, registered.stdout
    assert same_bits(fine_tuned.out, place.loop("tuned", CLASSIFICATION, place.hospitals, *FINE_TUNE), "last")
