"""Pretraining at one site: views, steps, the private state between rounds, and what is measured on the way."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import Parameters, digest
from fedward.pretext.agreed_warnings import COLLAPSED
from fedward.pretext.augmentation import one_view, two_views
from fedward.pretext.feature_statistics import collapsed, feature_statistics
from fedward.pretext.kept_state import load_private, save_private
from fedward.pretext.knn import knn_auc
from fedward.pretext.methods import build_method
from fedward.pretext.settings import PretextSettings
from fedward.seeds import derive_seed
from fedward.settings import TrainingSettings
from fedward.training.classification import predict_logits
from fedward.training.trainer import Trainer, autocast
from fedward.training.xray_images import XrayImages


class Probe(NamedTuple):
    """Labelled images of a k-NN probe: those that vote, and those of other patients that are judged."""

    bank: XrayImages
    judged: XrayImages


class PretextTrainer(Trainer):
    """Trains an online network by its method. With a state folder the private state is kept as the optimiser's is.

    Otherwise each round rebuilds it: the target is the received network, and the queue is filled with keys of the
    images that the round's first epoch puts last, so that no image of the epoch meets an old key of its own (the queue
    holds half of the images at most).
    """

    train_images: XrayImages
    validation_images: XrayImages | None

    def __init__(
        self,
        site: str,
        train: XrayImages,
        validation: XrayImages | None,
        settings: TrainingSettings,
        rounds: int,
        seed: int,
        device: str,
        state_folder: Path | None,
        pretext: PretextSettings,
        probe: Probe | None = None,
    ):
        pretext.check_data_size(len(train), settings.batch_size)
        super().__init__(site, train, validation, settings, rounds, seed, device, state_folder)
        self.pretext = pretext
        self.probe = probe
        self.method = build_method(self.model, pretext, partial(autocast, settings.precision, self.device))  # type: ignore[arg-type]
        self._measured: tuple[str, Evaluation, tuple[str, ...]] | None = None

    def training_mode(self) -> None:
        self.method.train()

    def views(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """As many random views as the method takes of uint8 images (B, 1, S, S) on the device."""
        if self.method.views == 1:
            views: tuple[Tensor, ...] = (one_view(images, self.pretext, generator),)
        else:
            views = two_views(images, self.pretext, generator)
        return tuple(view.contiguous(memory_format=torch.channels_last) for view in views)

    def loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        return self.method.loss(*self.views(self.train_images.pixels(index, self.device), generator))

    def backward(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """The same by micro-batches, where the settings ask for them."""
        return self.method.backward(*self.views(self.train_images.pixels(index, self.device), generator))

    def after_step(self, progress: float) -> None:
        self.method.after_step(progress)

    def begin(self, round_number: int, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        super().begin(round_number, optimizer, generator)
        if self.state_folder and round_number > 1:
            self.method.load_private_state(load_private(self.state_folder, round_number - 1))
            return
        self.method.reset()
        if self.method.missing_keys:
            self._fill_queue(round_number, generator)

    def _fill_queue(self, round_number: int, generator: torch.Generator) -> None:
        same = torch.Generator()
        same.set_state(generator.get_state())  # the order of the first epoch, which the loop is about to draw
        last = torch.randperm(len(self.train_images), generator=same)[-self.method.missing_keys :]
        own = torch.Generator().manual_seed(derive_seed(self.seed, "queue", self.site, round_number))
        for index in last.split(self.settings.batch_size):
            self.method.fill(self.views(self.train_images.pixels(index, self.device), own)[-1])

    def end(self, round_number: int, optimizer: torch.optim.Optimizer) -> None:
        super().end(round_number, optimizer)
        if self.state_folder:
            save_private(self.state_folder, round_number, self.method.private_state())

    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
        """Loss and features on the site's images, the same views each time; the quality is the AUC of the probe.

        It depends on nothing but the parameters, so a model that was just measured is not measured again.
        """
        images = self.validation_images if on == "validation" else self.train_images
        if images is None:
            return None
        probing = self.rounds_done is None or self.rounds_done % self.pretext.probe_every == 0
        key = f"{on} {probing} {digest(parameters)}"
        if self._measured is None or self._measured[0] != key:
            self.load(parameters)
            self._measured = (key, *self._measure(images, self.probe if probing else None))
        self.warnings = self._measured[2]
        return self._measured[1]

    def _measure(self, images: XrayImages, probe: Probe | None) -> tuple[Evaluation, tuple[str, ...]]:
        statistics = feature_statistics(self._features(images))
        details = {"features.std": statistics.std, "features.rank": statistics.rank}
        quality = None
        if probe is not None:
            bank, judged = (self._features(part) for part in probe)
            quality = knn_auc(judged, probe.judged.labels, bank, probe.bank.labels)
            if quality is not None:
                details["knn.auc"] = quality
        known = {name: value for name, value in details.items() if np.isfinite(value)}
        patients = len(set(images.patients))
        evaluation = Evaluation(self._loss(images), quality, len(images), patients, details=known)
        return evaluation, (COLLAPSED,) if collapsed(statistics) or self._embeddings_collapsed(images) else ()

    def _features(self, images: XrayImages) -> Tensor:
        return self._outputs(self.model.encoder, images)  # type: ignore[arg-type]

    def _outputs(self, network: nn.Module, images: XrayImages) -> Tensor:
        return predict_logits(network, images, self.pretext.crop_size, self.device, self.settings.precision)

    def _embeddings_collapsed(self, images: XrayImages) -> bool:
        """Whether the embeddings that the loss compares are nearly alike.

        It shows there first: the encoder ends in a batch normalisation, which widens what little is left of a spread.
        """
        return self.method.views == 2 and collapsed(feature_statistics(self._outputs(self.model, images)))

    @torch.no_grad()
    def _loss(self, images: XrayImages) -> float | None:
        """Mean over whole batches, for a contrastive loss grows with the batch; None for a single image."""
        count, size = len(images), self.settings.batch_size
        if count < 2:
            return None
        self.method.eval()
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "validation views", self.site))
        used = count // size * size or count
        losses = [
            self.method.loss(*self.views(images.pixels(index, self.device), generator))
            for index in torch.arange(used).split(size)
        ]
        return float(torch.stack(losses).mean())
