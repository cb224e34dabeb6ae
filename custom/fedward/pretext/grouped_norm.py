"""Batch normalisation of parts of a batch, each on its own, in one pass of the network.

A pass for each part gives the same numbers, but a convolution prepares its weights once a pass: on a CPU four passes of
16 views of 56 x 56 take a fifth to a third longer than one of 64, this about a tenth.
"""

import torch
from torch import Tensor, nn


class GroupedBatchNorm2d(nn.BatchNorm2d):
    """(B, C, H, W) in `groups` parts of neighbours, the first B modulo `groups` of them one image longer."""

    groups = 1

    def forward(self, image: Tensor) -> Tensor:
        if self.groups == 1:
            return super().forward(image)
        return torch.cat(list(map(super().forward, image.tensor_split(self.groups))))


def with_grouped_norms(network: nn.Module) -> list[GroupedBatchNorm2d]:
    """Put a grouped layer, with copies of its tensors, in place of every BatchNorm2d; returns the new layers."""
    found = []
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                grouped = GroupedBatchNorm2d(layer.num_features, layer.eps, layer.momentum).to(layer.weight.device)
                grouped.load_state_dict(layer.state_dict())
                grouped.requires_grad_(layer.weight.requires_grad)
                setattr(parent, name, grouped.train(layer.training))
                found.append(grouped)
    return found
