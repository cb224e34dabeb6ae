"""Segmentation losses on logits, by registered name. Target and logits: (B, 1, H, W)."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy, mean over all pixels (natural logarithm)."""
    return binary_cross_entropy_with_logits(logits, target)


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - 2 sum(p t) / (sum p + sum t), over the whole batch, with p = sigmoid(logits) (Milletari 2016).

    The batch counts as one image, because most slices have no tumour and their own Dice would be undefined. One pixel
    is added above and below, so that an empty batch predicted empty costs nothing.
    """
    probability = logits.sigmoid()
    overlap = (probability * target).sum()
    return 1 - (2 * overlap + 1) / (probability.sum() + target.sum() + 1)


def dice_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Sum of binary cross entropy and soft Dice loss."""
    return bce(logits, target) + soft_dice_loss(logits, target)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"bce": bce, "dice_bce": dice_bce}
