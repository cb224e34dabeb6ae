"""One site's training: what it learns, how many steps it takes, and that nothing else changes its result."""

import math

import numpy as np
import pytest
import torch

from fedward.errors import FedwardError
from fedward.networks.initial import initial_parameters
from fedward.training import segmentation
from fedward.training.optimizer import learning_rate
from fedward.training.segmentation import SegmentationTrainer
from fedward.training.trainer import batches, choose_device, steps_per_round


@pytest.fixture
def start(training):
    return initial_parameters("unet", training().network_args, 1)


@pytest.fixture
def trainer(make_images, training):
    """trainer(site="a", seed=1, images=..., rounds=10, **settings) -> SegmentationTrainer"""

    def make(site="a", seed=1, images=None, validation=None, rounds=10, state_folder=None, **settings):
        images = images or make_images(10)
        return SegmentationTrainer(site, images, validation, training(**settings), rounds, seed, "cpu", state_folder)

    return make


def same(a, b):
    return all(a[key].tobytes() == b[key].tobytes() for key in a)


@pytest.mark.parametrize("loss", ["bce", "dice_bce"])
@pytest.mark.parametrize(
    "optimizer", [{"optimizer": "adam", "learning_rate": 0.02}, {"optimizer": "sgd", "learning_rate": 0.3}]
)
def test_it_learns_a_few_images_by_heart(trainer, make_images, start, loss, optimizer):
    own = trainer(images=make_images(4), local_epochs=None, local_steps=60, loss=loss, **optimizer)
    before = own.evaluate(start, "training")
    result = own.train(start, 1)
    after = own.evaluate(result.parameters, "training")
    assert before.quality < 0.5
    assert after.quality > 0.9
    assert after.cost < 0.5 * before.cost


@pytest.mark.parametrize(
    ("samples", "settings", "steps"),
    [
        (10, {}, 3),
        (8, {}, 2),
        (1, {}, 1),
        (10, {"local_epochs": 3}, 9),  # the last batch of each epoch is smaller
        (10, {"batch_size": 100}, 1),
        (10, {"local_epochs": None, "local_steps": 7}, 7),
    ],
)
def test_steps_of_a_round(trainer, training, make_images, start, samples, settings, steps):
    assert steps_per_round(samples, training(**settings)) == steps
    result = trainer(images=make_images(samples, patients=1), **settings).train(start, 1)
    assert (result.steps, result.samples) == (steps, samples)
    assert result.parameters["encoder.0.1.num_batches_tracked"] == steps
    assert result.seconds > 0


def test_each_epoch_sees_each_image_once_in_another_order():
    order = [b.tolist() for b in batches(10, 6, [4, 4, 2], torch.Generator().manual_seed(0))]
    assert [len(b) for b in order] == [4, 4, 2, 4, 4, 2]
    first, second = ([i for batch in epoch for i in batch] for epoch in (order[:3], order[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert len(list(batches(10, 4, [4, 4, 2], torch.Generator()))) == 4


@pytest.mark.parametrize(
    ("schedule", "number", "rate"),
    [
        ("constant", 1, 0.1),
        ("constant", 10, 0.1),
        ("cosine", 1, 0.1),
        ("cosine", 6, 0.05),  # half way of ten rounds
        ("cosine", 10, 0.05 * (1 + math.cos(0.9 * math.pi))),
    ],
)
def test_learning_rate_of_a_round(training, schedule, number, rate):
    assert learning_rate(training(schedule=schedule, learning_rate=0.1), number, 10) == pytest.approx(rate)


def test_one_step_of_sgd_by_hand(trainer, make_images, start):
    """w - rate * gradient, with the learning rate of the round."""
    from fedward.networks.checkpoint import load_parameters
    from fedward.networks.registry import build_network
    from fedward.training.losses import bce

    images = make_images(4)
    own = trainer(images=images, optimizer="sgd", learning_rate=0.1, schedule="cosine", loss="bce")
    result = own.train(start, 6)
    model = build_network("unet", own.settings.network_args).train()
    load_parameters(model, start)
    bce(model(images.image.float()), images.mask.float()).backward()
    expected = model.head.weight - 0.05 * model.head.weight.grad
    assert result.parameters["head.weight"] == pytest.approx(expected.detach().numpy(), rel=1e-4, abs=1e-7)


def test_training_moves_the_running_statistics(trainer, start):
    result = trainer().train(start, 1)
    for name in ("running_mean", "running_var"):
        assert not np.array_equal(result.parameters[f"encoder.0.1.{name}"], start[f"encoder.0.1.{name}"])


@pytest.mark.parametrize("augment", [False, True])
def test_the_result_depends_on_site_round_and_seed_and_on_nothing_else(trainer, start, augment):
    first = trainer(augment=augment).train(start, 3).parameters
    worn = trainer(augment=augment)
    worn.train(start, 1)  # what was done before, and the global random numbers, do not matter
    torch.rand(5)
    np.random.default_rng().random()
    assert same(first, worn.train(start, 3).parameters)
    assert not same(first, worn.train(start, 4).parameters)
    assert not same(first, trainer(site="b", augment=augment).train(start, 3).parameters)
    assert not same(first, trainer(seed=2, augment=augment).train(start, 3).parameters)


def test_augmentation_changes_the_result(trainer, start):
    assert not same(trainer(augment=True).train(start, 1).parameters, trainer().train(start, 1).parameters)


def test_received_parameters_are_not_changed(trainer, start):
    before = {key: value.copy() for key, value in start.items()}
    own = trainer()
    own.evaluate(start, "training")
    own.train(start, 1)
    assert same(before, start)


def test_a_learning_rate_that_makes_training_diverge(trainer, start):
    with pytest.raises(FedwardError, match=r"a, round 2: .*lower the learning rate"):
        trainer(optimizer="sgd", learning_rate=1000, local_epochs=None, local_steps=40, loss="bce").train(start, 2)


def test_a_last_step_that_breaks_the_model_after_a_finite_loss(trainer, start, monkeypatch):
    """The square root has the value 0 and no finite slope."""
    monkeypatch.setattr(segmentation, "LOSSES", {"bce": lambda logits, target: (0 * logits).sum().sqrt()})
    with pytest.raises(FedwardError, match=r"a, round 1: training made .* infinite or NaN; lower the learning rate"):
        trainer(loss="bce", local_epochs=None, local_steps=1).train(start, 1)


def test_a_loss_that_is_not_finite_names_site_round_and_what_to_do(trainer, make_images, start):
    images = make_images(4)
    images.image[0, 0, 0, 0] = float("nan")
    with pytest.raises(
        FedwardError,
        match=r"a, round 1: the training loss is nan; lower the learning rate \(now 0.001\) or check the images",
    ):
        trainer(images=images).train(start, 1)


def test_too_little_memory_is_a_sentence(trainer, start, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(segmentation, "LOSSES", {"dice_bce": no_memory})
    with pytest.raises(FedwardError, match="too little memory for batches of 4: lower the batch size"):
        trainer().train(start, 1)


def test_parameters_of_another_network(trainer, training):
    other = initial_parameters("unet", training().network_args | {"features": 2}, 1)
    with pytest.raises(FedwardError, match="misshapen"):
        trainer().train(other, 1)
    with pytest.raises(FedwardError, match="misshapen"):
        trainer().evaluate(other, "training")


def test_no_validation_images_means_no_evaluation(trainer, start):
    assert trainer().evaluate(start) is None
    assert trainer().evaluate(start, "training").images == 10


# --- an optimiser that is kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.9}])
def test_a_kept_optimiser_goes_on_exactly(trainer, make_images, start, tmp_path, kind):
    """One batch holds all images, so its order cannot matter: rounds of 2 and 3 steps are one of 5."""
    images = make_images(1, patients=1)
    whole = trainer(images=images, local_epochs=None, local_steps=5, **kind).train(start, 1)
    first = trainer(images=images, local_epochs=None, local_steps=2, state_folder=tmp_path, **kind).train(start, 1)
    second = trainer(images=images, local_epochs=None, local_steps=3, state_folder=tmp_path, **kind)
    assert same(second.train(first.parameters, 2).parameters, whole.parameters)
    fresh = trainer(images=images, local_epochs=None, local_steps=3, **kind).train(first.parameters, 2)
    assert not same(fresh.parameters, whole.parameters)


def test_a_repeated_round_finds_the_optimiser_of_the_round_before(trainer, start, tmp_path):
    own = trainer(state_folder=tmp_path)
    first = own.train(start, 1)
    second = own.train(first.parameters, 2)
    assert same(trainer(state_folder=tmp_path).train(first.parameters, 2).parameters, second.parameters)
    own.train(second.parameters, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["optimizer-0002.pt", "optimizer-0003.pt"]


def test_a_kept_optimiser_takes_the_learning_rate_of_the_round(trainer, start, tmp_path):
    """At round 2 of 1 the cosine is back at zero: nothing moves."""
    own = trainer(state_folder=tmp_path, schedule="cosine", rounds=1)
    first = own.train(start, 1).parameters
    assert np.array_equal(own.train(first, 2).parameters["head.weight"], first["head.weight"])


@pytest.mark.parametrize("damage", [None, b"", b"nonsense", b"PK\x03\x04"])
def test_a_kept_optimiser_that_is_missing_or_damaged(trainer, start, tmp_path, damage):
    if damage is not None:
        (tmp_path / "optimizer-0001.pt").write_bytes(damage)
    with pytest.raises(FedwardError, match=r"optimizer-0001\.pt, .* is missing or damaged"):
        trainer(state_folder=tmp_path).train(start, 2)


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cuda:x", "cpu:", "", "meta", "mps", "/dev/null"])
def test_devices_that_do_not_exist(name):
    with pytest.raises(FedwardError, match="use auto"):
        choose_device(name)


def test_auto_takes_what_is_there():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_bfloat16_on_the_processor_stays_near_float32(trainer, start, make_images):
    costs = [trainer(images=make_images(8), precision=p).train(start, 1).loss for p in ("float32", "bfloat16", "auto")]
    assert costs[1] == pytest.approx(costs[0], rel=0.05)
    assert costs[1] != costs[0]
    assert costs[2] == costs[0]  # on the CPU auto is float32
