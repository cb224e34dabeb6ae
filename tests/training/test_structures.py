"""The trainer of several structures: validation against a slow reference, and a training that learns."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss
from torch import nn

from fedward.networks.checkpoint import get_parameters
from fedward.networks.registry import build_network
from fedward.settings import TrainingSettings
from fedward.training.augmentation import augment
from fedward.training.scan_slices import ScanInfo, Slices
from fedward.training.structures import StructuresTrainer, evaluate_slices

CPU = torch.device("cpu")
NAMES = ("right_ventricle", "myocardium", "left_ventricle")
NETWORK = {"in_channels": 1, "out_channels": 4, "features": 4, "depth": 2}


def slices_of(image, labels, patients=("p", "p", "q")):
    """Slices dealt in turn to scans of the given patients."""
    count, scans = len(image), len(patients)
    owner = torch.arange(count) * scans // count
    infos = tuple(ScanInfo(patient, str(n), (8.0, 1.5, 1.5), True) for n, patient in enumerate(patients))
    position = torch.arange(count)
    depth = torch.bincount(owner, minlength=scans)[owner]
    return Slices(torch.as_tensor(image).half(), torch.as_tensor(labels), owner, position, depth, infos)


def hearts(count=12, seed=0, size=16, labels=(1, 2, 3)):
    """Blocks whose brightness tells the structure, in noise."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((count, size, size), np.uint8)
    for plane in truth:
        for label in labels:
            y, x = rng.integers(0, size - 5, 2)
            plane[y : y + 5, x : x + 5] = label
    image = (1.5 * truth + rng.normal(0, 0.3, truth.shape))[:, None]
    return slices_of(image, truth)


class FromImage(nn.Module):
    """Logits that are a fixed function of the pixel: what is predicted is known."""

    def forward(self, image):
        return torch.cat([-((image - level) ** 2) for level in (0, 1, 2, 3)], dim=1)


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(1)
    image = rng.normal(1, 1.5, (130, 1, 6, 5)).astype(np.float16)
    labels = rng.integers(0, 4, (130, 6, 5)).astype(np.uint8)
    slices = slices_of(image, labels)
    return image[:, 0].astype(np.float64), labels, *evaluate_slices(FromImage(), slices, NAMES, CPU)


def test_cost_counts_and_dice_equal_the_reference(scored):
    image, labels, evaluation, predicted = scored
    logits = np.stack([-((image - level) ** 2) for level in range(4)], axis=-1).reshape(-1, 4)
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    guess, truth = predicted.numpy().ravel(), labels.ravel()
    assert (guess == logits.argmax(axis=1)).mean() > 0.999  # float16 ties
    assert evaluation.cost == pytest.approx(log_loss(truth, probability, labels=range(4)), rel=1e-5)
    dice = f1_score(truth, guess, labels=[1, 2, 3], average=None)
    assert [evaluation.details[f"dice.{name}"] for name in NAMES] == pytest.approx(dice.tolist(), rel=1e-12)
    assert evaluation.quality == pytest.approx(dice.mean(), rel=1e-12)
    for label, name in enumerate(NAMES, start=1):
        pairs = list(zip(truth.tolist(), guess.tolist(), strict=True))
        assert evaluation.details[f"true_positive.{name}"] == sum(t == g == label for t, g in pairs)
        assert evaluation.details[f"false_positive.{name}"] == sum(g == label != t for t, g in pairs)
        assert evaluation.details[f"false_negative.{name}"] == sum(t == label != g for t, g in pairs)


def test_two_frames_are_one_patient_and_the_top_level_counts_stay_zero(scored):
    *_, evaluation, _ = scored
    assert (evaluation.images, evaluation.patients) == (130, 2)
    assert (evaluation.true_positive, evaluation.false_positive, evaluation.false_negative) == (0, 0, 0)


def test_an_absent_structure_is_left_out_of_the_quality():
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[0, :2] = 1
    evaluation, _ = evaluate_slices(FromImage(), slices_of(labels[:, None] * 1.0, labels, ("p",)), NAMES, CPU)
    assert evaluation.quality == 1
    assert {name for name in evaluation.details if name.startswith("dice.")} == {"dice.right_ventricle"}
    assert evaluation.details["true_positive.myocardium"] == 0
    none, _ = evaluate_slices(FromImage(), slices_of(np.zeros((2, 1, 4, 4)), 0 * labels, ("p",)), NAMES, CPU)
    assert none.quality is None


def test_a_model_that_gives_nan_has_a_nan_cost_and_finds_nothing():
    labels = np.ones((1, 4, 4), np.uint8)
    evaluation, predicted = evaluate_slices(
        FromImage(), slices_of(np.full((1, 1, 4, 4), np.nan), labels, ("p",)), NAMES, CPU
    )
    assert np.isnan(evaluation.cost)
    assert evaluation.quality == 0
    assert not predicted.any()


def test_labels_move_with_the_image_and_stay_labels():
    slices = hearts(count=6)
    image, labels = slices.labels[:, None].float(), slices.labels
    moved, target = augment(image, labels[:, None].float(), torch.Generator().manual_seed(3))
    assert set(target.unique().tolist()) <= {0, 1, 2, 3}
    assert not torch.equal(target[:, 0].long(), labels.long())
    assert (moved - target).abs().mean() < 0.2  # bilinear and nearest differ at the edges alone


def trainer(train, validation, **changes):
    values = {"network": "unet_structures", "network_args": NETWORK, "loss": "dice_ce", "batch_size": 4, **changes}
    settings = TrainingSettings(**{"learning_rate": 0.02, "local_epochs": 20, "augment": False, **values})
    return StructuresTrainer("a", train, validation, settings, 1, 1, "cpu", structures=NAMES)


def test_training_turns_slices_and_never_mirrors_them(monkeypatch):
    """The right ventricle of a mirrored heart would lie where no patient has it."""
    seen = []

    def recorded(*arguments, **options):
        seen.append(augment(*arguments, **options))
        assert options == {"mirror": False}
        return seen[-1]

    monkeypatch.setattr("fedward.training.structures.augment", recorded)
    own = trainer(hearts(), None, local_epochs=1, augment=True)
    own.train(get_parameters(build_network("unet_structures", NETWORK, seed=1)), 1)
    assert len(seen) == 3


@pytest.mark.parametrize("loss", ["ce", "dice_ce"])
def test_a_training_learns(loss):
    own = trainer(hearts(), hearts(seed=1), loss=loss)
    start = get_parameters(build_network("unet_structures", NETWORK, seed=1))
    before, result = own.evaluate(start), own.train(start, 1)
    after = own.evaluate(result.parameters)
    assert result.samples == 12
    assert after.cost < before.cost / 2
    assert after.quality > max(0.6, before.quality)
    assert own.evaluate(result.parameters, "training").images == 12


def test_augmentation_is_repeatable_and_changes_the_loss():
    start = get_parameters(build_network("unet_structures", NETWORK, seed=1))
    losses = [trainer(hearts(), None, augment=on, local_epochs=1).train(start, 1).loss for on in (True, True, False)]
    assert losses[0] == losses[1] != losses[2]


def test_a_site_without_a_structure_and_without_validation_trains():
    own = trainer(hearts(labels=(1, 3)), None, local_epochs=1)
    start = get_parameters(build_network("unet_structures", NETWORK, seed=1))
    assert own.evaluate(start) is None
    result = own.train(start, 1)
    assert np.isfinite(result.loss)
    details = own.evaluate(start, "training").details
    assert details["true_positive.myocardium"] == details["false_negative.myocardium"] == 0
    assert details["false_negative.left_ventricle"] + details["true_positive.left_ventricle"] > 0
