"""Binary cross entropy over several findings, where a label may be unknown."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def masked_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross entropy over the known labels (natural logarithm), a float32 scalar.

    logits (B, C); target (B, C) float in [0, 1], NaN: unknown. An unknown label has no part in the loss and no
    gradient, whatever its logit. Without any known label the loss is 0 with a gradient of 0.
    """
    known = ~target.isnan()
    # Both are replaced before the loss: 0 times a NaN would still be NaN in the gradient
    losses = binary_cross_entropy_with_logits(
        torch.where(known, logits.float(), 0.0), torch.where(known, target.float(), 0.0), reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp_min(1)


def known_labels(target: Tensor) -> int:
    """How many labels of (B, C) are known: the weight of `masked_bce` in a mean over several batches."""
    return int((~target.isnan()).sum())
