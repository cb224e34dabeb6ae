"""The exchange over FLARE's messages: what is sent to whom, hostile answers, and the executor's side of it."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fake_network import SITES, FakeNetwork, error_reply, evaluation, model_reply, tiny_settings, train_reply, works
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContextManager
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fedward.cardiac_contrastive import SETTINGS as CONTRASTIVE
from fedward.flare.exchange_controller import ExchangeController
from fedward.flare.executor import TrainingExecutor
from fedward.flare.tasks import BANK, ERROR, FEATURES, FINGERPRINT, OTHERS, REPORT, TRAIN, VALIDATE
from fedward.rounds.exchange import WIDTH, FeatureTable, join_tables

SETTINGS = replace(
    CONTRASTIVE,
    name="run",
    sites=SITES,
    min_sites=None,
    rounds=3,
    round_deadline=30.0,
    preprocessing=replace(CONTRASTIVE.preprocessing, image_size=32),
    training=replace(CONTRASTIVE.training, network_args={"in_channels": 1, "features": 2, "depth": 1}, batch_size=4),
    contrast=replace(CONTRASTIVE.contrast, bank_size=8, max_age=1),
)


def table(site: str, number: int) -> FeatureTable:
    rows = np.random.default_rng([int(site[-2:]), number]).normal(size=(5, WIDTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return FeatureTable(rows.astype(np.float16), np.arange(5, dtype=np.uint8) % 4, 0.0)


def bank_reply(values, **report):
    return model_reply(metrics={REPORT: {"train_seconds": 0.1, **report}}, meta={FEATURES: values})


def offers(network, site, task):
    """A site that does what it is asked, also to offer features."""
    if task.name == BANK:
        return bank_reply(table(site, task.data.get_header("current_round")).to_dict())
    if task.name == VALIDATE:
        start = {"start": evaluation(), "train_seconds": 0.0, "warnings": []}
        return model_reply(metrics={REPORT: start})
    return train_reply(task)


def run(tmp_path, sites=None, **changes):
    return FakeNetwork(tmp_path, replace(SETTINGS, **changes), {**dict.fromkeys(SITES, offers), **(sites or {})}).run()


def others_in(task):
    return FLModelUtils.from_shareable(task.data).meta.get(OTHERS)


def test_a_whole_run(tmp_path):
    network = run(tmp_path)
    assert network.panics == []
    assert network.state["state"] == "finished"
    names = [task.name for task in network.sent]
    assert names == [TRAIN] * 3 + 2 * [BANK, *[TRAIN] * 3] + [VALIDATE]
    assert [record["round"] for record in network.records] == [1, 2, 3, 3]
    assert {record["exchange"]["banks"]["hospital-01"]["age"] for record in network.records[1:3]} == {0}
    assert not network.run_folder.banks.exists()


def test_each_site_is_sent_the_others_features_alone(tmp_path):
    got: dict = {}

    def notes(network, site, task):
        if task.name == TRAIN:
            got[task.data.get_header("current_round"), site] = others_in(task)
        return offers(network, site, task)

    network = run(tmp_path, dict.fromkeys(SITES, notes))
    assert all(got[1, site] == [] for site in SITES)
    for number in (2, 3):
        for site in SITES:
            wanted = [table(other, number) for other in SITES if other != site]
            assert [(t["rows"].tobytes(), t["partitions"].tobytes()) for t in got[number, site]] == [
                (t.rows.tobytes(), t.partitions.tobytes()) for t in wanted
            ]
            sent = network.records[number - 1]["exchange"]["sent"][site]
            assert sent == sum(part.nbytes for t in got[number, site] for part in (t["rows"], t["partitions"]))
            assert {type(part) for t in got[number, site] for part in (t["rows"], t["partitions"])} == {np.ndarray}


GOOD = table("hospital-02", 2).to_dict()
HOSTILE = {
    "a constant bank": {**GOOD, "rows": np.repeat(GOOD["rows"][:1], 5, axis=0)},
    "huge norms": {**GOOD, "rows": GOOD["rows"] * np.float16(1000)},
    "NaN": {**GOOD, "rows": np.full_like(GOOD["rows"], np.nan)},
    "a million rows": {**GOOD, "rows": np.zeros((10**6, WIDTH), np.float16)},
    "wrong width": {**GOOD, "rows": GOOD["rows"][:, :64]},
    "wrong type": {**GOOD, "rows": GOOD["rows"].astype(np.float64)},
    "partition 200": {**GOOD, "partitions": np.full(5, 200, np.uint8)},
    "negative noise": {**GOOD, "noise": -1.0},
    "patients beside it": {**GOOD, "patients": ["Jones"]},
    "rows alone": GOOD["rows"],
    "nothing": None,
    "text": "Jones",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_table_is_refused_and_the_round_goes_on(tmp_path, case):
    def hostile(network, site, task):
        return bank_reply(HOSTILE[case]) if task.name == BANK else offers(network, site, task)

    network = run(tmp_path, {"hospital-02": hostile}, rounds=2)
    assert network.state["state"] == "finished"
    record = network.records[1]
    (reason,) = record["exchange"]["refused"].values()
    assert len(reason) > 20
    assert "Jones" not in reason
    assert sorted(record["exchange"]["banks"]) == ["hospital-01", "hospital-03"]
    assert sorted(record["weights"]) == list(SITES)


def test_an_error_of_one_site_and_silence_of_another_cost_nothing_but_their_features(tmp_path):
    def fails(network, site, task):
        return error_reply("its disk is full") if task.name == BANK else offers(network, site, task)

    def silent(network, site, task):
        late = task.name == BANK and task.data.get_header("current_round") == 3
        return network.silence(site) if late else offers(network, site, task)

    network = run(tmp_path, {"hospital-01": fails, "hospital-02": silent})
    assert network.state["state"] == "finished"
    third = network.records[2]["exchange"]
    assert third["missing"] == {"hospital-01": "its disk is full", "hospital-02": "no answer in time"}
    assert {site: bank["age"] for site, bank in third["banks"].items()} == {"hospital-02": 1, "hospital-03": 0}
    assert sorted(network.records[2]["weights"]) == list(SITES)


def test_a_late_bank_is_not_taken_for_a_trained_model(tmp_path, caplog):
    late = []

    def slow(network, site, task):
        if task.name == BANK and not late:
            late.append(task)
            return network.silence(site)
        if task.name == TRAIN and late:
            network.submit(site, late[0], bank_reply(table(site, 2).to_dict()))
        return offers(network, site, task)

    with caplog.at_level(logging.WARNING):
        network = run(tmp_path, {"hospital-03": slow})
    assert network.state["state"] == "finished"
    assert network.records[1]["refused"] == {}
    assert network.records[1]["exchange"]["missing"] == {"hospital-03": "no answer in time"}


def test_a_run_needs_the_controller_of_its_settings(tmp_path):
    network = FakeNetwork(tmp_path, tiny_settings(), dict.fromkeys(SITES, works))
    network.controller = ExchangeController(tiny_settings().to_dict())
    network.controller.set_communicator(network)
    network.run()
    assert "needs fedward.flare.controller.RoundController" in network.panics[0]


class FakeSite:
    def bank(self, parameters, number):
        return table("hospital-01", number), {"train_seconds": 0.5}

    def train(self, parameters, number, others=None):
        self.others = others
        return parameters, {}


@pytest.fixture
def execute():
    executor = TrainingExecutor(SETTINGS.to_dict())
    executor._site = FakeSite()
    manager = FLContextManager(SimpleNamespace(fire_event=lambda *_: None), "hospital-01", "job")

    def call(task, executor=executor, settings=SETTINGS, **meta):
        values = {"params_type": ParamsType.FULL, "params": {"a": np.zeros(2, np.float32)}, "current_round": 2}
        model = FLModel(**values, total_rounds=3, meta={FINGERPRINT: settings.fingerprint(), **meta})
        with manager.new_context() as context:
            return executor.execute(task, FLModelUtils.to_shareable(model), context, Signal())

    call.executor = executor
    return call


def test_the_executor_sends_the_sites_features_and_no_parameters(execute):
    model = FLModelUtils.from_shareable(execute(BANK))
    assert not model.params
    assert model.metrics == {REPORT: {"train_seconds": 0.5}}
    assert model.meta[FEATURES]["rows"].tobytes() == table("hospital-01", 2).rows.tobytes()
    assert set(model.meta) & {FEATURES, REPORT} == {FEATURES}


def test_the_executor_hands_the_others_features_to_the_site(execute):
    tables = [table(site, 2) for site in SITES[1:]]
    execute(TRAIN, **{OTHERS: [one.to_dict() for one in tables]})
    assert execute.executor._site.others.rows.tobytes() == join_tables(tables).rows.tobytes()
    for nothing in ({}, {OTHERS: []}):
        execute(TRAIN, **nothing)
        assert execute.executor._site.others is None


@pytest.mark.parametrize("hostile", [[HOSTILE["NaN"]], [HOSTILE["partition 200"]], ["Jones"], [None]])
def test_a_site_does_not_train_against_what_are_no_features(execute, hostile):
    reply = execute(TRAIN, **{OTHERS: hostile})
    assert reply.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert "feature" in reply.get_header(ERROR)


def test_a_site_of_a_run_without_exchange_offers_nothing(execute):
    alone = replace(SETTINGS, contrast=replace(SETTINGS.contrast, exchange=False))
    executor = TrainingExecutor(alone.to_dict())
    executor._site = FakeSite()
    reply = execute(BANK, executor, alone)
    assert "task 'bank' is unknown: this site takes train and validate" in reply.get_header(ERROR)
