"""The losses of several structures against hand-worked numbers and against MONAI's."""

import math

import pytest
import torch

from fedward.settings import LOSSES as ALLOWED
from fedward.training.structure_losses import LOSSES, ce, dice_ce, mean_soft_dice_loss


def test_by_hand():
    """Two pixels, p = (.5, .3, .2) true 1 and (.6, .1, .3) true 0; the background's Dice does not count."""
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.1, 0.3]]).log().T.reshape(1, 3, 1, 2)
    target = torch.tensor([[[1, 0]]])
    assert ce(logits, target).item() == pytest.approx(-(math.log(0.3) + math.log(0.6)) / 2, rel=1e-6)
    first, second = 1 - (2 * 0.3 + 1) / (0.4 + 1 + 1), 1 - 1 / (0.5 + 0 + 1)
    assert mean_soft_dice_loss(logits, target).item() == pytest.approx((first + second) / 2, rel=1e-6)
    both = ce(logits, target) + mean_soft_dice_loss(logits, target)
    assert dice_ce(logits, target).item() == pytest.approx(both.item(), rel=1e-7)


def test_a_structure_neither_there_nor_predicted_costs_nothing():
    logits = torch.zeros(2, 4, 4, 4)
    logits[:, 0] = 100
    assert mean_soft_dice_loss(logits, torch.zeros(2, 4, 4, dtype=torch.long)).item() == pytest.approx(0, abs=1e-6)


def test_the_losses_are_those_that_settings_allow():
    assert set(LOSSES) == set(ALLOWED["structures"])


@pytest.mark.parametrize("structures", [1, 3])
def test_as_monai_with_batch_dice(structures):
    from monai.losses import DiceCELoss

    reference = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=1, smooth_dr=1
    )
    torch.manual_seed(structures)
    for size in (1, 5):
        logits = 3 * torch.randn(size, structures + 1, 9, 7)
        target = torch.randint(structures + 1, (size, 9, 7))
        target[0] = 0
        logits.requires_grad_()
        ours, theirs = dice_ce(logits, target), reference(logits, target[:, None])
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
        (ours_grad,), (theirs_grad,) = torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits)
        assert torch.allclose(ours_grad, theirs_grad, atol=1e-7)
