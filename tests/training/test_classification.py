"""Classification of X-rays: what is learned, what unknown labels do, and the linear mode with its kept features."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fedward.errors import FedwardError
from fedward.networks.checkpoint import load_parameters
from fedward.networks.initial import initial_parameters
from fedward.networks.registry import build_network
from fedward.settings import TrainingSettings
from fedward.training.auc import auc_intervals
from fedward.training.classification import (
    ClassificationTrainer,
    LinearTrainer,
    class_activation,
    evaluation_of,
    predict_logits,
    predict_probabilities,
)
from fedward.training.classification_task import NO_LABEL, NO_VALIDATION, ONE_CLASS, ONE_IMAGE, judge
from fedward.training.frozen_features import FeatureStore, encoder_digest
from fedward.training.task import SiteImages
from fedward.training.trainer import batches, epoch_batches
from fedward.training.xray_images import XrayImages, join_xrays

FINDINGS = ("Mass", "Effusion")
NETWORK = {"in_channels": 3, "out_channels": 2, "growth_rate": 4}
SIZE = 32


def settings(**changes):
    own = {"network": "densenet121", "network_args": NETWORK, "loss": "bce", "optimizer": "adam", "batch_size": 4}
    return TrainingSettings(**{**own, "learning_rate": 0.01, "augment": False, **changes})


def xrays(count, seed=0, labels=None):
    """A bright square on the left is a mass, a bright lower third an effusion; two images a patient."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 80, (count, SIZE, SIZE)).astype(np.uint8)
    truth = generator.integers(0, 2, (count, 2)).astype(np.float32)
    truth[: min(count, 2)] = np.array([[0, 1], [1, 0]], np.float32)[: min(count, 2)]
    for image, (mass, effusion) in zip(pixels, truth, strict=True):
        image[8:16, 2:10] += np.uint8(150 * mass)
        image[22:, :] += np.uint8(120 * effusion)
    truth = truth if labels is None else labels
    where = np.stack([np.zeros(count, np.int64), np.arange(count)], axis=1)
    return XrayImages((pixels,), where, torch.from_numpy(truth), tuple(f"p{i // 2}" for i in range(count)))


@pytest.fixture
def start():
    return initial_parameters("densenet121", NETWORK, 1)


def fine_tuning(train, validation=None, crop=SIZE, **changes):
    return ClassificationTrainer("a", train, validation, settings(**changes), 5, 1, "cpu", None, FINDINGS, crop)


def linear(train, validation=None, store=None, **changes):
    training = settings(mode="linear", **changes)
    store = store or FeatureStore(None, "images", "run")
    return LinearTrainer("a", train, validation, training, 5, 1, "cpu", None, FINDINGS, SIZE, store=store)


def test_fine_tuning_learns_a_few_images_by_heart(start):
    trainer = fine_tuning(xrays(8), local_epochs=None, local_steps=30)
    result = trainer.train(start, 1)
    before, after = trainer.evaluate(start, "training"), trainer.evaluate(result.parameters, "training")
    assert after.quality > 0.95
    assert after.cost < before.cost
    assert (result.samples, result.steps) == (8, 30)


def test_random_crops_come_from_the_round_and_not_from_anywhere_else(start):
    first = fine_tuning(xrays(6), augment=True, crop=32).train(start, 1)
    torch.manual_seed(99)
    again = fine_tuning(xrays(6), augment=True, crop=32).train(start, 1)
    other = fine_tuning(xrays(6), augment=True, crop=32).train(start, 2)
    assert all(first.parameters[k].tobytes() == again.parameters[k].tobytes() for k in start)
    assert any(first.parameters[k].tobytes() != other.parameters[k].tobytes() for k in start)


def test_an_image_without_any_known_label_teaches_nothing(start):
    """Not even through the mean: the loss is over the known labels."""
    labels = xrays(4).labels.numpy().copy()
    labels[2:] = np.nan
    images = xrays(4, labels=labels)
    trainer = fine_tuning(images, batch_size=4)
    trainer.load(start)
    trainer.model.eval()  # batch normalisation would let the other images take part
    index = torch.arange(4)
    trainer.loss(index, torch.Generator()).backward()
    both = trainer.model.classifier.weight.grad.clone()
    trainer.model.zero_grad()
    trainer.loss(index[:2], torch.Generator()).backward()
    torch.testing.assert_close(both, trainer.model.classifier.weight.grad)


@pytest.mark.parametrize("make", [fine_tuning, linear])
def test_a_site_with_unknown_labels_alone_sends_finite_unchanged_weights(start, make):
    images = xrays(5, labels=np.full((5, 2), np.nan, np.float32))
    result = make(images, optimizer="sgd").train(start, 1)
    assert result.loss == 0
    assert all(np.isfinite(value).all() for value in result.parameters.values())
    assert result.parameters["classifier.weight"].tobytes() == start["classifier.weight"].tobytes()


def test_a_single_image_trains_with_the_received_statistics(start):
    result = fine_tuning(xrays(1)).train(start, 1)
    assert all(np.isfinite(value).all() for value in result.parameters.values())
    for key, value in start.items():
        if "running_" in key:
            assert result.parameters[key].tobytes() == value.tobytes()
    assert result.parameters["classifier.weight"].tobytes() != start["classifier.weight"].tobytes()


@pytest.mark.parametrize(("samples", "batch"), [(5, 4), (3, 2)])
def test_a_last_image_trains_with_the_batch_before_it(start, samples, batch):
    """The last map is one pixel here: batch normalisation would refuse the image alone."""
    result = fine_tuning(xrays(samples), batch_size=batch).train(start, 1)
    assert (result.samples, result.steps) == (samples, 1)
    assert all(np.isfinite(value).all() for value in result.parameters.values())


@pytest.mark.parametrize(
    ("samples", "sizes"), [(9, [4, 5]), (10, [4, 4, 2]), (8, [4, 4]), (3, [3]), (1, [1]), (5, [5])]
)
def test_no_batch_holds_one_image_unless_there_is_one_only(samples, sizes):
    assert epoch_batches(samples, settings()) == sizes
    drawn = [b.tolist() for b in batches(samples, len(sizes), sizes, torch.Generator().manual_seed(1))]
    assert [len(b) for b in drawn] == sizes
    assert sorted(i for b in drawn for i in b) == list(range(samples))


@pytest.mark.parametrize(
    ("samples", "mode", "sizes"),
    [
        (18, "fine_tune", [18]),
        (34, "fine_tune", [16, 18]),
        (39, "fine_tune", [16, 23]),
        (40, "fine_tune", [16, 16, 8]),
        (7, "fine_tune", [7]),
        (18, "linear", [16, 2]),
        (33, "linear", [16, 17]),
    ],
)
def test_a_last_batch_of_few_images_joins_the_one_before_it_where_it_is_normalised(samples, mode, sizes):
    assert epoch_batches(samples, settings(batch_size=16, mode=mode)) == sizes


# --- linear ---------------------------------------------------------------------------------------------------------


def test_linear_mode_moves_the_classifier_alone_and_agrees_with_the_whole_network(start):
    train, validation = xrays(8), xrays(6, seed=1)
    trainer = linear(train, validation, local_epochs=5, learning_rate=0.05)
    result = trainer.train(start, 1)
    assert set(result.parameters) == {"classifier.weight", "classifier.bias"}
    model = build_network("densenet121", NETWORK)
    load_parameters(model, {**start, **result.parameters})
    logits = predict_logits(model, validation, SIZE, torch.device("cpu"))
    whole = evaluation_of(logits, validation, FINDINGS)
    trainer.rounds_done = 1
    own = trainer.evaluate(result.parameters)
    assert own.cost == pytest.approx(whole.cost, abs=1e-6)
    assert own.details == pytest.approx(whole.details)
    assert trainer.evaluate(result.parameters, "training").cost < trainer.evaluate(start, "training").cost
    for key, value in trainer.model.state_dict().items():
        if not key.startswith("classifier."):
            assert value.numpy().tobytes() == start[key].tobytes(), key  # batch normalisation's statistics too


def test_features_are_computed_once_and_found_again_after_a_restart(start, tmp_path, monkeypatch):
    train, validation = xrays(8), xrays(4, seed=1)
    first = linear(train, validation, FeatureStore(tmp_path, "images", "run"))
    own = first.train(start, 1).parameters
    expected = first.evaluate(own)
    monkeypatch.setattr(LinearTrainer, "_compute", lambda self: pytest.fail("computed again"))
    later = linear(train, validation, FeatureStore(tmp_path, "images", "run"))
    assert later.evaluate(own) == expected  # without the encoder, as a restarted site gets it
    other_run = linear(train, validation, FeatureStore(tmp_path, "images", "another run"))
    assert other_run.evaluate({**start, **own}) == expected  # the same encoder in another run
    with pytest.raises(FedwardError, match="sends it again"):
        linear(train, validation, FeatureStore(tmp_path, "images", "a third run")).evaluate(own)


def test_other_images_or_another_encoder_have_features_of_their_own(start, tmp_path):
    train = xrays(6)
    of_first = linear(train, None, FeatureStore(tmp_path, "images", "run"))
    of_first.train(start, 1)
    other = {key: value + np.float32(0.01) if "conv0" in key else value for key, value in start.items()}
    assert encoder_digest(other) != encoder_digest(start)
    of_other = linear(train, None, FeatureStore(tmp_path, "images", "run"))
    of_other.train(other, 1)
    assert not torch.equal(of_first.features["training"], of_other.features["training"])
    of_more = linear(xrays(8), None, FeatureStore(tmp_path, "more images", "run"))
    of_more.train(start, 1)
    assert len(of_more.features["training"]) == 8


def test_a_damaged_features_file_is_made_again(start, tmp_path):
    linear(xrays(6), None, FeatureStore(tmp_path, "images", "run")).train(start, 1)
    (file,) = (tmp_path / "features").glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    linear(xrays(6), None, FeatureStore(tmp_path, "images", "run")).train(start, 1)
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_a_sentence(start, tmp_path):
    (tmp_path / "features").write_text("a file")
    with pytest.raises(FedwardError, match="name another cache"):
        linear(xrays(6), None, FeatureStore(tmp_path, "images", "run")).train(start, 1)


# --- evaluation -----------------------------------------------------------------------------------------------------


def test_a_finding_with_one_class_has_no_auc_and_is_no_part_of_the_mean():
    labels = np.array([[0, 1], [1, 1], [0, np.nan], [1, 1]], np.float32)
    logits = torch.tensor([[-1.0, 2], [2, 0], [3, 0], [4, 1]])
    evaluation = evaluation_of(logits, xrays(4, labels=labels), FINDINGS)
    assert evaluation.details == {
        "auc.Mass": 0.75,
        **{"positives.Mass": 2, "positives.Effusion": 3, "negatives.Mass": 2, "negatives.Effusion": 0},
    }
    assert evaluation.quality == 0.75
    assert (evaluation.images, evaluation.patients) == (4, 2)
    terms = [np.log1p(np.exp(x)) - x * y for x, y in zip(logits.numpy().ravel(), labels.ravel(), strict=True)]
    assert evaluation.cost == pytest.approx(np.nanmean(terms), abs=1e-6)


@pytest.mark.parametrize("make", [fine_tuning, linear])
def test_the_last_model_alone_has_an_interval_of_its_mean_auc_by_patient(start, make):
    images = xrays(12, seed=3)
    trainer = make(xrays(8), images)
    trainer.rounds_done = 2
    plain = trainer.evaluate(start)
    assert not {"auc.low", "auc.high"} & plain.details.keys()
    trainer.rounds_done = None
    last = trainer.evaluate(start)
    scores = predict_logits(trainer.model, images, SIZE, trainer.device).sigmoid().numpy()
    wanted = auc_intervals(scores, images.labels.numpy(), images.patients).mean
    assert last.details == plain.details | {
        "auc.low": pytest.approx(wanted.low, abs=1e-6),
        "auc.high": pytest.approx(wanted.high, abs=1e-6),
    }
    assert wanted.low < last.quality < wanted.high
    one = replace(images, patients=("p",) * 12)  # every draw is the same
    trainer.validation_images = one
    assert trainer.evaluate(start).details["auc.low"] == trainer.evaluate(start).details["auc.high"]


def test_without_any_known_label_nothing_is_measured():
    evaluation = evaluation_of(torch.zeros(2, 2), xrays(2, labels=np.full((2, 2), np.nan, np.float32)), FINDINGS)
    assert evaluation.cost is evaluation.quality is None


def test_a_model_that_has_diverged_is_named_as_that():
    with pytest.raises(FedwardError, match="lower the learning rate"):
        evaluation_of(torch.full((2, 2), torch.nan), xrays(2), FINDINGS)


def test_warnings_of_what_a_site_cannot_claim():
    good = xrays(6)
    unknown, ones = (xrays(3, labels=np.full((3, 2), value, np.float32)) for value in (np.nan, 1))
    assert judge(SiteImages(good, good), "validation").warnings == ()
    assert judge(SiteImages(good, None), "validation").warnings == (NO_VALIDATION["validation"],)
    assert judge(SiteImages(good, None), "training").warnings == (NO_VALIDATION["training"],)
    one_class = judge(SiteImages(good, ones), "validation")
    assert one_class.warnings == (ONE_CLASS["validation"],)
    assert one_class.unmeasured == frozenset()  # its cost still says something
    nothing = judge(SiteImages(unknown, good), "validation")
    assert (nothing.warnings, nothing.unmeasured) == ((NO_LABEL["training"],), {"training"})
    assert judge(SiteImages(xrays(1), good), "validation").warnings == (ONE_IMAGE,)


class Known(nn.Module):
    """A network whose last map is its input, cut to two channels."""

    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(2, 1)
        nn.init.ones_(self.classifier.weight)

    def feature_map(self, view):
        return (
            torch.stack([view[:, 0].clamp_min(0), -view[:, 0].clamp_max(0)], dim=1)
            * torch.tensor([1.0, 0.0])[:, None, None]
        )


def test_the_saliency_is_the_place_that_speaks_for_the_finding():
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[4:8, 20:24] = 255
    heat = class_activation(Known(), image, 0, SIZE, torch.device("cpu"))
    assert heat.shape == (SIZE, SIZE)
    assert np.argwhere(heat == 1).min(axis=0).tolist() == [4, 20]
    assert (heat > 0).sum() == 16


def test_probabilities_of_loose_images_are_those_of_the_network(start):
    model = build_network("densenet121", NETWORK)
    load_parameters(model, start)
    images = xrays(5)
    found = predict_probabilities(model, images.packs[0], SIZE, torch.device("cpu"))
    expected = predict_logits(model, images, SIZE, torch.device("cpu")).sigmoid().numpy()
    np.testing.assert_array_equal(found, expected)


def test_joined_images_keep_their_labels_and_patients():
    first, second = xrays(3), xrays(4, seed=1)
    joined = join_xrays([first, replace(second, patients=("q",) * 4)])
    assert len(joined) == 7
    assert joined.patients == (*first.patients, *"qqqq")
    assert torch.equal(joined.pixels(torch.tensor([5, 1]))[0, 0], torch.from_numpy(second.packs[0][2]))
    assert torch.equal(joined.labels[3:], second.labels)
    assert joined.of_patients(["nobody"]) is None
    assert len(joined.of_patients(["q"])) == 4


def test_the_classifier_is_less_than_a_hundredth_of_what_fine_tuning_sends():
    whole = initial_parameters("densenet121", {}, 1)
    travelling = [key for key in whole if settings(network_args={}, mode="linear").travels(key)]
    assert sum(whole[key].nbytes for key in travelling) < 0.01 * sum(value.nbytes for value in whole.values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("make", [fine_tuning, linear])
def test_the_gpu_learns_what_the_cpu_learns(start, make):
    results = []
    for device in ("cpu", "cuda"):
        trainer = make(xrays(16), xrays(8, seed=1), local_epochs=3)
        trainer.device = torch.device(device)
        trainer.model.to(trainer.device)
        results.append((trainer.train(start, 1).loss, trainer.evaluate(start).cost))
    assert results[1] == pytest.approx(results[0], rel=0.05)
