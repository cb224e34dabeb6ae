"""MoCo-v2: find the key of the other view among a queue of older keys (He 2020, arXiv 1911.05722; 2003.04297)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from fedward.errors import FedwardError
from fedward.pretext.grouped_norm import with_grouped_norms
from fedward.pretext.key_queue import KeyQueue
from fedward.pretext.method import Method, Tensors
from fedward.pretext.momentum import copy_into, follow, momentum_copy
from fedward.pretext.online import CONTRASTIVE_SIZE, OnlineNetwork
from fedward.pretext.settings import PretextSettings

KEY_GROUPS = 4  # the batch means of a query and its key then correlate by one half


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """-log(exp(q k+ / tau) / (exp(q k+ / tau) + sum over negatives of exp(q k- / tau))), mean over images.

    Query and key (B, E), negatives (K, E), all of unit length. Only the query carries a gradient.
    """
    positive = (query * key.detach()).sum(dim=1, keepdim=True)
    logits = torch.cat([positive, query @ negatives.detach().T], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64, device=query.device))


def key_groups(images: int, micro_batch: int | None) -> int:
    """Groups of a step's keys: four, or as many as `micro_batch` asks for, and two images or more in each."""
    most = max(1, images // 2)  # batch normalisation needs two images
    return min(max(KEY_GROUPS, -(-images // (micro_batch or images))), most)


class MoCoV2(Method):
    """Queries of the first view, keys of the second from the momentum network, and the queue.

    On one device a query and its key would be normalised with the same images and the queue's keys with others, which
    gives the pair away (shuffling batch normalisation, section 3.3 of the paper). So a step's keys are normalised in
    groups of every G-th image, its queries together or in the micro-batches that the settings ask for. A batch mean
    over N images and one over N/G of them correlate by 1 / sqrt(G), and only the pass without a graph is in parts.
    """

    def __init__(
        self,
        online: OnlineNetwork,
        settings: PretextSettings,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ):
        super().__init__(online, settings, autocast)
        assert settings.queue_size is not None
        self.target = momentum_copy(online)
        self._norms = tuple(with_grouped_norms(self.target))  # in a tuple they are not registered a second time
        self.queue = KeyQueue(settings.queue_size, CONTRASTIVE_SIZE).to(next(online.parameters()).device)
        self._new_keys: Tensor | None = None  # of the step under way

    def prepare(self, *views: Tensor) -> Tensors:
        keys = self.keys(views[1])
        if self.training:
            self._new_keys = keys
        return views[0], keys

    def keys(self, view: Tensor) -> Tensor:
        """Unit keys (B, E) of a view, without a graph, from the network as its own target in evaluation mode."""
        if not self.training:
            return self.by_micro_batch(lambda part: self._embed(self.online, part), view)
        images, device = len(view), view.device
        groups = key_groups(images, self.settings.micro_batch)
        at_once = max(1, (self.settings.micro_batch or images) // -(-images // groups))
        keys = torch.empty(images, CONTRASTIVE_SIZE, device=device)
        for start in range(0, groups, at_once):
            some = range(start, min(start + at_once, groups))
            index = torch.cat([torch.arange(first, images, groups, device=device) for first in some])
            for norm in self._norms:
                norm.groups = len(some)
            with torch.no_grad():
                keys[index] = self._embed(self.target, view[index])
        return keys

    def outputs(self, *prepared: Tensor) -> Tensors:
        return (self._embed(self.online, prepared[0]),)

    def criterion(self, outputs: Tensors, prepared: Tensors) -> Tensor:
        """In training against the queue; in evaluation mode against the other images' keys of the same batch."""
        assert self.settings.temperature is not None
        query, key = outputs[0], prepared[1]
        if not self.training:
            similarity = query @ key.T / self.settings.temperature
            return cross_entropy(similarity, torch.arange(len(query), device=query.device))
        if self.queue.missing:
            raise FedwardError(f"moco_v2: {self.queue.missing} keys of the queue are missing: fill it before training")
        return info_nce(query, key, self.queue.keys, self.settings.temperature)

    def after_step(self, progress: float) -> None:
        """Move the momentum network, then put the step's keys in the queue: no step meets its own keys."""
        assert self.settings.momentum is not None
        follow(self.target, self.online, self.settings.momentum)
        if self._new_keys is not None:
            self.queue.put(self._new_keys)
            self._new_keys = None

    def reset(self) -> None:
        """The momentum network becomes the online one and the queue is emptied; `fill` it before training."""
        copy_into(self.target, self.online)
        self.queue.clear()

    @property
    def missing_keys(self) -> int:
        return self.queue.missing

    def fill(self, view: Tensor) -> None:
        self.queue.put(self.keys(view))

    def _embed(self, network: OnlineNetwork, view: Tensor) -> Tensor:
        with self.autocast():
            embedding = network(view)
        return normalize(embedding.float(), dim=1)
