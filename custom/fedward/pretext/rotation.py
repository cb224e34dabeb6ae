"""Rotation: by which of four quarter turns was the image turned? (Gidaris 2018, arXiv 1803.07728)"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fedward.pretext.augmentation import rotate_quarter
from fedward.pretext.method import Method, Tensors
from fedward.pretext.online import ROTATIONS


def rotation_loss(logits: Tensor, turns: Tensor) -> Tensor:
    """Cross entropy of logits (B, 4) and turns (B,) in 0..3, mean over images."""
    return cross_entropy(logits, turns)


def turned(view: Tensor) -> tuple[Tensor, Tensor]:
    """Square images (B, C, S, S), the i-th by i mod 4 quarter turns anticlockwise, and the turns (B,) int64.

    Each answer is equally frequent, and batches are in random order, so no random number is needed.
    """
    turns = torch.arange(len(view), device=view.device) % ROTATIONS
    return rotate_quarter(view, turns), turns


class Rotation(Method):
    """One view an image, turned once; no private state."""

    views = 1

    def prepare(self, *views: Tensor) -> Tensors:
        return turned(*views)

    def outputs(self, *prepared: Tensor) -> Tensors:
        with self.autocast():
            return (self.online(prepared[0]).float(),)

    def criterion(self, outputs: Tensors, prepared: Tensors) -> Tensor:
        return rotation_loss(outputs[0], prepared[1])
