"""Multi-label classification of X-rays: fine-tuning of the whole network, or a linear classifier on a frozen one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedward.errors import FedwardError
from fedward.evaluation import MEAN_AUC_LIMITS, Evaluation
from fedward.networks.checkpoint import Parameters
from fedward.pretext.augmentation import centre_crop, classification_view
from fedward.settings import TrainingSettings
from fedward.training.auc import auc_intervals, auc_per_finding
from fedward.training.frozen_features import FeatureStore, encoder_digest
from fedward.training.masked_bce import known_labels, masked_bce
from fedward.training.trainer import Trainer, autocast
from fedward.training.xray_images import XrayImages

EVALUATION_BATCH = 128
CLASSIFIER = "classifier."


class ClassificationTrainer(Trainer):
    """Trains every layer on random crops; the loss is the masked binary cross entropy over the known labels."""

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
        findings: tuple[str, ...],
        crop_size: int,
    ):
        super().__init__(site, train, validation, settings, rounds, seed, device, state_folder)
        self.findings = findings
        self.crop_size = crop_size

    def training_mode(self) -> None:
        self.model.train()
        if len(self.train_images) < 2:  # one image has no variance: the received statistics stay
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        images = self.train_images.pixels(index, self.device)
        if self.settings.augment:
            view = classification_view(images, self.crop_size, True, generator)
        else:
            view = centre_crop(images, self.crop_size)
        labels = self.train_images.labels[index].to(self.device, non_blocking=True)
        with autocast(self.settings.precision, self.device):
            logits = self.model(view.contiguous(memory_format=torch.channels_last))
        return masked_bce(logits, labels)

    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
        images = self.validation_images if on == "validation" else self.train_images
        if images is None:
            return None
        self.load(parameters)
        logits = predict_logits(self.model, images, self.crop_size, self.device, self.settings.precision)
        return self._evaluation(logits, images)

    def _evaluation(self, logits: Tensor, images: XrayImages) -> Evaluation:
        """Of the run's last model with an interval of the mean AUC: that of every round's would take too long."""
        evaluation = evaluation_of(logits, images, self.findings)
        if self.rounds_done is not None or evaluation.quality is None:
            return evaluation
        mean = auc_intervals(logits.sigmoid().cpu().numpy(), images.labels.numpy(), images.patients).mean
        limits = dict(zip(MEAN_AUC_LIMITS, (mean.low, mean.high), strict=True))
        return replace(evaluation, details=evaluation.details | {k: v for k, v in limits.items() if np.isfinite(v)})


class LinearTrainer(ClassificationTrainer):
    """Trains the classifier alone, on features of the frozen encoder that are computed once.

    The encoder is in evaluation mode, batch normalisation too, and sees the centre crop. It comes with the first task;
    later tasks bring the classifier only, and a restarted site finds the features in its cache.
    """

    def __init__(self, *arguments: object, store: FeatureStore):
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.store = store
        self.encoder = ""  # its digest, once it is known
        self.features: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith(CLASSIFIER))

    def load(self, parameters: Parameters) -> None:
        classifier = {key: value for key, value in parameters.items() if key.startswith(CLASSIFIER)}
        if len(classifier) < len(parameters):
            digest = encoder_digest(parameters)
            if digest != self.encoder:
                super().load(parameters)
                self.features = self.store.get(digest, self._compute)
                self.encoder = digest
        elif not self.features:
            self.features = self.store.of_this_run()
        state = self.model.state_dict()
        with torch.no_grad():
            for key, value in classifier.items():
                state[key].copy_(torch.from_numpy(np.asarray(value)))

    def _compute(self) -> dict[str, Tensor]:
        parts = {"training": self.train_images, "validation": self.validation_images}
        network, kept = self.model, self.model.classifier
        network.classifier = None  # type: ignore[assignment]
        try:
            return {
                name: predict_logits(network, images, self.crop_size, self.device, self.settings.precision).cpu()
                for name, images in parts.items()
                if images is not None
            }
        finally:
            network.classifier = kept

    def own_parameters(self) -> Parameters:
        return {key: value for key, value in super().own_parameters().items() if key.startswith(CLASSIFIER)}

    def training_mode(self) -> None:
        self.model.eval()

    def loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        features = self.features["training"][index].to(self.device, non_blocking=True)
        labels = self.train_images.labels[index].to(self.device, non_blocking=True)
        return masked_bce(self.model.classifier(features), labels)  # type: ignore[operator]

    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
        images = self.validation_images if on == "validation" else self.train_images
        if images is None:
            return None
        self.load(parameters)
        with torch.inference_mode():
            logits = self.model.classifier(self.features[on].to(self.device)).float()  # type: ignore[operator]
        return self._evaluation(logits, images)


def predict_logits(
    model: nn.Module,
    images: XrayImages,
    crop_size: int,
    device: torch.device,
    precision: str = "float32",
    on_batch: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """The network's output for the centre crop of each image, in evaluation mode: float32 (N, outputs)."""
    model.eval()
    parts = []
    with torch.inference_mode(), autocast(precision, device):
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = images.pixels(slice(start, start + EVALUATION_BATCH), device)
            view = centre_crop(batch, crop_size).contiguous(memory_format=torch.channels_last)
            parts.append(model(view).float())
            on_batch(len(batch))
    return torch.cat(parts)


def predict_probabilities(
    model: nn.Module, images: NDArray[np.uint8], crop_size: int, device: torch.device
) -> NDArray[np.float32]:
    """Probability of each finding, (N, C) float32, for images (N, S, S) uint8."""
    where = np.stack([np.zeros(len(images), np.int64), np.arange(len(images))], axis=1)
    xrays = XrayImages((images,), where, torch.empty(len(images), 0), ("",) * len(images))
    probabilities: NDArray[np.float32] = predict_logits(model, xrays, crop_size, device).sigmoid().cpu().numpy()
    return probabilities


def class_activation(
    model: nn.Module, image: NDArray[np.uint8], finding: int, crop_size: int, device: torch.device
) -> NDArray[np.float32]:
    """Where the network sees a finding: (crop_size, crop_size) float32 in [0, 1], for an image (S, S) uint8.

    The class activation map sum_c w_c F_c (Zhou 2016, arXiv 1512.04150): for average pooling and a linear classifier
    it says exactly what each place adds to the logit. What counts against the finding is cut off at 0.
    """
    model.eval()
    with torch.inference_mode():
        view = centre_crop(torch.from_numpy(np.ascontiguousarray(image))[None, None].to(device), crop_size)
        maps = model.feature_map(view)  # type: ignore[operator]
        weights = model.classifier.weight[finding]  # type: ignore[union-attr, index]
        heat = torch.einsum("chw,c->hw", maps[0], weights).clamp_min(0)
        heat = nn.functional.interpolate(heat[None, None], size=(crop_size, crop_size), mode="bilinear")[0, 0]
        result: NDArray[np.float32] = (heat / heat.max().clamp_min(1e-12)).cpu().numpy()
    return result


def evaluation_of(logits: Tensor, images: XrayImages, findings: tuple[str, ...]) -> Evaluation:
    """Mean binary cross entropy over the known labels, and AUC, positives and negatives of each finding.

    The quality is the mean AUC over the findings that have both classes; None where none has, as the cost is without
    any known label.
    """
    if not logits.isfinite().all():
        raise FedwardError(
            "the model's outputs are not finite: training has diverged; lower the learning rate, or take larger batches"
        )
    labels = images.labels
    auc = auc_per_finding(logits.sigmoid().double().cpu().numpy(), labels.numpy())
    details = {f"auc.{f}": float(v) for f, v in zip(findings, auc.values, strict=True) if not np.isnan(v)}
    for group, counts in (("positives", auc.positives), ("negatives", auc.negatives)):
        details |= {f"{group}.{finding}": int(count) for finding, count in zip(findings, counts, strict=True)}
    cost = float(masked_bce(logits.cpu(), labels)) if known_labels(labels) else None
    return Evaluation(cost, auc.mean, len(images), len(set(images.patients)), details=details)
