"""What every pretext does in a training step, and how a large batch fits a small memory.

A step has three parts. `prepare` turns views into what the loss needs, without a graph: targets, keys, labels.
`outputs` is the online network's answer, image by image. `criterion` is the method's formula on all answers. Only
`outputs` needs memory for its graph, so only that is done in micro-batches.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from fedward.errors import FedwardError
from fedward.pretext.online import OnlineNetwork
from fedward.pretext.settings import PretextSettings

Tensors = tuple[Tensor, ...]
ONLINE = "online."


class Method(nn.Module, ABC):
    """A pretext task: the online network, which travels, and private state, which stays where it is.

    `autocast` gives the context of the network's forward passes; losses are computed outside, in float32. In
    evaluation mode the loss depends on the online network and the views alone: it is its own target.
    """

    views = 2
    separable = True  # the loss is a mean over images, so that micro-batches need one pass each

    def __init__(
        self,
        online: OnlineNetwork,
        settings: PretextSettings,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ):
        super().__init__()
        self.online = online
        self.settings = settings
        self.autocast = autocast

    # --- what a method says -----------------------------------------------------------------------------------------

    def prepare(self, *views: Tensor) -> Tensors:
        """What `outputs` and `criterion` need, each (B, ...), without a graph."""
        return views

    @abstractmethod
    def outputs(self, *prepared: Tensor) -> Tensors:
        """The online network's answers, each (B, E) float32."""

    @abstractmethod
    def criterion(self, outputs: Tensors, prepared: Tensors) -> Tensor:
        """The loss of all images, a scalar."""

    def after_step(self, progress: float) -> None:
        """After the optimiser's step; `progress` is the part of the whole run that is done, in [0, 1]."""

    def reset(self) -> None:
        """Rebuild the private state from the online network as it is now. A queue is then empty: see `missing_keys`."""

    @property
    def missing_keys(self) -> int:
        """How many keys `fill` must be given before the first step."""
        return 0

    def fill(self, view: Tensor) -> None:
        """Put the keys of a view into the queue without training on it; a method without a queue has nothing to do."""

    # --- a step -----------------------------------------------------------------------------------------------------

    def loss(self, *views: Tensor) -> Tensor:
        """The loss of views (B, C, S, S), a scalar with its graph, all images at once."""
        prepared = self.prepare(*views)
        return self.criterion(self.outputs(*prepared), prepared)

    def backward(self, *views: Tensor) -> Tensor:
        """Add the gradients of `loss` to the online network's parameters; returns the loss without its graph.

        With `micro_batch` no more images than that have a graph at a time. Up to the statistics of batch
        normalisation, which are those of a micro-batch, loss and gradients are the same. A loss that is no mean over
        images (SimCLR) takes its gradient at the embeddings first (Gao 2021, arXiv 2101.06983).
        """
        size = self.settings.micro_batch
        if size is None or size >= len(views[0]):
            loss = self.loss(*views)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        prepared = self.prepare(*views)
        parts = list(zip(*(split(item, size) for item in prepared), strict=True))
        return self._backward_by_image(parts) if self.separable else self._backward_by_cache(parts, prepared)

    def _backward_by_image(self, parts: list[Tensors]) -> Tensor:
        images = sum(len(part[0]) for part in parts)
        total = torch.zeros((), device=parts[0][0].device)
        for part in parts:
            loss = self.criterion(self.outputs(*part), part) * (len(part[0]) / images)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _backward_by_cache(self, parts: list[Tensors], prepared: Tensors) -> Tensor:
        with torch.no_grad(), without_statistics(self.online):  # the second pass updates them
            embedded = [self.outputs(*part) for part in parts]
        outputs = tuple(torch.cat(output).requires_grad_() for output in zip(*embedded, strict=True))
        loss = self.criterion(outputs, prepared)
        gradients = torch.autograd.grad(loss, outputs)
        pieces = zip(*(gradient.tensor_split(len(parts)) for gradient in gradients), strict=True)
        for part, gradient in zip(parts, pieces, strict=True):
            torch.autograd.backward(self.outputs(*part), gradient)
        return loss.detach()

    @torch.no_grad()
    def by_micro_batch(self, function: Callable[[Tensor], Tensor], view: Tensor) -> Tensor:
        """`function` of a view (B, ...) without a graph, as many images at a time as fit."""
        return torch.cat([function(part) for part in split(view, self.settings.micro_batch or len(view))])

    # --- state ------------------------------------------------------------------------------------------------------

    def private_state(self) -> dict[str, Tensor]:
        """Copies of everything that is not the online network, on the CPU; empty where there is nothing."""
        return {
            key: value.detach().clone().cpu() for key, value in self.state_dict().items() if not key.startswith(ONLINE)
        }

    def load_private_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `private_state` gave; FedwardError where it is that of another method or network."""
        expected = {key: value for key, value in self.state_dict().items() if not key.startswith(ONLINE)}
        wrong = sorted(set(expected) ^ set(state)) or sorted(k for k in state if state[k].shape != expected[k].shape)
        if wrong:
            raise FedwardError(
                f"the kept state is not that of {self.settings.method} with these settings ({wrong[0]} does not fit): "
                "begin the run anew"
            )
        self.load_state_dict(dict(state), strict=False)


def split(items: Tensor, size: int) -> tuple[Tensor, ...]:
    """Parts of about equal length, at most `size` but never a single image: batch normalisation needs two."""
    return items.tensor_split(max(1, min(-(-len(items) // size), len(items) // 2)))


@contextmanager
def without_statistics(network: nn.Module) -> Any:
    """Batch normalisation as in training, its running statistics left as they are."""
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
