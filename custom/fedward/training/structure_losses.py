"""Losses of segmentation into several structures, by registered name.

logits (B, C, H, W) float, target (B, H, W) int64: 0 is the background, 1 to C - 1 the structures.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def ce(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy, mean over all pixels (natural logarithm)."""
    return cross_entropy(logits, target)


def mean_soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the structures s of 1 - 2 sum(p_s t_s) / (sum p_s + sum t_s), p = softmax(logits) (Milletari 2016).

    The batch counts as one image, as in `fedward.training.losses`: many slices lack a structure. One pixel is added
    above and below, so that a structure neither there nor predicted costs nothing. The background is left out.
    """
    probability = logits.softmax(dim=1)
    losses = []
    for structure in range(1, logits.shape[1]):
        predicted, true = probability[:, structure], (target == structure).to(logits.dtype)
        losses.append(1 - (2 * (predicted * true).sum() + 1) / (predicted.sum() + true.sum() + 1))
    return torch.stack(losses).mean()


def dice_ce(logits: Tensor, target: Tensor) -> Tensor:
    """Sum of cross entropy and mean soft Dice loss (nnU-Net's, Isensee 2021, with batch Dice)."""
    return ce(logits, target) + mean_soft_dice_loss(logits, target)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ce": ce, "dice_ce": dice_ce}
