"""The exchange as a round of a federation: who is asked, who is missed, what is recorded, and a crash in between."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from fake_federation import SITES, FakeSite, answer, make_federation
from features import same, table
from test_crash import Power, PowerCutError, result

from fedward.cardiac_contrastive import SETTINGS
from fedward.rounds.exchange import join_tables
from fedward.rounds.open_round import EXCHANGE, TRAINING, VALIDATION
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder

BANK = {"train_seconds": 0.2}
HOSTILE = replace(table(8), partitions=np.full(8, 200, np.uint8))


@pytest.fixture
def settings():
    contrast = replace(SETTINGS.contrast, bank_size=8, max_age=1)
    return replace(SETTINGS, name="run", sites=SITES, min_sites=2, rounds=4, round_deadline=60.0, contrast=contrast)


def offer(federation, site, offered=None):
    number = federation.round.number
    offered = offered or table(3 + int(site[-2:]), seed=100 * number + int(site[-2:]))
    federation.answer(site, BANK, offered.size, lambda _: federation.exchange.accept(site, offered, number))


class Run:
    """Drives a federation to its end; `silent` and `broken` are (kind, round, site) that give nothing, or an error."""

    def __init__(self, silent=(), broken=(), hostile=()):
        self.silent, self.broken, self.hostile = set(silent), set(broken), set(hostile)
        self.got: dict = {}
        self.asked: list = []

    def __call__(self, federation):
        for kind in federation.kinds_left():
            federation.open(kind)
            number = federation.round.number
            self.asked.append((kind, number))
            for site in federation.settings.sites:
                event = (kind, number, site)
                if event in self.broken:
                    federation.fail(site, "its disk is full")
                elif event not in self.silent:
                    self.work(federation, *event)
            if federation.round.asked - federation.round.answers.keys() - federation.round.failed.keys():
                federation.round.clock -= 1000  # the deadline
            assert federation.decide().action == "close"
            federation.close(federation.aggregation.close() if kind == TRAINING else None)
        federation.finish()
        return read_records(federation.folder.rounds)

    def work(self, federation, kind, number, site):
        fake = FakeSite(site)
        if kind == VALIDATION:
            federation.answer(site, fake.validate(federation.parameters), 0)
        elif kind == EXCHANGE:
            bad = (
                replace(table(8), partitions=np.full(8, 200, np.uint8))
                if (kind, number, site) in self.hostile
                else None
            )
            offer(federation, site, bad)
        else:
            others = join_tables(federation.others(site))
            self.got[number, site] = others
            parameters, report = fake.train(federation.parameters, number)
            step = np.float32(
                0 if others is None else abs(others.rows.sum())
            )  # the result depends on what was exchanged
            moved = {key: value + step if value.dtype.kind == "f" else value for key, value in parameters.items()}
            answer(federation, site, moved, report)


def test_features_are_exchanged_before_each_training_but_the_first(settings, folder):
    run = Run()
    records = run(make_federation(settings, folder))
    exchanged = [(kind, number) for number in (2, 3, 4) for kind in (EXCHANGE, TRAINING)]
    assert run.asked == [(TRAINING, 1), *exchanged, (VALIDATION, 4)]
    assert [record["kind"] for record in records] == [TRAINING] * 4 + [VALIDATION]
    assert ["exchange" in record for record in records] == [False, True, True, True, False]
    assert not folder.banks.exists()  # they were lent for the run
    assert [record["weights"].keys() for record in records[:4]] == [set(SITES)] * 4


def test_each_site_gets_the_others_features_of_this_round_and_never_its_own(settings, folder):
    run = Run()
    run(make_federation(settings, folder))
    assert {run.got[1, site] for site in SITES} == {None}
    for number in (2, 3, 4):
        own = {site: table(3 + int(site[-2:]), 100 * number + int(site[-2:])) for site in SITES}
        for site in SITES:
            assert same(run.got[number, site], join_tables([own[other] for other in SITES if other != site]))


def test_the_record_of_an_exchange(settings, folder):
    federation = make_federation(settings, folder)
    record = Run()(federation)[1]["exchange"]
    model = sum(value.nbytes for value in federation.parameters.values())
    sizes = {site: table(3 + int(site[-2:])).size for site in SITES}
    assert sizes["hospital-02"] == 5 * (2 * 128 + 1)
    for site in SITES:
        bank = record["banks"][site]
        assert (bank["rows"], bank["bytes"], bank["age"]) == (3 + int(site[-2:]), sizes[site], 0)
        assert bank["train_seconds"] == 0.2
        assert 0 <= bank["arrived"] <= record["seconds"]
        assert record["sent"][site] == sum(sizes.values()) - sizes[site]
        assert record["models"][site] == model  # it is sent again with the training: filters there compare with it
    assert record["missing"] == record["refused"] == {}


@pytest.mark.parametrize("how", ["silent", "broken", "hostile"])
def test_a_site_that_offers_nothing_is_used_with_its_last_features_and_still_trains(settings, folder, how):
    lost = {(EXCHANGE, 3, "hospital-02"), (EXCHANGE, 4, "hospital-02")}
    run = Run(**{how: lost})
    records = run(make_federation(settings, folder))
    second, third, fourth = (record["exchange"] for record in records[1:4])
    assert [e["banks"].get("hospital-02", {}).get("age") for e in (second, third, fourth)] == [0, 1, None]  # max_age 1
    assert third["banks"]["hospital-02"]["arrived"] is None
    last = table(5, seed=202)
    assert same(run.got[3, "hospital-01"], join_tables([last, table(6, seed=303)]))
    assert same(run.got[4, "hospital-01"], table(6, seed=403))
    assert fourth["sent"] == {
        "hospital-01": table(6).size,
        "hospital-02": table(4).size + table(6).size,
        "hospital-03": table(4).size,
    }
    reason = {"silent": "no answer in time", "broken": "its disk is full"}.get(how)
    for exchange in (third, fourth):
        assert exchange["missing"] == ({"hospital-02": reason} if reason else {})
        assert list(exchange["refused"]) == (["hospital-02"] if how == "hostile" else [])
    if how == "hostile":
        assert "another partition than 0 to 3" in third["refused"]["hospital-02"]
    assert all("hospital-02" in record["answers"] for record in records)
    assert run.got[4, "hospital-02"] is not None


def test_a_site_that_is_back_counts_from_its_round(settings, folder):
    run = Run(silent={(EXCHANGE, 2, "hospital-03"), (TRAINING, 2, "hospital-03"), (EXCHANGE, 3, "hospital-03")})
    records = run(make_federation(settings, folder))
    ages = [record["exchange"]["banks"].get("hospital-03", {}).get("age") for record in records[1:4]]
    assert ages == [None, None, 0]
    assert same(run.got[2, "hospital-01"], table(5, seed=202))


def test_one_answer_is_enough_and_none_is_a_failure(settings, folder):
    federation = make_federation(settings, folder)
    federation.rounds_done = 1
    federation.open(EXCHANGE)
    assert federation.decide().action == "wait"
    for site in SITES[:2]:
        federation.fail(site, "its disk is full")
    assert federation.decide().action == "wait"
    offer(federation, SITES[2])
    assert federation.decide().action == "close"
    federation.open(EXCHANGE)
    for site in SITES:
        federation.fail(site, "its disk is full")
    decision = federation.decide()
    assert decision.action == "fail"
    assert "hospital-03: its disk is full" in decision.reason


def test_a_run_without_exchange_asks_for_none(settings, folder):
    run = Run()
    records = run(make_federation(replace(settings, contrast=replace(settings.contrast, exchange=False)), folder))
    assert [kind for kind, _ in run.asked] == [TRAINING] * 4 + [VALIDATION]
    assert not any("exchange" in record for record in records)


def test_a_crash_at_any_point_of_an_exchange_or_after_it_changes_nothing(settings, folder, tmp_path, monkeypatch):
    settings = replace(settings, rounds=2)
    run = Run(silent={(EXCHANGE, 2, "hospital-02")})
    power, number = Power(monkeypatch), 0
    begun = RunFolder(tmp_path / "begun" / "run")
    federation = make_federation(settings, begun)
    federation.open(TRAINING)
    for site in SITES:
        run.work(federation, TRAINING, 1, site)
    federation.close(federation.aggregation.close())
    run(make_federation(settings, RunFolder(shutil.copytree(begun.root, folder.root))))
    whole = result(folder)
    while True:
        again = RunFolder(shutil.copytree(begun.root, tmp_path / str(number) / "run"))
        power.cut_at(number, after=False)
        try:
            run(make_federation(settings, again))
            break
        except PowerCutError:
            power.restore()
        run(make_federation(settings, again))
        assert result(again) == whole, f"power cut {number}"
        number += 1
    power.restore()
    assert number > 20
