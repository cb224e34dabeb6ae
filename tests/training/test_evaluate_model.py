"""Validation against a slow reference, pixel by pixel, with scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, log_loss
from torch import nn

from fedward.training.images import Images, join_images, stack_cases
from fedward.training.segmentation import PatientScore, evaluate_model, predict_logits, predict_masks

CPU = torch.device("cpu")


class FromChannel(nn.Module):
    """The logits are the first channel: what is predicted is known."""

    def forward(self, image):
        return image[:, :1]


def images_of(logits, mask, patient, patients):
    return Images(torch.as_tensor(logits).half(), torch.as_tensor(mask), torch.as_tensor(patient), patients)


@pytest.fixture
def scored():
    """150 slices (three evaluation batches) of three patients in no order; the third has neither tumour nor guess."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (150, 1, 6, 5)).astype(np.float16)
    mask = rng.random((150, 1, 6, 5)) < 0.3
    patient = rng.integers(0, 3, 150)
    mask[patient == 2] = False
    logits[patient == 2] = -3
    images = images_of(logits, mask, patient, ("a", "b", "c"))
    return logits.astype(np.float64), mask, patient, images, *evaluate_model(FromChannel(), images, CPU)


def test_cost_and_counts_equal_the_reference(scored):
    logits, mask, _, _, evaluation, _ = scored
    probability = 1 / (1 + np.exp(-logits.ravel()))
    truth, guess = mask.ravel(), logits.ravel() > 0
    assert evaluation.cost == pytest.approx(log_loss(truth, probability), rel=1e-6)
    assert evaluation.quality == pytest.approx(f1_score(truth, guess), rel=1e-12)
    assert evaluation.iou == pytest.approx(jaccard_score(truth, guess), rel=1e-12)
    assert evaluation.true_positive == sum(1 for t, g in zip(truth, guess, strict=True) if t and g)
    assert evaluation.false_positive == sum(1 for t, g in zip(truth, guess, strict=True) if g and not t)
    assert evaluation.false_negative == sum(1 for t, g in zip(truth, guess, strict=True) if t and not g)
    assert (evaluation.images, evaluation.patients) == (150, 3)


def test_each_patient_is_scored_as_one_volume(scored):
    logits, mask, patient, _, evaluation, scores = scored
    for number, name in enumerate("ab"):
        own = patient == number
        truth, guess = mask[own].ravel(), logits[own].ravel() > 0
        assert scores[name].dice == pytest.approx(f1_score(truth, guess), rel=1e-12)
        assert scores[name].iou == pytest.approx(jaccard_score(truth, guess), rel=1e-12)
        assert scores[name].images == own.sum()
    assert sum(score.true_positive for score in scores.values()) == evaluation.true_positive


def test_a_patient_without_tumour_and_without_guess_has_dice_one(scored):
    *_, scores = scored
    assert scores["c"].dice == scores["c"].iou == 1.0
    assert PatientScore(3, 0, 1, 0).dice == PatientScore(3, 0, 0, 1).iou == 0.0


def test_nothing_true_and_nothing_guessed_has_no_pooled_dice():
    images = images_of(np.full((2, 1, 4, 4), -1.0), np.zeros((2, 1, 4, 4), bool), [0, 0], ("a",))
    evaluation, _ = evaluate_model(FromChannel(), images, CPU)
    assert evaluation.quality is None
    assert evaluation.iou is None
    assert evaluation.cost == pytest.approx(np.log1p(np.exp(-1)), rel=1e-4)


def test_a_probability_of_one_half_is_background():
    images = images_of(np.zeros((1, 1, 4, 4)), np.ones((1, 1, 4, 4), bool), [0], ("a",))
    assert evaluate_model(FromChannel(), images, CPU)[0].false_negative == 16
    assert not predict_masks(FromChannel(), images.image, CPU).any()


def test_a_model_that_gives_nan_has_a_nan_cost_and_finds_nothing():
    images = images_of(np.full((1, 1, 4, 4), np.nan), np.ones((1, 1, 4, 4), bool), [0], ("a",))
    evaluation, _ = evaluate_model(FromChannel(), images, CPU)
    assert np.isnan(evaluation.cost)
    assert evaluation.quality == 0


def test_validation_uses_running_statistics_and_leaves_them(make_images, training):
    from fedward.networks.checkpoint import get_parameters
    from fedward.networks.registry import build_network

    model = build_network("unet", training().network_args, seed=1).train()
    before = get_parameters(model)
    images = make_images(6)
    whole = predict_logits(model, images.image, CPU)
    one = torch.cat([predict_logits(model, image[None], CPU) for image in images.image])
    assert torch.allclose(whole, one, atol=1e-5)  # no image depends on the others of its batch
    assert all(np.array_equal(value, before[key]) for key, value in get_parameters(model).items())


def test_sites_are_joined_with_their_patients_apart(make_images):
    first, second = make_images(4, seed=1), make_images(6, seed=2, patients=3)
    joined = join_images([first, second, first])
    assert len(joined) == 14
    assert joined.patients == (*first.patients, *second.patients, *first.patients)
    assert joined.patient.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert torch.equal(joined.image[4:10], second.image)
    assert torch.equal(joined.mask[10:], first.mask)


def test_no_case_is_no_image():
    assert stack_cases([]) is None
