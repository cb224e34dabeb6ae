"""Federated contrastive learning at one site: momentum encoder, memory bank and the others' features."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fedward.contrast.bank import MemoryBank
from fedward.contrast.loss import fcl_loss, local_positives
from fedward.contrast.settings import ContrastSettings
from fedward.errors import FedwardError
from fedward.pretext.momentum import follow, momentum_copy
from fedward.pretext.online import CONTRASTIVE_SIZE, OnlineNetwork
from fedward.rounds.exchange import FeatureTable


class FCL:
    """Wu et al. 2021 (arXiv 2204.10983). `bank` must be filled before the first step of a round.

    A step's queries are compared with the site's own features of other scans and with K negatives, drawn uniformly
    without replacement from the own bank and the others' features. The step's keys, of second views by the momentum
    encoder, enter the bank after it.
    """

    bank: MemoryBank

    def __init__(
        self,
        online: OnlineNetwork,
        settings: ContrastSettings,
        autocast: Callable[[], AbstractContextManager[Any]],
    ):
        self.online = online
        self.target = momentum_copy(online)
        self.settings = settings
        self.autocast = autocast
        self.others: tuple[Tensor, Tensor] | None = None
        self._new: tuple[Tensor, Tensor, Tensor] | None = None  # of the step under way

    # --- features ---------------------------------------------------------------------------------------------------

    def embed(self, network: OnlineNetwork, view: Tensor) -> Tensor:
        """Projected features of a view (B, C, H, W), float32 (B, 128) of length 1."""
        with self.autocast():
            embedded = network(view)
        return normalize(embedded.float(), dim=1)

    @torch.no_grad()
    def keys(self, views: Iterable[Tensor]) -> Tensor:
        """Features of views by the momentum encoder, one batch after the other."""
        return torch.cat([self.embed(self.target, view) for view in views])

    def take_others(self, table: FeatureTable | None) -> None:
        """The other sites' features of this round; None or an empty table where there are none.

        They are brought to length 1 again, for float16 rounds. FedwardError where they are no such features.
        """
        self.others = None
        if table is None or not len(table):
            return
        rows = torch.from_numpy(np.array(table.rows, np.float32))  # a copy: they may be mapped from a file
        partitions = torch.from_numpy(np.array(table.partitions, np.int64))
        if rows.shape != (len(partitions), CONTRASTIVE_SIZE) or not rows.isfinite().all():
            raise FedwardError(
                f"the other sites' features {tuple(rows.shape)} are not {len(partitions)} finite rows of "
                f"{CONTRASTIVE_SIZE}: the server's exchange is damaged"
            )
        if int(partitions.max()) >= self.settings.partitions:
            raise FedwardError(
                f"the other sites' features are of partition {int(partitions.max())}, the job has "
                f"{self.settings.partitions}: do all sites run the same job?"
            )
        device = next(self.online.parameters()).device
        self.others = normalize(rows.to(device), dim=1), partitions.to(device)

    @property
    def available(self) -> int:
        """Features that negatives are drawn from."""
        return len(self.bank.keys) + (len(self.others[0]) if self.others else 0)

    # --- a step -----------------------------------------------------------------------------------------------------

    def loss(
        self, first: Tensor, second: Tensor, partition: Tensor, scan: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The loss of views (B, C, H, W) of slices in `partition` of `scan`, (B,) each, with its graph."""
        partition, scan = partition.to(first.device), scan.to(first.device)
        self._new = self.keys([second]), partition, scan
        query = self.embed(self.online, first)
        bank = self.bank
        positive = local_positives(partition, scan, bank.partition, bank.scan)
        negatives = self.draw_negatives(generator)
        tau, formula = self.settings.temperature, self.settings.formula
        return fcl_loss(query, partition, bank.keys, positive, *negatives, tau, formula, self.others is not None)[0]

    def draw_negatives(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Q': K features (K, 128) of the own bank and the others', and their partitions; all, where K is no fewer."""
        own, partition = self.bank.keys, self.bank.partition
        wanted = self.settings.negatives or len(own)
        if wanted >= self.available:
            if self.others is None:
                return own, partition
            return torch.cat([own, self.others[0]]), torch.cat([partition, self.others[1]])
        chosen = torch.randperm(self.available, generator=generator)[:wanted]
        inside = chosen[chosen < len(own)].to(own.device, non_blocking=True)
        if self.others is None:
            return own[inside], partition[inside]
        outside = (chosen[chosen >= len(own)] - len(own)).to(own.device, non_blocking=True)
        rows, partitions = self.others
        return torch.cat([own[inside], rows[outside]]), torch.cat([partition[inside], partitions[outside]])

    def after_step(self) -> None:
        """The momentum encoder follows, and the step's keys take the place of the oldest."""
        follow(self.target, self.online, self.settings.momentum)
        if self._new is not None:
            self.bank.add(*self._new)
            self._new = None

    # --- measuring --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def loss_among(self, first: Tensor, second: Tensor, partition: Tensor, scan: Tensor) -> float | None:
        """The loss of features (N, 128) of first views against those of all second views, without a remote term.

        None where no slice has both a positive, in another scan, and a negative.
        """
        partition, scan = partition.to(first.device), scan.to(first.device)
        positive = local_positives(partition, scan, partition, scan)
        tau, formula = self.settings.temperature, self.settings.formula
        loss, counted = fcl_loss(first, partition, second, positive, second, partition, tau, formula, remote=False)
        return float(loss) if counted else None
