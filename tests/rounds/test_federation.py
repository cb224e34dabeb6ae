"""The server's side of a run: answers, decisions, the best model, and what is on disk after each round."""

import json
import os
import re
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from fake_federation import SITES, FakeSite, answer, evaluation, make_federation, report, run_rounds, start_parameters

from fedward.errors import FedwardError, UsageError
from fedward.networks.checkpoint import read_model
from fedward.rounds.open_round import TRAINING, VALIDATION
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import AggregationSettings


def test_a_whole_run_is_on_disk(settings, folder):
    federation = make_federation(settings, folder, about={"mode": "federated"})
    run_rounds(federation)
    records = read_records(folder.rounds)
    assert [(r["kind"], r["round"]) for r in records] == [("training", n) for n in (1, 2, 3)] + [("validation", 3)]
    run = read_json(folder.run)
    assert run["state"] == "finished"
    assert run["final_record"] is True
    assert (run["rounds_done"], run["mode"], run["error"]) == (3, "federated", None)
    assert run["optimizer_steps"] == 3 * 3 * 5
    assert read_json(folder.settings) == settings.to_dict()
    last, about = read_model(folder.model("last"))
    assert about["round"] == 3
    assert all(np.array_equal(last[key], value) for key, value in federation.parameters.items())
    assert not folder.spool.exists()


def test_everything_the_next_round_needs_is_on_disk_after_each_round(settings, folder):
    federation = make_federation(settings, folder)
    for done in (0, 1, 2):
        run_rounds(federation, until=done)
        state = read_json(folder.state / "state.json")
        assert state["round"] == done == len(read_records(folder.rounds)) == read_json(folder.run)["rounds_done"]
        kept, _ = read_model(folder.state / state["model"])
        last, about = read_model(folder.model("last"))
        assert about["round"] == done
        for key, value in federation.parameters.items():
            assert kept[key].tobytes() == last[key].tobytes() == value.tobytes()
    assert len(list(folder.state.glob("round-*"))) == 2  # older models are dropped


def test_the_record_of_a_round(settings, folder):
    federation = make_federation(settings, folder)
    run_rounds(federation, until=1)
    (record,) = read_records(folder.rounds)
    assert record["asked"] == sorted(SITES)
    assert record["missing"] == record["refused"] == {}
    assert set(record["shares"]) == {"samples", "cost_ratio", "quality_ratio"}
    assert record["weights"] == pytest.approx(dict(zip(SITES, (10 / 60, 20 / 60, 30 / 60), strict=True)))
    first = record["answers"]["hospital-01"]
    assert (first["bytes"], first["samples"], first["steps"], first["train_seconds"]) == (1, 10, 5, 0.5)
    assert first["start"] == evaluation(*FakeSite("hospital-01").measure(start_parameters()))
    received = record["received"]
    assert received["images"] == 30
    assert received["iou"] == pytest.approx(received["true_positive"] / (6000 - received["true_positive"]))


def test_the_order_of_the_answers_leaves_no_trace_in_the_pooled_evaluation(settings, folder, tmp_path):
    costs = dict(zip(SITES, (0.1, 0.2, 0.3), strict=True))  # (.1 + .2) + .3 and (.3 + .2) + .1 differ in the last bit
    received = []
    for name, order in (("sorted", SITES), ("reversed", SITES[::-1])):
        federation = make_federation(settings, RunFolder(tmp_path / name))
        federation.open()
        for site in order:
            own, claim = FakeSite(site).train(federation.parameters, 1)
            claim["start"] |= {"cost": costs[site], "images": 1}
            answer(federation, site, own, claim)
        received.append(federation.close(federation.aggregation.close())["received"])
    assert received[0] == received[1]


HARD, EASY = SITES[0], SITES[1:]


def train_round(federation, quality, sites=SITES):
    """One round whose sites say so of the model they received; `quality` may differ by site."""
    federation.open()
    for site in SITES:
        if site not in sites:
            federation.fail(site, "away")
            continue
        own, _ = FakeSite(site).train(federation.parameters, federation.round.number)
        value = quality[site] if isinstance(quality, dict) else quality
        answer(federation, site, own, report(start=evaluation(0.5, value)))
    federation.close(federation.aggregation.close())


@pytest.mark.parametrize("interrupted", [False, True])
def test_models_are_compared_on_the_sites_that_measured_both(settings, folder, interrupted):
    """While the hard site is away every model looks better: worse ones must not become the best."""
    settings = replace(settings, rounds=5, min_sites=2)
    federation = make_federation(settings, folder)
    train_round(federation, 0.1)
    train_round(federation, {HARD: 0.3, **dict.fromkeys(EASY, 0.9)})  # of the model after round 1
    if interrupted:
        federation = make_federation(settings, folder)
    train_round(federation, 0.85, EASY)  # pooled .85, which is more than .7 of all three, and worse at both
    assert federation.best["round"] == 1
    train_round(federation, 0.95, EASY)
    assert (federation.best["round"], federation.best["quality"]) == (3, pytest.approx(0.95))
    train_round(federation, {HARD: 0.2, **dict.fromkeys(EASY, 0.96)})  # the hard one did not measure the best
    assert federation.best["round"] == 4


class Scripted:
    """Sites whose reports about the received model follow a list."""

    def __init__(self, qualities):
        self.qualities = qualities

    def run(self, federation):
        for quality in self.qualities[:-1]:
            federation.open()
            for site in SITES:
                own, _ = FakeSite(site).train(federation.parameters, federation.round.number)
                answer(federation, site, own, report(start=None if quality is None else evaluation(0.5, quality)))
            federation.close(federation.aggregation.close())
        federation.open("validation")
        last = self.qualities[-1]
        claim = {"start": None if last is None else evaluation(0.5, last), "train_seconds": 0.1}
        for site in SITES:
            federation.answer(site, claim, 0)
        federation.close()
        federation.finish()


@pytest.mark.parametrize(
    ("qualities", "best"),
    [
        ([0.1, 0.2, 0.3, 0.4], 3),  # the last global model is validated too
        ([0.1, 0.6, 0.3, 0.4], 1),
        ([0.9, 0.6, 0.3, 0.4], 1),  # the untrained model is never the best
        ([0.1, 0.5, 0.5, 0.5], 1),  # the first of equals
        ([None, None, 0.3, None], 2),
        ([None, None, None, None], 3),  # nobody validates: the last model
        ([0.0, 0.0, 0.0, 0.0], 1),
        ([0.9, None, None, None], 3),
    ],
)
def test_the_best_model_is_the_one_with_the_best_pooled_dice(settings, folder, qualities, best):
    federation = make_federation(settings, folder)
    Scripted(qualities).run(federation)
    parameters, about = read_model(folder.model("best"))
    assert about["round"] == best == read_json(folder.run)["best_round"]
    if best == 3:
        assert np.array_equal(parameters["conv.weight"], federation.parameters["conv.weight"])


@pytest.mark.parametrize(
    "lie",
    [
        {"cost": 1e308, "images": 2**53},
        {"cost": float("nan")},
        {"cost": -5.0},
        {"cost": float("inf"), "quality": float("inf")},
        {"quality": 7.0, "true_positive": 0, "false_positive": 0, "false_negative": 0},
        {"quality": float("nan"), "true_positive": 0, "false_positive": 0, "false_negative": 0},
        {"true_positive": 0, "false_positive": 0, "false_negative": 0, "images": 0},
    ],
)
def test_an_impossible_claim_about_the_received_model_hurts_nobody(settings, folder, lie):
    federation = make_federation(settings, folder)
    federation.open()
    for site in SITES:
        own, claim = FakeSite(site).train(federation.parameters, 1)
        if site == "hospital-02":
            claim["start"] |= lie
        answer(federation, site, own, claim)
    record = federation.close(federation.aggregation.close())
    assert 0 <= record["received"]["cost"] <= 10
    assert 0 <= record["received"]["quality"] <= 1
    assert read_records(folder.rounds) == [json.loads(json.dumps(record))]


@pytest.mark.parametrize("quality", [7.0, -1.0, float("inf")])
def test_an_impossible_quality_without_pixel_counts_never_makes_a_best_model(settings, folder, quality):
    federation = make_federation(settings, folder)
    federation.open()
    nothing = {"true_positive": 0, "false_positive": 0, "false_negative": 0}
    for site in SITES:
        own, claim = FakeSite(site).train(federation.parameters, 1)
        claim["start"] |= {"quality": quality, **nothing}
        answer(federation, site, own, claim)
    assert federation.close(federation.aggregation.close())["received"]["quality"] is None
    assert federation.best == {"round": 0, "quality": None}


def test_answers_nobody_waits_for_are_ignored(settings, folder):
    federation = make_federation(settings, folder)
    federation.open()
    site = "hospital-01"
    own, claim = FakeSite(site).train(federation.parameters, 1)
    other = {key: value + 1 for key, value in own.items()}
    answer(federation, site, own, claim)
    answer(federation, site, other, claim | {"samples": 999})  # a second time
    answer(federation, "hospital-99", other, claim)  # not asked
    federation.fail("hospital-02", "no images")
    answer(federation, "hospital-02", other, claim)  # it has failed already
    federation.fail(site, "lost after its answer")
    federation.fail("hospital-99", "not asked")
    federation.fail("hospital-02", "a second reason")
    assert set(federation.round.answers) == {site}
    record = federation.close(federation.aggregation.close())
    assert record["answers"][site]["samples"] == 10
    assert record["weights"] == {site: 1.0}
    assert record["missing"] == {"hospital-02": "no images", "hospital-03": "no answer in time"}
    assert np.allclose(federation.parameters["conv.weight"], own["conv.weight"])


def test_a_refused_result_is_recorded_and_does_not_count(settings, folder):
    federation = make_federation(replace(settings, min_sites=1), folder)
    federation.open()
    good, claim = FakeSite("hospital-01").train(federation.parameters, 1)
    answer(federation, "hospital-01", good, claim)
    answer(federation, "hospital-02", good | {"conv.weight": np.full((2, 3), np.inf, np.float32)}, claim)
    answer(federation, "hospital-03", good, claim | {"samples": -1})
    assert federation.decide().action == "close"
    record = federation.close(federation.aggregation.close())
    assert set(record["refused"]) == {"hospital-02", "hospital-03"}
    assert "conv.weight" in record["refused"]["hospital-02"]
    assert "samples" in record["refused"]["hospital-03"]
    assert record["missing"] == {}
    assert set(record["answers"]) == set(record["weights"]) == {"hospital-01"}


def test_without_a_quorum_the_round_fails_and_names_the_sites(settings, folder):
    federation = make_federation(replace(settings, min_sites=2), folder)
    federation.open()
    own, claim = FakeSite("hospital-01").train(federation.parameters, 1)
    answer(federation, "hospital-01", own, claim)
    assert federation.decide().action == "wait"
    federation.fail("hospital-02", "no images in /data")
    assert federation.decide().action == "wait"
    answer(federation, "hospital-03", own, claim | {"loss": "x"})
    decision = federation.decide()
    assert decision.action == "fail"
    assert "hospital-02: no images in /data; hospital-03: the report's loss" in decision.reason


def test_a_validation_needs_one_answer_only(settings, folder):
    federation = make_federation(settings, folder)
    run_rounds(federation, until=3)
    federation.open("validation")
    federation.fail("hospital-01", "lost")
    federation.fail("hospital-02", "lost")
    assert federation.decide().action == "wait"
    federation.answer("hospital-03", FakeSite("hospital-03").validate(federation.parameters), 0)
    assert federation.decide().action == "close"


def test_the_deadline_is_that_of_the_settings(settings, folder):
    federation = make_federation(replace(settings, min_sites=1), folder)
    federation.open()
    own, claim = FakeSite("hospital-01").train(federation.parameters, 1)
    answer(federation, "hospital-01", own, claim)
    assert federation.decide().action == "wait"
    federation.round.clock -= 61  # 61 seconds later
    assert federation.decide().action == "close"
    assert federation.close(federation.aggregation.close())["missing"] == dict.fromkeys(SITES[1:], "no answer in time")


def test_every_deadline_that_begins_renews_run_json(settings, folder):
    federation = make_federation(settings, folder)
    for kind in (TRAINING, VALIDATION):
        os.utime(folder.run, (0, 0))
        federation.open(kind)
        assert folder.run.stat().st_mtime > time.time() - 60
        assert read_json(folder.run)["state"] == "running"


def test_no_answer_can_be_given_while_no_round_is_open(settings, folder):
    federation = make_federation(settings, folder)
    with pytest.raises(FedwardError, match="no round is open"):
        federation.answer("hospital-01", {}, 0)


def test_stop_says_why_and_keeps_what_was_finished(settings, folder):
    federation = make_federation(settings, folder)
    run_rounds(federation, until=1)
    federation.stop("failed", "disk full", "hospital-02")
    run = read_json(folder.run)
    assert (run["state"], run["error"]) == ("failed", {"message": "disk full", "site": "hospital-02"})
    assert run["rounds_done"] == 1
    assert run["ended"] is not None


def test_a_round_that_was_interrupted_before_its_record_does_not_count(settings, folder, monkeypatch):
    def interrupted(file, record):
        raise KeyboardInterrupt

    federation = make_federation(settings, folder)
    run_rounds(federation, until=1)
    monkeypatch.setattr("fedward.rounds.federation.append_record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_rounds(federation, until=2)
    federation.stop("interrupted", "Ctrl-C")
    assert read_json(folder.run)["rounds_done"] == len(read_records(folder.rounds)) == 1


# --- continuing -------------------------------------------------------------------------------------------------------


def test_going_on_gives_the_same_bits_as_never_stopping(settings, folder, tmp_path):
    whole = make_federation(settings, RunFolder(tmp_path / "whole"))
    run_rounds(whole)
    run_rounds(make_federation(settings, folder), until=2)
    again = make_federation(settings, folder)
    assert again.rounds_done == 2
    run_rounds(again)
    for key, value in whole.parameters.items():
        assert again.parameters[key].tobytes() == value.tobytes()


def test_a_finished_run_is_refused_and_untouched(settings, folder):
    run_rounds(make_federation(settings, folder))
    before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is finished"):
        make_federation(settings, folder)
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == before


def test_other_settings_are_refused_by_name(settings, folder):
    run_rounds(make_federation(settings, folder), until=1)
    other = replace(settings, seed=2, aggregation=AggregationSettings(scheme="fedavg"))
    with pytest.raises(UsageError) as caught:
        make_federation(other, folder)
    assert "aggregation.scheme: 'dcew' before, 'fedavg' now" in str(caught.value)
    assert "seed: 1 before, 2 now" in str(caught.value)
    assert "rounds" not in str(caught.value)


def test_a_folder_with_a_run_but_no_state_is_not_overwritten(settings, folder):
    run_rounds(make_federation(settings, folder), until=1)
    shutil.rmtree(folder.state)
    with pytest.raises(FedwardError, match="holds another run"):
        make_federation(settings, folder)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def _without(key):
    def change(path):
        state = read_json(path)
        del state[key]
        write_json(path, state)

    return change


@pytest.mark.parametrize(
    ("where", "damage"),
    [
        ("state/state.json", _cut),
        ("state/state.json", lambda path: path.write_text("[]")),
        ("state/state.json", lambda path: path.write_text("null")),
        *[("state/state.json", _without(key)) for key in ("round", "model", "sha256", "history", "fingerprint")],
        ("state/round-0002.safetensors", _cut),
        ("state/round-0002.safetensors", _flip),
        ("state/round-0002.safetensors", lambda path: path.unlink()),
        ("rounds.jsonl", lambda path: path.unlink()),
        ("rounds.jsonl", lambda path: path.write_text(path.read_text().splitlines()[0] + "\n")),
        ("rounds.jsonl", lambda path: path.write_text("x" + path.read_text())),
        ("run.json", _cut),
    ],
)
def test_a_damaged_state_is_an_error_that_names_the_file(settings, folder, where, damage):
    run_rounds(make_federation(settings, folder), until=2)
    damage(folder.root / where)
    with pytest.raises(FedwardError, match=re.escape(where.split("/")[-1])):
        make_federation(settings, folder)
