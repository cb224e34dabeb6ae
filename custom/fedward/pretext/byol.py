"""BYOL: predict the target network's embedding of the other view (Grill 2020, arXiv 2006.07733)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.nn.functional import cosine_similarity

from fedward.pretext.method import Method, Tensors
from fedward.pretext.momentum import copy_into, follow, momentum_copy, target_momentum
from fedward.pretext.online import OnlineNetwork
from fedward.pretext.settings import PretextSettings


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """2 - 2 cos(p, z') of predictions and targets (B, E), in [0, 4], mean over images (eq. 2)."""
    return (2 - 2 * cosine_similarity(prediction, target.detach(), dim=1)).mean()


class BYOL(Method):
    """Each view predicts the target network's embedding of the other; the loss is the mean of both directions."""

    def __init__(
        self,
        online: OnlineNetwork,
        settings: PretextSettings,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ):
        super().__init__(online, settings, autocast)
        self.target = momentum_copy(online)

    def prepare(self, *views: Tensor) -> Tensors:
        """The views, and what the first and the second have to predict. In evaluation mode the network is its own."""
        network = self.target if self.training else self.online
        first, second = (self.by_micro_batch(lambda part: self._run(network, part), view) for view in views)
        return *views, second, first

    def outputs(self, *prepared: Tensor) -> Tensors:
        return self._run(self.online.predict, prepared[0]), self._run(self.online.predict, prepared[1])

    def criterion(self, outputs: Tensors, prepared: Tensors) -> Tensor:
        return (byol_loss(outputs[0], prepared[2]) + byol_loss(outputs[1], prepared[3])) / 2

    def after_step(self, progress: float) -> None:
        """Move the target network with the momentum of this part of the run."""
        assert self.settings.momentum is not None
        follow(self.target, self.online, target_momentum(self.settings.momentum, progress))

    def reset(self) -> None:
        copy_into(self.target, self.online)

    def _run(self, network: Callable[[Tensor], Tensor], view: Tensor) -> Tensor:
        with self.autocast():
            return network(view).float()
