"""The losses against hand-worked numbers and against MONAI's."""

import math

import pytest
import torch

from fedward.training.losses import LOSSES, bce, dice_bce, soft_dice_loss


def logit(p):
    return math.log(p / (1 - p))


def batch(*rows):
    return torch.tensor(rows).reshape(len(rows), 1, 1, -1)


def test_bce_by_hand():
    logits = batch([logit(0.8), logit(0.4)])
    target = batch([1.0, 0.0])
    assert bce(logits, target).item() == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2, rel=1e-6)
    assert bce(torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)).item() == pytest.approx(math.log(2))


def test_soft_dice_by_hand():
    """p = (.8, .4), t = (1, 0): 1 - (2 * .8 + 1) / (1.2 + 1 + 1) = .1875."""
    assert soft_dice_loss(batch([logit(0.8), logit(0.4)]), batch([1.0, 0.0])).item() == pytest.approx(0.1875)


def test_the_batch_counts_as_one_image():
    """p = (.8, .4) and (.5, .5) with t = (1, 0) and (0, 0): 1 - 2.6 / (2.2 + 1 + 1)."""
    logits, target = batch([logit(0.8), logit(0.4)], [0.0, 0.0]), batch([1.0, 0.0], [0.0, 0.0])
    assert soft_dice_loss(logits, target).item() == pytest.approx(1 - 2.6 / 4.2)


def test_extremes():
    empty, full = torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    sure = 100 * full
    assert soft_dice_loss(-sure, empty).item() == pytest.approx(0, abs=1e-6)  # empty and predicted so
    assert soft_dice_loss(sure, full).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice_loss(sure, empty).item() == pytest.approx(1, abs=0.01)
    assert bce(sure, full).item() == pytest.approx(0, abs=1e-30)
    assert bce(sure, empty).item() == 100
    assert math.isfinite(dice_bce(-1e30 * full, full).item())


def test_both_losses_are_registered_and_add_up():
    torch.manual_seed(0)
    logits, target = torch.randn(3, 1, 8, 8), (torch.rand(3, 1, 8, 8) > 0.5).float()
    assert {"bce": bce, "dice_bce": dice_bce} == LOSSES
    total = bce(logits, target) + soft_dice_loss(logits, target)
    assert dice_bce(logits, target).item() == pytest.approx(total.item(), rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_values_and_gradients_equal_monais(share):
    from monai.losses import DiceCELoss, DiceLoss

    torch.manual_seed(1)
    target = (torch.rand(4, 1, 16, 16) < share).float()
    same = {"sigmoid": True, "batch": True, "smooth_nr": 1.0, "smooth_dr": 1.0}
    for own, reference in ((soft_dice_loss, DiceLoss(**same)), (dice_bce, DiceCELoss(**same))):
        logits = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(2), requires_grad=True)
        other = logits.detach().clone().requires_grad_()
        own(logits, target).backward()
        reference(other, target).backward()
        assert own(logits, target).item() == pytest.approx(reference(other, target).item(), rel=1e-5)
        assert torch.allclose(logits.grad, other.grad, rtol=1e-4, atol=1e-9)
