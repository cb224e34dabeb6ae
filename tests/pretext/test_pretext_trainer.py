"""Pretraining at a site: repeatable, continued bit for bit, measured on the way, and its warnings."""

from itertools import chain

import numpy as np
import pytest
import torch

from fedward.errors import FedwardError, UsageError
from fedward.networks.checkpoint import get_parameters
from fedward.networks.initial import initial_parameters
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.pretext import trainer as pretext_trainer
from fedward.pretext.agreed_warnings import COLLAPSED, FEW_VALIDATION, NO_VALIDATION, WARNINGS
from fedward.pretext.settings import METHODS, pretext_settings
from fedward.pretext.task import TASK
from fedward.pretext.trainer import PretextTrainer, Probe
from fedward.rounds.site_report import check_report
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings
from fedward.training.site import Site
from fedward.training.task import SiteImages
from fedward.training.xray_images import XrayImages

SIZE, CROP = 40, 32
NETWORK = {"in_channels": 3, "growth_rate": 4}


def xrays(count, seed=0):
    """A bright square left or right of the middle, which is the finding; two images a patient."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 80, (count, SIZE, SIZE)).astype(np.uint8)
    truth = (np.arange(count) // 2 % 2).astype(np.float32)
    for image, finding in zip(pixels, truth, strict=True):
        image[10:30, slice(22, 36) if finding else slice(4, 18)] += 120
    where = np.stack([np.zeros(count, np.int64), np.arange(count)], axis=1)
    return XrayImages((pixels,), where, torch.from_numpy(truth[:, None]), tuple(f"p{i // 2}" for i in range(count)))


def make(method, train=None, validation=None, folder=None, probe=None, rounds=3, training=None, **pretext):
    own = {"crop_size": CROP, **({"queue_size": 8} if method == "moco_v2" else {}), **pretext}
    settings = TrainingSettings(
        **{
            "network": method,
            "network_args": NETWORK,
            "loss": "pretext",
            "optimizer": "sgd",
            "learning_rate": 0.02,
            "momentum": 0.9,
            "batch_size": 4,
            "precision": "float32",
            **(training or {}),
        }
    )
    train = train or xrays(17)
    return PretextTrainer(
        "a", train, validation, settings, rounds, 1, "cpu", folder, pretext_settings(method, **own), probe
    )


@pytest.fixture(autouse=True)
def tiny(request, make_online, monkeypatch):
    """A tiny encoder in place of DenseNet-121, but for the tests that are about that."""
    if "densenet" not in request.node.name:
        monkeypatch.setattr(PretextTrainer, "build", lambda trainer: make_online(trainer.settings.network))


@pytest.fixture
def start(make_online):
    """start(method, seed=1) -> the parameters a run begins with"""
    return lambda method, seed=1: get_parameters(make_online(method, seed))


def same(first, second):
    return first.keys() == second.keys() and all(first[key].tobytes() == second[key].tobytes() for key in first)


@pytest.mark.parametrize("method", METHODS)
def test_a_round_is_repeatable_and_sends_the_online_network_only(method, start):
    results = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # the global generator plays no part
        results.append(make(method).train(start(method), 1))
    assert same(results[0].parameters, results[1].parameters)
    assert results[0].parameters.keys() == start(method).keys()
    assert not same(results[0].parameters, start(method))
    assert (results[0].samples, results[0].steps) == (17, 4)  # the last image makes no batch


@pytest.mark.parametrize("private_state", ["keep", "reset"])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(method, private_state, tmp_path, start):
    def run(name, interrupted):
        folder = tmp_path / name if private_state == "keep" else None
        trainer, parameters = make(method, folder=folder), start(method)
        for number in (1, 2, 3):
            if interrupted:  # another process, which repeats the round that was under way
                make(method, folder=folder).train(parameters, number)
                trainer = make(method, folder=folder)
            parameters = trainer.train(parameters, number).parameters
        return parameters, trainer.method.private_state()

    (whole, state), (parts, other) = run("whole", False), run("parts", True)
    assert same(whole, parts)
    assert all(torch.equal(value, other[key]) for key, value in state.items())


def test_two_kept_states_stay_and_a_lost_one_is_named(tmp_path, start):
    trainer = make("moco_v2", folder=tmp_path, rounds=5)
    parameters = start("moco_v2")
    for number in (1, 2, 3):
        parameters = trainer.train(parameters, number).parameters
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [
        f"{kind}-000{n}.{end}" for kind, end in (("optimizer", "pt"), ("private", "safetensors")) for n in (2, 3)
    ]
    (tmp_path / "private-0003.safetensors").write_bytes(b"torn")
    with pytest.raises(FedwardError, match=r"private-0003\.safetensors.*begin anew"):
        trainer.train(parameters, 4)


def test_a_kept_target_lags_behind_and_a_rebuilt_one_starts_at_the_received_network(tmp_path, start):
    for folder in (tmp_path, None):
        trainer = make("byol", folder=folder)
        first = trainer.train(start("byol"), 1).parameters
        optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.02, momentum=0.9)
        trainer.load(first)
        trainer.begin(2, optimizer, torch.Generator())
        received = torch.from_numpy(first["encoder.first.0.weight"])
        assert torch.equal(trainer.method.target.encoder.first[0].weight, received) == (folder is None)


def test_the_queue_is_filled_with_the_images_that_come_last(monkeypatch, start):
    trainer = make("moco_v2", xrays(19))
    taken = []
    pixels = XrayImages.pixels
    monkeypatch.setattr(
        XrayImages, "pixels", lambda s, index, device=None: (taken.append(index.tolist()), pixels(s, index, device))[1]
    )
    trainer.train(start("moco_v2"), 1)
    filled, steps = [list(chain.from_iterable(part)) for part in (taken[:2], taken[2:])]
    assert len(filled) == 8
    assert len(steps) == 16
    for step, images in enumerate(taken[2:]):  # an image comes when its old key has been overwritten
        assert not set(images) & set(filled[4 * step :]) or step >= 2
    assert set(steps[:8]).isdisjoint(filled)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_measured_depends_on_the_parameters_only(method, start):
    validation = xrays(9, seed=5)
    parameters, other = start(method), start(method, 2)
    fresh = make(method, validation=validation).evaluate(parameters)
    trainer = make(method, validation=validation)
    trainer.evaluate(other)
    trained = trainer.train(other, 1)
    assert trainer.evaluate(parameters) == fresh
    assert trainer.evaluate(trained.parameters) != fresh
    assert fresh.cost > 0
    assert (fresh.images, fresh.patients, fresh.quality) == (9, 5, None)
    assert set(fresh.details) == {"features.std", "features.rank"}
    again = trainer.train(other, 1)  # measuring in between changed nothing
    assert same(again.parameters, make(method).train(other, 1).parameters)


def test_a_model_is_measured_once(monkeypatch, start):
    calls = []
    real = pretext_trainer.predict_logits
    monkeypatch.setattr(pretext_trainer, "predict_logits", lambda *a: (calls.append(1), real(*a))[1])
    trainer = make("byol", validation=xrays(4))
    assert trainer.evaluate(start("byol")) == trainer.evaluate(start("byol"))
    once = len(calls)
    assert once <= 2  # encoder, and embeddings for the check of a collapse
    trainer.evaluate(start("byol"), "training")
    assert len(calls) == 2 * once


def test_without_validation_images_nothing_is_measured(start):
    assert make("byol").evaluate(start("byol")) is None
    assert make("byol", validation=xrays(1)).evaluate(start("byol")).cost is None


def test_the_probe_runs_every_so_many_rounds_and_at_the_end(start):
    bank, judged = xrays(24), xrays(12, seed=9)
    trainer = make("simclr", validation=xrays(4), probe=Probe(bank, judged), probe_every=2)
    measured = {}
    for done in (0, 1, 2, None):
        trainer.rounds_done = done
        measured[done] = trainer.evaluate(start("simclr"))
    assert [measured[done].quality is not None for done in (0, 1, 2, None)] == [True, False, True, True]
    assert measured[0].details["knn.auc"] == measured[0].quality > 0.9  # the square is plain to see
    assert measured[0].cost == measured[1].cost


def test_a_collapse_is_a_warning_in_agreed_words(start):
    varied = xrays(20)
    varied.packs[0][:] = np.random.default_rng(3).integers(0, 255, (20, 5, 5)).repeat(8, 1).repeat(8, 2)
    trainer = make("byol", validation=varied)
    trained = trainer.train(start("byol"), 1).parameters
    trainer.evaluate(trained)
    assert trainer.warnings == ()
    collapsed = dict(trained)
    collapsed["encoder.second.1.weight"] = 0 * trained["encoder.second.1.weight"]  # the same features for every image
    collapsed["encoder.second.1.bias"] = 0 * trained["encoder.second.1.bias"] + 1
    trainer.evaluate(collapsed)
    assert trainer.warnings == (COLLAPSED,)
    trainer.evaluate(trained)
    assert trainer.warnings == ()
    blind = dict(trained)  # the features still differ, what the loss compares does not
    for key in blind:
        if key.startswith("projector."):
            blind[key] = blind[key] * 0 + 1 if key.endswith("bias") else blind[key] * 0
    trainer.evaluate(blind)
    assert trainer.warnings == (COLLAPSED,)
    assert all(len(text) < 200 for text in WARNINGS)


def test_what_a_sites_images_warn_of():
    assert TASK.judge(SiteImages(xrays(4), None), "validation").warnings == (NO_VALIDATION,)
    assert TASK.judge(SiteImages(xrays(4), xrays(3)), "validation").warnings == (FEW_VALIDATION,)
    judgement = TASK.judge(SiteImages(xrays(4), xrays(16)), "validation")
    assert (judgement.warnings, judgement.unmeasured) == ((), frozenset())


def test_a_site_with_too_few_images_is_refused_at_once():
    with pytest.raises(UsageError, match="take queue_size 4 or less"):
        make("moco_v2", xrays(15))
    with pytest.raises(UsageError, match="at least 2"):
        make("byol", xrays(1))


@pytest.mark.parametrize("method", [m for m in METHODS if m != "moco_v2"])
def test_a_site_with_less_than_a_batch_trains(method, start):
    result = make(method, xrays(3), training={"batch_size": 8}, micro_batch=2).train(start(method), 1)
    assert result.steps == 1
    assert np.isfinite(result.loss)


def test_a_divergence_never_leaves_the_site(start):
    with pytest.raises(FedwardError, match="learning rate"):
        make("rotation", training={"learning_rate": 1000.0, "local_epochs": 20}).train(start("rotation"), 1)


@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_run_in_the_loop(method, start):
    result = make(method, xrays(17), training={"batch_size": 8}, micro_batch=4).train(start(method), 1)
    assert result.steps == 2
    assert np.isfinite(result.loss)


def test_it_learns_to_tell_images_apart(start):
    generator = np.random.default_rng(1)
    patterns = np.kron(generator.integers(0, 255, (32, 5, 5)), np.ones((8, 8))).astype(np.uint8)
    images = XrayImages((patterns,), xrays(32).where, torch.empty(32, 0), tuple(map(str, range(32))))
    gentle = {"min_crop": 0.8, "jitter": 0.1, "blur": 0.0, "flip": False, "rotation": 0.0}
    training = {"batch_size": 16, "local_epochs": 30, "learning_rate": 0.05}
    trainer = make("simclr", images, images, training=training, **gentle)
    before = trainer.evaluate(start("simclr")).cost
    after = trainer.evaluate(trainer.train(start("simclr"), 1).parameters).cost
    assert after < 0.7 * before  # chance is log 31, where it begins


def test_the_model_keeps_its_parameters_apart_from_the_target(start):
    trainer = make("moco_v2")
    trainer.train(start("moco_v2"), 1)
    assert get_parameters(trainer.model).keys() == start("moco_v2").keys()


@pytest.mark.parametrize("method", METHODS)
def test_a_step_and_a_measurement_of_densenet(method):
    trainer = make(method, xrays(16), xrays(4, seed=5), training={"local_epochs": None, "local_steps": 1})
    begin = initial_parameters(method, NETWORK, 1)
    result = trainer.train(begin, 1)
    assert result.parameters.keys() == begin.keys()
    assert all(np.isfinite(value).all() for value in result.parameters.values())
    assert trainer.evaluate(result.parameters).cost > 0


@pytest.mark.parametrize("method", ["moco_v2", "frid"])
def test_a_sites_report_is_one_that_the_server_takes(method, tmp_path, start):
    settings = RunSettings(
        name="run",
        sites=("coordinator",),
        rounds=2,
        data_set="chestxray14",
        preprocessing=PreprocessingSettings(bias_field="none", image_size=SIZE),
        training=make(method).settings,
        aggregation=AggregationSettings(scheme="fedavg"),
        pretext=pretext_settings(
            method,
            crop_size=CROP,
            private_state="keep",
            probe_data_set="chestxray14",
            **({"queue_size": 8} if method == "moco_v2" else {}),
        ),
    )
    images = SiteImages(xrays(16), xrays(8, seed=5))
    site = Site("coordinator", settings, images, device="cpu", state_folder=tmp_path)
    parameters, report = site.train(start(method), 1)
    report = check_report(report)
    assert report["warnings"] == [FEW_VALIDATION]
    assert report["start"].quality is not None
    assert report["end"].details["knn.auc"] == report["end"].quality
    _, second = site.train(parameters, 2)
    assert check_report(second)["start"] == report["end"]  # one site: the next round begins where this one ended
