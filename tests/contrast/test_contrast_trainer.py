"""Contrastive pretraining at a site: repeatable, with and without others' features, and its warnings."""

import numpy as np
import pytest
import torch

from fedward.contrast import trainer as contrast_trainer
from fedward.contrast.agreed_warnings import (
    COLLAPSED,
    EMPTY_PARTITIONS,
    FEW_FEATURES,
    ONE_PATIENT,
    ONE_SCAN,
    ONE_SCAN_ALONE,
    WARNINGS,
)
from fedward.contrast.neighbours import knn_partition
from fedward.contrast.settings import METHODS, ContrastSettings
from fedward.errors import DataError, FedwardError
from fedward.evaluation import detail_names
from fedward.kits.leaving_list import AGREED_WARNINGS
from fedward.rounds.exchange import FeatureTable
from fedward.rounds.site_report import check_report
from fedward.settings import AggregationSettings, RunSettings


def same(first, second):
    return first.keys() == second.keys() and all(first[key].tobytes() == second[key].tobytes() for key in first)


def table(count=30, seed=0, parts=4, precision=np.float16):
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((count, 128))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return FeatureTable(rows.astype(precision), generator.integers(0, parts, count).astype(np.uint8))


@pytest.mark.parametrize("method", METHODS)
def test_a_round_is_repeatable_and_sends_the_online_network_only(method, trainer, start, of):
    results = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # the global generator plays no part
        own = trainer(**of(method))
        own.others = table() if method == "fcl" else None
        results.append(own.train(start(method), 2))
    assert same(results[0].parameters, results[1].parameters)
    assert results[0].parameters.keys() == start(method).keys()
    assert not same(results[0].parameters, start(method))
    assert (results[0].samples, results[0].steps) == (16, 2)  # four cells of each scan
    assert not same(results[0].parameters, trainer(site="b", **of(method)).train(start(method), 2).parameters)


@pytest.mark.parametrize("kept", ["reset", "keep"])
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(kept, trainer, start, tmp_path):
    def run(name, interrupted):
        def own():
            return trainer(folder=tmp_path / name, momentum_encoder=kept, momentum=0.5)

        site, parameters = own(), start()
        for number in (1, 2, 3):
            if interrupted:  # another process, which repeats the round that was under way
                site = own()
                site.bank(parameters, number)
                site.train(parameters, number)
                site = own()
            site.others = table(seed=number) if number > 1 else None
            parameters = site.train(parameters, number).parameters
        return parameters

    assert same(run("whole", False), run("parts", True))


def test_a_kept_momentum_encoder_lags_behind_and_a_site_that_missed_a_round_begins_afresh(trainer, start, tmp_path):
    own = trainer(folder=tmp_path, momentum_encoder="keep", momentum=0.9)
    first = own.train(start(), 1).parameters
    assert not np.array_equal(own.bank(first, 2).rows, trainer().bank(first, 2).rows)
    assert np.array_equal(own.bank(first, 3).rows, trainer().bank(first, 3).rows)  # it was away in round 2
    (tmp_path / "private-0001.safetensors").write_bytes(b"torn")
    with pytest.raises(FedwardError, match=r"private-0001\.safetensors.*begin anew"):
        own.train(first, 2)


def test_others_features_and_the_formula_change_what_is_learned(trainer, start):
    results = []
    for others, changes in (
        (None, {}),
        (table(), {}),
        (table(seed=1), {}),
        (table(), {"formula": "literal"}),
        (table(), {"exchange": False}),
        (table(), {"negatives": 7}),
    ):
        own = trainer(**changes)
        own.others = others
        results.append(own.train(start(), 2).parameters)
    different = [(i, j) for i in range(6) for j in range(i) if not same(results[i], results[j])]
    assert len(different) == 14
    assert (4, 0) not in different  # without an exchange, others' features are never looked at
    empty = trainer()
    empty.others = FeatureTable(np.empty((0, 128), np.float16), np.empty(0, np.uint8))
    assert same(empty.train(start(), 2).parameters, results[0])


def test_the_bank_is_filled_with_what_was_offered(trainer, start):
    for size, expected in ((4096, 26), (10, 10)):  # larger than the data, and smaller
        own = trainer(bank_size=size, precision="float32", training={"local_epochs": None, "local_steps": 1})
        offered = own.bank(start(), 3)
        own.load(start())
        own.begin(3, None, torch.Generator().manual_seed(1))
        filled = own.fcl.bank
        assert len(offered) == len(filled.keys) == expected
        assert {tuple(row) for row in offered.rows.tolist()} == {tuple(row) for row in filled.keys.tolist()}
        truth = {tuple(r): p for r, p in zip(filled.keys.tolist(), filled.partition.tolist(), strict=True)}
        assert all(
            truth[tuple(r)] == p for r, p in zip(offered.rows.tolist(), offered.partitions.tolist(), strict=True)
        )
    assert np.linalg.norm(offered.rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert trainer().bank(start(), 3).rows.dtype == np.float16
    assert not np.array_equal(own.bank(start(), 2).rows, offered.rows)  # other views each round


def test_the_bank_and_a_round_encode_the_slices_once(trainer, start, monkeypatch):
    own, calls = trainer(), []
    encode = own.fcl.keys
    monkeypatch.setattr(own.fcl, "keys", lambda views: (calls.append(1), encode(views))[1])
    own.bank(start(), 2)
    own.train(start(), 2)
    assert len(calls) == 1 + 2  # the bank, and the keys of two steps
    assert same(own.train(start(), 2).parameters, trainer().train(start(), 2).parameters)


def test_a_steps_keys_enter_the_bank_after_it(trainer, start):
    own = trainer(training={"local_epochs": None, "local_steps": 1})
    own.train(start(), 1)
    bank = own.fcl.bank
    assert bank.oldest == 8  # a batch
    counts = torch.bincount(bank.scan, minlength=4)
    assert counts.sum() == 26
    assert bank.keys.norm(dim=1).allclose(torch.ones(26), atol=1e-5)


def test_negatives_are_drawn_evenly_and_never_twice(trainer, start):
    own = trainer(negatives=20)
    own.load(start())
    own.others = table(30)
    own.begin(2, None, torch.Generator())
    generator, drawn = torch.Generator().manual_seed(1), torch.zeros(56)
    everything = torch.cat([own.fcl.bank.keys, own.fcl.others[0]])
    parts = torch.cat([own.fcl.bank.partition, own.fcl.others[1]])
    for _ in range(400):
        rows, partition = own.fcl.draw_negatives(generator)
        which = torch.cdist(rows, everything).argmin(dim=1)
        assert len(set(which.tolist())) == 20
        assert torch.equal(parts[which], partition)
        drawn[which] += 1
    expected = 400 * 20 / 56
    assert (drawn - expected).abs().max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("others", "text"),
    [
        (FeatureTable(np.full((3, 128), np.nan, np.float32), np.zeros(3, np.uint8)), "finite rows"),
        (FeatureTable(np.ones((3, 64), np.float32), np.zeros(3, np.uint8)), "finite rows of 128"),
        (FeatureTable(np.ones((3, 128), np.float32), np.zeros(2, np.uint8)), "not 2 finite rows"),
        (FeatureTable(np.ones((3, 128), np.float32), np.full(3, 200, np.uint8)), "partition 200, the job has 4"),
    ],
)
def test_damaged_features_of_others_are_refused(others, text, trainer, start):
    own = trainer()
    own.others = others
    with pytest.raises(FedwardError, match=text):
        own.train(start(), 2)


def test_nothing_that_is_not_finite_leaves_the_site(trainer, start):
    broken = dict(start())
    broken["projector.layers.2.bias"] = broken["projector.layers.2.bias"] * np.nan
    with pytest.raises(FedwardError, match="features that are not finite"):
        trainer().bank(broken, 2)
    with pytest.raises(FedwardError, match="features that are not finite"):
        trainer().train(broken, 2)
    with pytest.raises(FedwardError, match="the training loss is nan"):
        trainer(method="simclr", exchange=False).train(broken, 2)
    with pytest.raises(FedwardError, match="exchanges no features"):
        trainer(exchange=False).bank(start(), 2)


def test_all_features_equal_is_a_collapse_and_training_stays_finite(trainer, start, scans):
    collapsed = {key: value * 0 + (1 if "bias" in key else 0) for key, value in start().items()}
    own = trainer(validation=scans([9, 9], seed=5))
    own.others = FeatureTable(np.tile(np.eye(1, 128, dtype=np.float32), (20, 1)), np.arange(20).astype(np.uint8) % 4)
    result = own.train(collapsed, 2)
    assert all(np.isfinite(value).all() for value in result.parameters.values())
    own.evaluate(collapsed)
    assert own.warnings == (COLLAPSED,)
    own.evaluate(start())
    assert own.warnings == ()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_measured_depends_on_the_parameters_only(method, trainer, start, scans, of):
    validation = scans([8, 7, 6, 9], seed=5)
    fresh = trainer(validation=validation, **of(method)).evaluate(start(method))
    own = trainer(validation=validation, **of(method))
    own.evaluate(start(method, 2))
    trained = own.train(start(method, 2), 1)
    assert own.evaluate(start(method)) == fresh
    assert own.evaluate(trained.parameters) != fresh
    assert fresh.cost > 0
    assert (fresh.images, fresh.patients) == (30, 2)
    assert fresh.quality == fresh.details["knn.partition"]
    assert set(fresh.details) <= detail_names()
    assert same(own.train(start(method, 2), 1).parameters, trained.parameters)


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_measured_is_none(method, trainer, start, scans, of):
    assert trainer(**of(method)).evaluate(start(method)) is None
    single = trainer(validation=scans([1]), **of(method)).evaluate(start(method))
    assert single.cost is None
    assert (single.quality, single.details) == (None, {})


def test_a_model_is_measured_once(trainer, start, scans, monkeypatch):
    calls, real = [], contrast_trainer.predict_logits
    monkeypatch.setattr(contrast_trainer, "predict_logits", lambda *a: (calls.append(1), real(*a))[1])
    own = trainer(validation=scans([4, 4]))
    assert own.evaluate(start()) == own.evaluate(start())
    assert len(calls) == 3  # features of both sides of the neighbours, and projections for the check of a collapse
    own.evaluate(start(), "training")
    assert len(calls) == 5


@pytest.mark.parametrize(
    ("depths", "patients", "changes", "expected"),
    [
        ([8, 8], ["p", "q"], {}, ()),
        ([8], ["p"], {}, (ONE_SCAN,)),
        ([8], ["p"], {"exchange": False}, (ONE_SCAN_ALONE,)),
        ([8], ["p"], {"method": "simclr", "exchange": False}, ()),
        ([8, 8], ["p", "p"], {}, (ONE_PATIENT,)),
        ([8, 3], ["p", "q"], {}, (EMPTY_PARTITIONS,)),
        ([8, 8], ["p", "q"], {"negatives": 17}, (FEW_FEATURES,)),
        ([8, 8], ["p", "q"], {"partitions": 1, "formula": "literal"}, ()),
        ([8, 3], ["p", "q"], {"partitions": 64}, (EMPTY_PARTITIONS,)),
    ],
)
def test_what_little_there_is_is_trained_on_with_a_warning(depths, patients, changes, expected, trainer, start, scans):
    own = trainer(train=scans(depths, patients=patients), **changes)
    own.rounds_done = 0
    result = own.train(start(), 1)
    own.rounds_done = 1
    own.evaluate(result.parameters)
    assert own.warnings == expected
    learned = not same(result.parameters, start())
    assert learned == (len(depths) > 1 or changes.get("method") == "simclr")
    own.rounds_done = None  # the last measurement is of no round
    own.evaluate(result.parameters)
    assert own.warnings == ()


def test_a_single_scan_learns_from_others_features(trainer, start, scans):
    own = trainer(train=scans([8]))
    own.others = table()
    assert not same(own.train(start(), 2).parameters, start())


def test_the_sentences_are_those_that_a_hospitals_filter_passes():
    assert set(WARNINGS) <= set(AGREED_WARNINGS)
    assert all(len(text) < 200 for text in WARNINGS)


def test_the_nearest_neighbour_is_sought_in_other_patients():
    features = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    partition, patient = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert knn_partition(features, partition, patient) == 1
    assert knn_partition(features, partition.flip(0), patient) == 1
    assert knn_partition(features, torch.tensor([0, 1, 1, 0]), patient) == 0
    assert knn_partition(features, torch.tensor([0, 0, 1, 2]), patient) == 0.5
    assert knn_partition(features, partition, torch.zeros(4)) is None
    bank = features[:2] + 0.01, torch.tensor([5, 5])
    assert knn_partition(features, partition, torch.zeros(4), bank) == 0  # the bank's patients alone are others
    assert knn_partition(features, partition, torch.zeros(4), (features, partition)) == 1


def test_fcl_learns_positions_that_unseen_patients_share(trainer, start, scans):
    training = {"learning_rate": 0.003, "local_epochs": 8, "batch_size": 16}
    own = trainer(train=scans([10] * 8, seed=3), validation=scans([10] * 6, seed=9), training=training)
    other = trainer(train=scans([10] * 8, seed=4), site="b")
    before, parameters, losses = own.evaluate(start()), start(), []
    for number in (1, 2, 3):
        own.others = other.bank(parameters, number) if number > 1 else None
        result = own.train(parameters, number)
        parameters = result.parameters
        losses.append(result.loss)
    after = own.evaluate(parameters)
    assert losses[2] < losses[1]  # the first round has one term less
    assert after.cost < before.cost - 0.3
    assert before.quality < 0.5  # chance is .25
    assert after.quality > 0.6


def test_a_sites_report_is_one_that_the_server_takes(trainer, start, scans, tmp_path):
    from fedward.preprocessing.settings import PreprocessingSettings
    from fedward.training.site import Site
    from fedward.training.task import SiteImages

    settings = RunSettings(
        name="run",
        sites=("a", "b"),
        rounds=2,
        data_set="acdc",
        preprocessing=PreprocessingSettings(bias_field="none", image_size=16),
        training=trainer().settings,
        aggregation=AggregationSettings(scheme="fedavg"),
        contrast=ContrastSettings(),
    )
    site = Site("a", settings, SiteImages(scans([6, 5, 3, 8]), scans([9, 9], seed=5)), device="cpu")
    _, report = site.train(start(), 1)
    report = check_report(report)
    assert report["warnings"] == [EMPTY_PARTITIONS]
    assert report["end"].details["features.rank"] > 1


def test_a_hospital_alone_keeps_its_momentum_encoder_where_a_federated_one_would(trainer, scans, tmp_path):
    from fedward.baselines import run_local
    from fedward.networks.checkpoint import read_model
    from fedward.preprocessing.settings import PreprocessingSettings
    from fedward.rounds.run_folder import RunFolder
    from fedward.site_config import SiteConfig
    from fedward.training.task import SiteImages

    def last(kept):
        settings = RunSettings(
            name=kept,
            sites=("a",),
            rounds=3,
            data_set="acdc",
            preprocessing=PreprocessingSettings(bias_field="none", image_size=16),
            training=trainer().settings,
            aggregation=AggregationSettings(scheme="fedavg"),
            contrast=ContrastSettings(exchange=False, momentum_encoder=kept, momentum=0.5),
        )
        images = {"a": SiteImages(scans([6, 5, 7, 8]), None)}
        config = SiteConfig("this test", cache=tmp_path / "cache", device="cpu")
        run_local(settings, RunFolder(tmp_path / kept), images, {"mode": "local"}, config, lambda record: None)
        return read_model(RunFolder(tmp_path / kept / "a").model("last"))[0]

    assert not same(last("keep"), last("reset"))


def test_slices_of_a_single_part_cannot_be_told_apart(trainer, scans):
    with pytest.raises(DataError, match=r"all 2 training slices lie in one of 4 parts .* leave it out"):
        trainer(train=scans([1, 1]))
    trainer(train=scans([1, 1]), method="rotation", exchange=False)


def test_neighbours_in_a_single_part_say_nothing():
    features = torch.eye(3)
    assert knn_partition(features, torch.zeros(3), torch.arange(3)) is None
