"""Contrastive pretraining at one site: slices of its cells, the round's bank, steps, and what is measured."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedward.contrast.agreed_warnings import (
    EMPTY_PARTITIONS,
    FEW_FEATURES,
    ONE_PATIENT,
    ONE_SCAN,
    ONE_SCAN_ALONE,
)
from fedward.contrast.bank import MemoryBank, feature_table
from fedward.contrast.fcl import FCL
from fedward.contrast.neighbours import knn_partition
from fedward.contrast.positions import Cells, cells_of
from fedward.contrast.settings import ContrastSettings
from fedward.contrast.views import random_views
from fedward.errors import DataError, FedwardError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import Parameters, digest, get_parameters
from fedward.pretext.agreed_warnings import COLLAPSED
from fedward.pretext.feature_statistics import FeatureStatistics, collapsed, feature_statistics
from fedward.pretext.kept_state import has_private, load_private, save_private
from fedward.pretext.method import Method
from fedward.pretext.methods import build_method
from fedward.pretext.momentum import copy_into
from fedward.pretext.settings import pretext_settings
from fedward.rounds.exchange import FeatureTable
from fedward.seeds import derive_seed
from fedward.settings import TrainingSettings
from fedward.training.scan_slices import Slices
from fedward.training.segmentation import EVALUATION_BATCH, predict_logits
from fedward.training.trainer import Trainer, autocast

# Instance normalisation before the pooling leaves an untrained U-Net's features alike: .03 to .06 of the widest spread
# on ACDC and an effective rank of 2 to 16, where equal features have 0 and 1
LOWEST_SPREAD, LOWEST_RANK = 0.01, 1.1


class ContrastTrainer(Trainer):
    """Trains the U-Net's encoder on slices of scans without labels; an image of an epoch is a cell.

    `others` are the features of the other sites for the next round; None before the first exchange and without one.
    The optimiser begins each round afresh. The momentum encoder too, as the received model; with `momentum_encoder`
    keep it goes on from the state folder, where that holds the one of the round before: a site that missed a round
    begins afresh, and so does one without such a folder.
    """

    train_images: Cells
    validation_images: Cells | None
    others: FeatureTable | None = None

    def __init__(
        self,
        site: str,
        train: Slices,
        validation: Slices | None,
        settings: TrainingSettings,
        rounds: int,
        seed: int,
        device: str,
        state_folder: Path | None,
        contrast: ContrastSettings,
    ):
        cells = cells_of(train, contrast.partitions)
        judged = None if validation is None else cells_of(validation, contrast.partitions)
        super().__init__(site, cells, judged, settings, rounds, seed, device, state_folder)
        self.contrast = contrast
        parts = len(cells.partition.unique())
        if contrast.method == "fcl" and contrast.partitions > 1 and parts == 1:
            raise DataError(
                f"{site}: all {len(train)} training slices lie in one of {contrast.partitions} parts of their volumes, "
                "so there is nothing to tell apart: give it volumes of several slices, or leave it out of the run"
            )
        context = partial(autocast, settings.precision, self.device)
        self.fcl: FCL | None = None
        self.baseline: Method | None = None
        if contrast.method == "fcl":
            self.fcl = FCL(self.model, contrast, context)  # type: ignore[arg-type]
        else:
            changes = {"temperature": contrast.temperature} if contrast.method == "simclr" else {}
            self.baseline = build_method(self.model, pretext_settings(contrast.method, **changes), context)  # type: ignore[arg-type]
        self._notes: tuple[str, ...] = ()
        self._banked: tuple[tuple[int, str], Tensor, Tensor] | None = None
        self._measured: tuple[str, Evaluation, tuple[str, ...]] | None = None

    # --- the exchange -----------------------------------------------------------------------------------------------

    def bank(self, parameters: Parameters, round_number: int) -> FeatureTable:
        """What the site offers the others in a round that begins with `parameters`: features of its training slices.

        FedwardError where the run has no exchange, and where the features are not finite.
        """
        if self.fcl is None or not self.contrast.exchange:
            raise FedwardError(f"{self.site}: the job exchanges no features ({self.contrast.method})")
        self.load(parameters)
        keys, chosen = self._own_features(self.fcl, round_number)
        partition = self.train_images.partition[chosen]
        return feature_table(keys, partition, self.contrast.noise, self.contrast.precision)

    def _own_features(self, fcl: FCL, round_number: int) -> tuple[Tensor, Tensor]:
        """Features (n, 128) of one view of each training slice, and which slices; of more than the bank holds, some.

        The order is random, so that the bank forgets evenly. The momentum encoder is as the round begins with it.
        """
        self._begin_target(fcl, round_number)
        key = (round_number, digest(get_parameters(self.model)))
        if self._banked is None or self._banked[0] != key:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "bank", self.site, round_number))
            slices = self.train_images.slices
            chosen = torch.randperm(len(slices), generator=generator)[: self.contrast.bank_size]
            keys = fcl.keys(self._views(image, generator, 1)[0] for image in self._parts(slices, chosen))
            if not keys.isfinite().all():
                raise FedwardError(
                    f"{self.site}, round {round_number}: features that are not finite; lower the learning rate or "
                    "check the scans with fedward check-data"
                )
            self._banked = key, keys, chosen
        return self._banked[1:]

    def _begin_target(self, fcl: FCL, round_number: int) -> None:
        copy_into(fcl.target, self.model)
        folder = self.state_folder if self.contrast.momentum_encoder == "keep" else None
        if folder is None or not has_private(folder, round_number - 1):
            return
        kept, wanted = load_private(folder, round_number - 1), fcl.target.state_dict()
        wrong = sorted(set(kept) ^ set(wanted)) or sorted(k for k in kept if kept[k].shape != wanted[k].shape)
        if wrong:
            raise FedwardError(
                f"the kept momentum encoder is of another network ({wrong[0]} does not fit): begin the run anew"
            )
        fcl.target.load_state_dict(kept)

    # --- the loop's parts -------------------------------------------------------------------------------------------

    def begin(self, round_number: int, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        self._notes = self._notes_on_scans()
        if self.fcl is None:
            return
        keys, chosen = self._own_features(self.fcl, round_number)
        cells = self.train_images
        partition, scan = (part[chosen].to(self.device) for part in (cells.partition, cells.slices.scan))
        self.fcl.bank = MemoryBank(keys, partition, scan)
        self.fcl.take_others(self.others if self.contrast.exchange else None)
        if (self.contrast.negatives or 0) > self.fcl.available:
            self._notes = (*self._notes, FEW_FEATURES)

    def loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        cells = self.train_images
        chosen = cells.draw(index, generator)
        image = self._images(cells.slices, chosen)
        if self.fcl is None:
            return self._baseline_loss(image, generator)
        first, second = self._views(image, generator)
        return self.fcl.loss(first, second, cells.partition[chosen], cells.slices.scan[chosen], generator)

    def after_step(self, progress: float) -> None:
        if self.fcl is not None:
            self.fcl.after_step()

    def end(self, round_number: int, optimizer: torch.optim.Optimizer) -> None:
        if self.fcl is not None and self.state_folder and self.contrast.momentum_encoder == "keep":
            state = {key: value.detach().cpu().clone() for key, value in self.fcl.target.state_dict().items()}
            save_private(self.state_folder, round_number, state)

    def _baseline_loss(self, image: Tensor, generator: torch.Generator) -> Tensor:
        assert self.baseline is not None
        return self.baseline.loss(*self._views(image, generator, self.baseline.views))

    def _views(self, image: Tensor, generator: torch.Generator, count: int = 2) -> tuple[Tensor, ...]:
        views = random_views(image, self.contrast, generator, count)
        return tuple(view.contiguous(memory_format=torch.channels_last) for view in views)

    # --- measuring --------------------------------------------------------------------------------------------------

    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
        """The method's loss on a slice of each cell, and the features of all slices; the same views each time.

        The quality is the share of slices whose nearest neighbour in another patient lies in the same partition. It
        depends on nothing but the parameters, so a model that was just measured is not measured again.
        """
        notes = () if self.rounds_done is None else self._notes  # they are about the round that was trained
        self.warnings = notes
        cells = self.validation_images if on == "validation" else self.train_images
        if cells is None:
            return None
        key = f"{on} {digest(parameters)}"
        if self._measured is None or self._measured[0] != key:
            self.load(parameters)
            self._measured = (key, *self._measure(cells))
        self.warnings = (*notes, *self._measured[2])
        return self._measured[1]

    def _measure(self, cells: Cells) -> tuple[Evaluation, tuple[str, ...]]:
        features = self._outputs(cells.slices, encoder=True)
        statistics = feature_statistics(features)
        details = {"features.std": statistics.std, "features.rank": statistics.rank}
        bank = None
        if cells is not self.train_images:  # of other patients: a hospital may have a single one to validate on
            bank = self._outputs(self.train_images.slices, encoder=True), self.train_images.partition
        quality = knn_partition(features, cells.partition, cells.patient, bank)
        if quality is not None:
            details["knn.partition"] = quality
        known = {name: value for name, value in details.items() if np.isfinite(value)}
        patients = len({scan.patient for scan in cells.slices.scans})
        evaluation = Evaluation(self._validation_loss(cells), quality, len(cells.slices), patients, details=known)
        return evaluation, (COLLAPSED,) if self._collapsed(statistics, cells.slices) else ()

    def _collapsed(self, statistics: FeatureStatistics, slices: Slices) -> bool:
        """Whether the features are nearly alike, or what a contrastive loss compares: it shows there first."""
        found = [statistics]
        if self.contrast.method != "rotation":
            found.append(feature_statistics(self._outputs(slices)))
        return any(collapsed(each, LOWEST_SPREAD, LOWEST_RANK) for each in found)

    @torch.no_grad()
    def _validation_loss(self, cells: Cells) -> float | None:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "validation views", self.site))
        chosen = cells.draw(torch.arange(len(cells)), generator)
        if self.fcl is not None:
            fcl = self.fcl
            views = [self._views(image, generator) for image in self._parts(cells.slices, chosen)]
            first, second = (
                torch.cat([fcl.embed(fcl.online, view) for view in side]) for side in zip(*views, strict=True)
            )
            return fcl.loss_among(first, second, cells.partition[chosen], cells.slices.scan[chosen])
        count, size = len(cells), self.settings.batch_size
        if count < 2:
            return None
        used = count // size * size or count  # whole batches: SimCLR's loss grows with the batch
        losses = [
            self._baseline_loss(self._images(cells.slices, part), generator) for part in chosen[:used].split(size)
        ]
        return float(torch.stack(losses).mean())

    # --- images -----------------------------------------------------------------------------------------------------

    def _images(self, slices: Slices, index: Tensor) -> Tensor:
        """These slices on the device, float32 (B, 1, S, S)."""
        image = slices.image[index]
        if self.device.type == "cuda":
            image = image.pin_memory()
        return image.to(self.device, non_blocking=True).float()

    def _parts(self, slices: Slices, index: Tensor) -> Iterator[Tensor]:
        return (self._images(slices, part) for part in index.split(EVALUATION_BATCH))

    def _outputs(self, slices: Slices, encoder: bool = False) -> Tensor:
        network = self.model.encoder if encoder else self.model
        return predict_logits(network, slices.image, self.device, self.settings.precision)  # type: ignore[arg-type]

    def _notes_on_scans(self) -> tuple[str, ...]:
        slices, notes = self.train_images.slices, []
        if bool((slices.depth < self.contrast.partitions).any()):
            notes.append(EMPTY_PARTITIONS)
        if self.fcl is not None and len(slices.scans) == 1:
            notes.append(ONE_SCAN if self.contrast.exchange else ONE_SCAN_ALONE)
        elif self.fcl is not None and len({scan.patient for scan in slices.scans}) == 1:
            notes.append(ONE_PATIENT)
        return tuple(notes)
