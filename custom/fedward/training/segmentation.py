"""Training and validation of a segmentation network: the code that every mode (federated, central, local) calls.

A site's result depends on its data, the received parameters, the settings, its name, the round and the number of torch
threads, and on nothing else.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fedward.errors import FedwardError
from fedward.evaluation import Evaluation, pooled_dice
from fedward.networks.checkpoint import Parameters, get_parameters, load_parameters
from fedward.networks.registry import build_network
from fedward.seeds import derive_seed
from fedward.settings import TrainingSettings
from fedward.training.augmentation import augment
from fedward.training.images import Images
from fedward.training.losses import LOSSES
from fedward.training.optimizer import learning_rate, load_optimizer, make_optimizer, save_optimizer

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class TrainingResult:
    """What a site has after training: its parameters, images it trained on, steps, seconds and mean training loss."""

    parameters: Parameters
    samples: int
    steps: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class PatientScore:
    """Pixel counts of one patient's volume."""

    images: int
    true_positive: int
    false_positive: int
    false_negative: int

    @property
    def dice(self) -> float:
        """Dice of the volume; 1 where truth and prediction are both empty."""
        dice = pooled_dice(self.true_positive, self.false_positive, self.false_negative)
        return 1.0 if dice is None else dice

    @property
    def iou(self) -> float:
        """Intersection over union of the volume; 1 where truth and prediction are both empty."""
        union = self.true_positive + self.false_positive + self.false_negative
        return self.true_positive / union if union else 1.0


def choose_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one; FedwardError where the named device is absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise FedwardError(f"device {name!r} is unknown: use auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise FedwardError(f"device {name!r} is not supported: use auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise FedwardError(
            f"device {name!r} was asked for but torch sees {torch.cuda.device_count()} GPUs (counted from cuda:0): "
            "use auto or cpu, or mend the driver"
        )
    return device


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Mixed precision of the forward pass in bfloat16, whose range needs no loss scaling."""
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    enabled = precision == "bfloat16" or (precision == "auto" and has_bfloat16)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def steps_per_round(samples: int, settings: TrainingSettings) -> int:
    """Optimiser steps a site with `samples` images takes in a round; the last batch of an epoch may be smaller."""
    if settings.local_steps is not None:
        return settings.local_steps
    return (settings.local_epochs or 1) * math.ceil(samples / settings.batch_size)


def batches(samples: int, steps: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """`steps` batches of indices: one random order of all samples after the other."""
    done = 0
    while done < steps:
        for batch in torch.randperm(samples, generator=generator).split(batch_size):
            if done == steps:
                return
            yield batch
            done += 1


class SegmentationTrainer:
    """One site's images on one device, and the network that is trained on them.

    Parameters go in and come out as NumPy arrays. With `optimizer_folder` the optimiser's state is kept there from one
    round to the next, as a centralised training does; a federated site starts afresh each round.
    """

    def __init__(
        self,
        site: str,
        train: Images,
        validation: Images | None,
        settings: TrainingSettings,
        rounds: int,
        seed: int,
        device: str = "auto",
        optimizer_folder: Path | None = None,
    ):
        self.site = site
        self.settings = settings
        self.rounds = rounds
        self.seed = seed
        self.device = choose_device(device)
        self.train_images = train
        self.validation_images = validation
        self.model = build_network(settings.network, settings.network_args)
        self.model.to(self.device, memory_format=torch.channels_last)
        self.optimizer_folder = optimizer_folder

    def train(self, parameters: Parameters, round_number: int) -> TrainingResult:
        """Train from `parameters` for the settings' epochs or steps; FedwardError where it diverges or lacks memory."""
        try:
            return self._train(parameters, round_number)
        except torch.OutOfMemoryError as error:
            raise FedwardError(
                f"{self.site}, round {round_number}: {self.device} has too little memory for batches of "
                f"{self.settings.batch_size}: lower the batch size, the image size or the network's features"
            ) from error

    def _train(self, parameters: Parameters, round_number: int) -> TrainingResult:
        started = time.monotonic()
        settings = self.settings
        load_parameters(self.model, parameters)
        self.model.train()
        optimizer = make_optimizer(self.model, settings, learning_rate(settings, round_number, self.rounds))
        if self.optimizer_folder and round_number > 1:
            load_optimizer(self.optimizer_folder, round_number - 1, optimizer)
        loss_function = LOSSES[settings.loss]
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "train", self.site, round_number))
        samples = len(self.train_images)
        steps = steps_per_round(samples, settings)
        total = torch.zeros((), device=self.device)
        for index in batches(samples, steps, settings.batch_size, generator):
            image, mask = self.batch(self.train_images, index)
            if settings.augment:
                image, mask = augment(image, mask, generator)
            image = image.contiguous(memory_format=torch.channels_last)
            with autocast(settings.precision, self.device):
                logits = self.model(image)
            loss = loss_function(logits.float(), mask)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()  # kept on the device: reading it every step would make the GPU wait
        mean_loss = float(total) / steps
        if not math.isfinite(mean_loss):
            raise FedwardError(
                f"{self.site}, round {round_number}: the training loss is {mean_loss}; "
                f"lower the learning rate (now {settings.learning_rate}) or check the images with fedward check-data"
            )
        own = get_parameters(self.model)
        broken = [key for key, value in own.items() if not np.isfinite(value).all()]
        if broken:  # the last step can do this after a finite loss; such an update must not leave the site
            raise FedwardError(
                f"{self.site}, round {round_number}: training made {broken[0]} infinite or NaN; lower the learning rate"
            )
        if self.optimizer_folder:
            save_optimizer(self.optimizer_folder, round_number, optimizer)
        return TrainingResult(own, samples, steps, time.monotonic() - started, mean_loss)

    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
        """Measure `parameters` on the site's own validation (or training) images; None where there are none."""
        images = self.validation_images if on == "validation" else self.train_images
        if images is None:
            return None
        load_parameters(self.model, parameters)
        evaluation, _ = evaluate_model(self.model, images, self.device, self.settings.precision)
        return evaluation

    def batch(self, images: Images, index: Tensor) -> tuple[Tensor, Tensor]:
        """Image and mask of the given slices on the device, float32 (B, C, H, W) and (B, 1, H, W)."""
        image, mask = images.image[index], images.mask[index]
        if self.device.type == "cuda":
            image, mask = image.pin_memory(), mask.pin_memory()
        to = {"device": self.device, "non_blocking": True}
        return image.to(**to).float(), mask.to(**to).float()


def predict_logits(model: nn.Module, image: Tensor, device: torch.device, precision: str = "float32") -> Tensor:
    """Logits (N, 1, H, W) float32 of images (N, C, H, W), in batches, in evaluation mode, on the device."""
    model.eval()
    parts = []
    with torch.inference_mode(), autocast(precision, device):
        for batch in image.split(EVALUATION_BATCH):
            batch = batch.to(device, non_blocking=True).float().contiguous(memory_format=torch.channels_last)
            parts.append(model(batch).float())
    return torch.cat(parts)


def predict_masks(model: nn.Module, image: Tensor, device: torch.device, precision: str = "float32") -> Tensor:
    """Foreground (N, H, W) bool on the CPU: probability above one half."""
    return (predict_logits(model, image, device, precision) > 0).squeeze(1).cpu()


def evaluate_model(
    model: nn.Module, images: Images, device: torch.device, precision: str = "float32"
) -> tuple[Evaluation, dict[str, PatientScore]]:
    """Mean binary cross entropy over all pixels, pixel counts pooled over all images, and counts per patient."""
    model.eval()
    cost = torch.zeros((), dtype=torch.float64)
    counts = torch.zeros((len(images.patients), 3), dtype=torch.int64)  # true positive, false positive, false negative
    for index in torch.arange(len(images)).split(EVALUATION_BATCH):
        logits = predict_logits(model, images.image[index], device, precision)
        target = images.mask[index].to(device, non_blocking=True)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, target.float(), reduction="none")
        cost += losses.sum(dtype=torch.float64).cpu()
        predicted = logits > 0
        pixels = torch.stack([predicted & target, predicted & ~target, ~predicted & target]).sum(dim=(2, 3, 4))
        counts.index_add_(0, images.patient[index], pixels.T.cpu())
    true_positive, false_positive, false_negative = counts.sum(dim=0).tolist()
    slices = torch.bincount(images.patient, minlength=len(images.patients)).tolist()
    evaluation = Evaluation(
        cost=cost.item() / images.mask.numel(),
        quality=pooled_dice(true_positive, false_positive, false_negative),
        images=len(images),
        patients=len(images.patients),
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=false_negative,
    )
    scores = {
        name: PatientScore(n, *row) for name, n, row in zip(images.patients, slices, counts.tolist(), strict=True)
    }
    return evaluation, scores
