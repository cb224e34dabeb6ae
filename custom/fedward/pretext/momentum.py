"""The slowly moving copy of a network: MoCo's momentum encoder, BYOL's target network. It never leaves a site."""

import copy
import math

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fedward.pretext.online import OnlineNetwork


def momentum_copy(online: OnlineNetwork) -> OnlineNetwork:
    """Encoder and projector as they are now, without predictor and without gradients."""
    target = OnlineNetwork(copy.deepcopy(online.encoder), copy.deepcopy(online.projector))
    return target.requires_grad_(False)


@torch.no_grad()
def copy_into(target: nn.Module, online: nn.Module) -> None:
    """Set every parameter and buffer of `target` to the one of the same name in `online`."""
    source = online.state_dict()
    for key, value in target.state_dict().items():
        value.copy_(source[key])


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """theta' <- m theta' + (1 - m) theta for every parameter, by name; 0 <= momentum <= 1.

    Buffers are left alone: BatchNorm's running statistics describe the copy's own activations and its own forward
    passes keep them up, as in the authors' code of MoCo and BYOL. An average with those of the online network, whose
    weights differ, would describe neither.
    """
    source = dict(online.named_parameters())
    names, parameters = zip(*target.named_parameters(), strict=True)
    move = get_ema_multi_avg_fn(momentum)  # type: ignore[no-untyped-call]
    move(list(parameters), [source[name] for name in names], 0)


def target_momentum(start: float, progress: float) -> float:
    """BYOL's m_t = 1 - (1 - m_0)(1 + cos pi t/T) / 2, from m_0 at progress 0 to 1 at progress 1 (arXiv 2006.07733)."""
    return 1 - (1 - start) * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
