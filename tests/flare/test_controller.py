"""The controller against sites that answer, fail, keep silent or talk nonsense. No simulator and no training."""

import json
import re
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from fake_network import (
    SITES,
    FakeNetwork,
    error_reply,
    evaluation,
    model_reply,
    tiny_settings,
    train_reply,
    train_report,
    works,
)
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import ParamsType

from fedward.flare.aggregator import CostWeightedAggregator
from fedward.flare.persistor import NetworkPersistor
from fedward.flare.tasks import FINGERPRINT, REPORT, TRAIN, VALIDATE
from fedward.networks.checkpoint import read_model
from fedward.networks.initial import initial_parameters
from fedward.rounds.folder_lock import only_server
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.settings import AggregationSettings


def run(tmp_path, sites=None, **changes) -> FakeNetwork:
    others = dict.fromkeys(SITES, works)
    return FakeNetwork(tmp_path, tiny_settings(**changes), {**others, **(sites or {})}).run()


def only(kind: str, answer):
    """A site that gives `answer` to tasks of one kind and works otherwise."""
    return lambda network, site, task: (answer if task.name == kind else works)(network, site, task)


def silent(network, site, task):
    network.silence(site)


def replies(make):
    return lambda network, site, task: make(task)


def test_a_second_job_of_the_same_name_spoils_nothing(tmp_path, monkeypatch):
    """A server may run several jobs at once, and a folder may be submitted twice."""
    monkeypatch.setattr("fedward.rounds.folder_lock.SERVER_PATIENCE", 0.3)
    settings, seconds, left = tiny_settings(), [], []

    def submits_again(network, site, task):
        if site == SITES[0] and task.name == TRAIN and not seconds:
            seconds.append(FakeNetwork(tmp_path, settings, dict.fromkeys(SITES, works)).run())
            left.append(read_json(tmp_path / "job" / "run" / "run.json")["error"]["message"])
        return works(network, site, task)

    first = FakeNetwork(tmp_path, settings, dict.fromkeys(SITES, submits_again)).run()
    (second,) = seconds
    assert second.panics == left
    assert re.search("another job works on .*: wait until it has ended, or submit this one under another name", left[0])
    assert second.sent == []
    assert first.panics == []
    assert first.state["state"] == "finished"
    assert [sorted(record["answers"]) for record in first.records] == [list(SITES)] * 3


def test_a_job_waits_for_the_process_of_a_killed_server_to_end(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "run")
    held = ExitStack()
    held.enter_context(only_server(folder))
    threading.Timer(1.0, held.close).start()
    network = run(tmp_path)
    assert network.panics == []
    assert network.state["state"] == "finished"


def test_all_sites_answer_and_the_run_finishes(tmp_path):
    network = run(tmp_path)
    assert network.panics == []
    assert network.state["state"] == "finished"
    assert [(r["kind"], r["round"]) for r in network.records] == [("training", 1), ("training", 2), ("validation", 2)]
    for record in network.records:
        assert sorted(record["answers"]) == list(SITES)
        assert record["missing"] == record["refused"] == {}
    assert network.records[0]["weights"] == pytest.approx(dict.fromkeys(SITES, 1 / 3))
    first = initial_parameters("unet", tiny_settings().training.network_args, 1)
    last, _ = read_model(network.run_folder.model("last"))
    for key, value in first.items():  # each site adds 1 in each of two rounds
        added = 2 if value.dtype.kind == "f" else 0
        np.testing.assert_allclose(last[key], value + added, rtol=1e-6)
    delivered, _ = read_model(tmp_path / "job" / "run" / "models" / "last.safetensors")
    assert all(np.array_equal(delivered[key], last[key]) for key in last)
    assert not network.run_folder.spool.exists()


def test_tasks_carry_round_model_and_fingerprint_and_go_to_the_sites_asked(tmp_path):
    network = run(tmp_path)
    assert [task.name for task in network.sent] == [TRAIN, TRAIN, VALIDATE]
    for task, number in zip(network.sent, (1, 2, 2), strict=True):
        assert task.data.get_header("current_round") == number
        assert task.props["meta_data"][FINGERPRINT] == tiny_settings().fingerprint()
        assert task.timeout > tiny_settings().round_deadline


def test_a_site_that_is_connected_but_not_asked_gets_nothing(tmp_path):
    def must_not_be_asked(network, site, task):
        network.panics.append(f"{site} was asked")

    network = run(tmp_path, {"hospital-99": must_not_be_asked})
    assert network.panics == []
    assert network.state["state"] == "finished"


@pytest.mark.parametrize("kind", [TRAIN, VALIDATE])
def test_one_error_fails_the_run_with_the_sites_own_words(tmp_path, kind):
    broken = only(kind, replies(lambda task: error_reply("slice_3.tif is truncated: copy it again")))
    network = run(tmp_path, {"hospital-02": broken})
    if kind == TRAIN:
        assert network.state["state"] == "failed"
        assert "hospital-02: slice_3.tif is truncated: copy it again" in network.state["error"]["message"]
        assert network.panics == [network.state["error"]["message"]]
        assert network.records == []
    else:  # a last validation decides nothing about the model
        assert network.state["state"] == "finished"
        assert network.records[-1]["missing"] == {"hospital-02": "slice_3.tif is truncated: copy it again"}


def test_an_error_without_words_names_the_return_code(tmp_path):
    network = run(tmp_path, {"hospital-02": replies(lambda task: error_reply())})
    assert "hospital-02: the site answered EXECUTION_EXCEPTION" in network.state["error"]["message"]


def test_a_very_long_error_is_cut(tmp_path):
    network = run(tmp_path, {"hospital-02": replies(lambda task: error_reply("x" * 10**6))})
    assert len(network.state["error"]["message"]) < 2000


def test_one_error_is_endured_with_min_sites(tmp_path):
    network = run(tmp_path, {"hospital-02": only(TRAIN, replies(lambda task: error_reply("disk full")))}, min_sites=2)
    assert network.state["state"] == "finished"
    for record in network.records[:2]:
        assert record["missing"] == {"hospital-02": "disk full"}
        assert sorted(record["weights"]) == ["hospital-01", "hospital-03"]


def test_a_silent_site_ends_the_run_at_the_deadline_and_is_named(tmp_path):
    network = run(tmp_path, {"hospital-03": silent})
    assert network.state["state"] == "failed"
    assert "hospital-03: no answer within 30 s" in network.state["error"]["message"]
    assert "only 2 of at least 3 sites" in network.panics[0]


def test_a_silent_site_is_left_out_with_min_sites(tmp_path):
    network = run(tmp_path, {"hospital-03": silent}, min_sites=2, rounds=1)
    assert network.state["state"] == "finished"
    assert network.records[0]["missing"] == {"hospital-03": "no answer in time"}
    assert sorted(network.records[0]["weights"]) == ["hospital-01", "hospital-02"]


def test_late_answers_of_an_old_round_change_nothing(tmp_path):
    """FLARE drops them; one that slips through while the next round opens must not count for that round."""
    late = []

    def slow(network, site, task):
        if task.name == TRAIN and task.data.get_header("current_round") == 1:
            late.append(task)
            return network.silence(site)
        if late:
            old = late.pop()
            network.submit(site, old, train_reply(old, add=1000.0))
            network.submit(site, old, error_reply("an old error"))
        return works(network, site, task)

    network = run(tmp_path, {"hospital-03": slow}, min_sites=2)
    assert network.state["state"] == "finished"
    assert network.records[0]["missing"] == {"hospital-03": "no answer in time"}
    assert network.records[1]["missing"] == {}
    assert sorted(network.records[1]["weights"]) == list(SITES)
    last, _ = read_model(network.run_folder.model("last"))
    first = initial_parameters("unet", tiny_settings().training.network_args, 1)
    np.testing.assert_allclose(last["head.bias"], first["head.bias"] + 2, rtol=1e-6)


def test_a_training_answer_that_arrives_in_the_validation_is_ignored(tmp_path):
    kept = []

    def slow(network, site, task):
        if task.name == TRAIN:
            kept.append(task)
            return network.silence(site)
        network.submit(site, kept[-1], train_reply(kept[-1], add=1000.0))
        return works(network, site, task)

    network = run(tmp_path, {"hospital-03": slow}, min_sites=2, rounds=1)
    assert network.state["state"] == "finished"
    assert "samples" not in network.records[-1]["answers"]["hospital-03"]


def test_a_second_answer_of_a_site_is_ignored(tmp_path):
    def twice(network, site, task):
        if task.name == TRAIN:
            network.submit(site, task, train_reply(task))
            return train_reply(task, add=1000.0)
        return works(network, site, task)

    network = run(tmp_path, {"hospital-01": twice}, rounds=1)
    last, _ = read_model(network.run_folder.model("last"))
    first = initial_parameters("unet", tiny_settings().training.network_args, 1)
    np.testing.assert_allclose(last["head.bias"], first["head.bias"] + 1, rtol=1e-6)


def test_an_answer_under_the_name_of_a_site_that_was_not_asked_is_ignored(tmp_path):
    def impostor(network, site, task):
        if task.name == TRAIN:
            network.submit("hospital-77", task, train_reply(task, add=1000.0))
        return works(network, site, task)

    network = run(tmp_path, {"hospital-01": impostor}, rounds=1)
    assert network.state["state"] == "finished"
    assert sorted(network.records[0]["answers"]) == list(SITES)


def test_a_site_cannot_answer_under_another_name_by_its_report(tmp_path):
    def pretends(network, site, task):
        meta = {REPORT: train_report(), "client_name": "hospital-02"}
        return train_reply(task, meta=meta) if task.name == TRAIN else works(network, site, task)

    network = run(tmp_path, {"hospital-01": pretends}, rounds=1)
    assert sorted(network.records[0]["weights"]) == list(SITES)


@pytest.mark.parametrize(("min_sites", "state"), [(None, "failed"), (2, "finished")])
def test_a_site_that_is_not_connected(tmp_path, min_sites, state):
    sites = {name: works for name in SITES if name != "hospital-03"}
    started = time.monotonic()
    network = FakeNetwork(tmp_path, tiny_settings(rounds=1, min_sites=min_sites), sites).run()
    assert time.monotonic() - started < 20
    assert network.state["state"] == state
    if state == "failed":
        assert "hospital-03: not connected" in network.panics[0]
    else:
        assert network.records[0]["missing"] == {"hospital-03": "not connected"}


def test_an_abort_leaves_a_run_that_goes_on(tmp_path):
    def aborts(network, site, task):
        if task.data.get_header("current_round") == 2:
            network.abort.trigger(True)
            return None
        return works(network, site, task)

    network = run(tmp_path, {"hospital-01": aborts})
    assert network.state["state"] == "interrupted"
    assert network.state["rounds_done"] == 1
    network = run(tmp_path)
    assert network.state["state"] == "finished"
    assert [r["round"] for r in network.records] == [1, 2, 2]
    assert len(network.sent) == 2  # round 2 and the validation


NONSENSE = {
    "no parameters": lambda task: model_reply(metrics={REPORT: train_report()}),
    "a difference": lambda task: train_reply(task, params_type=ParamsType.DIFF),
    "no report": lambda task: train_reply(task, meta={}),
    "a report that is a list": lambda task: train_reply(task, meta={REPORT: [1]}),
    "samples below zero": lambda task: train_reply(task, meta={REPORT: train_report(samples=-1)}),
    "parameters of another network": lambda task: train_reply(task, params={"weight": np.zeros(3, np.float32)}),
    "text for a tensor": lambda task: train_reply(task, params={"head.bias": "zero"}),
    "parameters that are not finite": lambda task: train_reply(task, add=np.nan),
    "an empty message": lambda task: Shareable(),
    "not even a message of FLARE's kind": lambda task: Shareable({"DXO": 7}),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_keeps_its_site_out_at_once(tmp_path, what):
    """Whatever a site sends, it is not waited for (the deadline is 30 s) and it does not count."""
    started = time.monotonic()
    broken = only(TRAIN, replies(NONSENSE[what]))
    network = run(tmp_path, {"hospital-02": broken}, min_sites=2, rounds=1)
    assert time.monotonic() - started < 20
    assert network.state["state"] == "finished"
    record = network.records[0]
    assert "hospital-02" in {**record["missing"], **record["refused"]}
    assert sorted(record["answers"]) == sorted(record["weights"]) == ["hospital-01", "hospital-03"]


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_ends_a_run_that_needs_all_sites(tmp_path, what):
    started = time.monotonic()
    network = run(tmp_path, {"hospital-02": only(TRAIN, replies(NONSENSE[what]))})
    assert time.monotonic() - started < 20
    assert network.state["state"] == "failed"
    assert "hospital-02: " in network.state["error"]["message"]


def test_claims_that_are_not_finite_are_kept_out_of_the_record(tmp_path):
    report = train_report(end={**evaluation(), "cost": float("nan")}, loss=float("inf"))
    network = run(tmp_path, {"hospital-02": only(TRAIN, replies(lambda t: train_reply(t, meta={REPORT: report})))})
    assert network.state["state"] == "finished"
    answer = network.records[0]["answers"]["hospital-02"]
    assert answer["end"]["cost"] is None
    assert answer["loss"] is None


def test_a_fault_of_the_server_itself_is_in_run_json(tmp_path, monkeypatch):
    def broken(self):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(CostWeightedAggregator, "aggregate_model", broken)
    network = run(tmp_path)
    assert network.state["state"] == "failed"
    assert "a fault of ours" in network.state["error"]["message"]
    assert "a fault of ours" in network.panics[0]


def test_a_result_that_cannot_be_kept_is_an_answer_that_failed(tmp_path, monkeypatch):
    def full(self, model):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CostWeightedAggregator, "accept_model", full)
    network = run(tmp_path)
    assert network.state["state"] == "failed"
    assert "could not be kept at the server" in network.state["error"]["message"]
    assert "No space left" in network.state["error"]["message"]


ARGUMENTS = tiny_settings().training.network_args


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ({"aggregator": None}, "'aggregator' of the job is no CostWeightedAggregator"),
        ({"aggregator": CostWeightedAggregator("fedavg")}, "different weighting"),
        ({"persistor": None}, "'persistor' of the job is no NetworkPersistor"),
        ({"persistor": NetworkPersistor("unet", {**ARGUMENTS, "features": 4}, 1)}, "different networks"),
        ({"persistor": NetworkPersistor("unet", ARGUMENTS, 2)}, "different networks"),
    ],
)
def test_a_job_whose_parts_do_not_fit_ends_before_the_first_round(tmp_path, components, message):
    network = FakeNetwork(tmp_path, tiny_settings(), dict.fromkeys(SITES, works), components).run()
    assert message in network.panics[0]
    assert network.sent == []


def test_server_validation_without_images_says_what_to_configure(tmp_path):
    network = run(tmp_path, aggregation=AggregationSettings(scheme="dcew", cost_source="server_validation"))
    assert "needs a folder of validation images at the server" in network.panics[0]
    assert network.sent == []


def test_a_server_without_a_runs_folder_says_so(tmp_path):
    network = FakeNetwork(tmp_path, tiny_settings(), dict.fromkeys(SITES, works))
    (tmp_path / "local" / "fedward.yml").write_text("cache: /tmp\n")
    network.run()
    assert "add 'runs: FOLDER' there" in network.panics[0]


def test_a_finished_run_is_not_run_again(tmp_path):
    assert run(tmp_path).state["state"] == "finished"
    again = run(tmp_path)
    assert "is finished: choose another name" in again.panics[0]
    assert again.state["state"] == "finished"


def test_other_settings_do_not_go_on_with_a_run(tmp_path):
    network = run(tmp_path, {"hospital-03": replies(lambda task: error_reply("stop"))})
    assert network.state["state"] == "failed"
    again = run(tmp_path, seed=2)
    assert "seed: 1 before, 2 now" in again.panics[0]


def test_a_site_that_dies_while_the_round_runs_is_not_waited_for(tmp_path):
    def dies(network, site, task):
        network.dead.add(site)

    network = run(tmp_path, {"hospital-03": dies}, min_sites=2)
    assert network.state["state"] == "finished"
    assert "its connection was lost" in network.records[0]["missing"]["hospital-03"]
    assert network.records[1]["missing"] == {"hospital-03": "not connected"}
    assert sum(record["seconds"] for record in network.records) < 20  # of a deadline of 30 s a round


def test_a_site_that_did_not_take_the_job_is_not_waited_for(tmp_path):
    network = FakeNetwork(tmp_path, tiny_settings(min_sites=2), dict.fromkeys(SITES, works))
    refusals = {"hospital-02": "study 'run' is not approved at hospital-02"}
    (tmp_path / "job").mkdir(exist_ok=True)
    (tmp_path / "job" / "refusals.json").write_text(json.dumps(refusals))
    network.run()
    assert network.state["state"] == "finished"
    for record in network.records:
        assert record["missing"] == {"hospital-02": "did not take the job: study 'run' is not approved at hospital-02"}
        assert sorted(record["answers"]) == ["hospital-01", "hospital-03"]
