"""Training and validation of a segmentation network."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedward.evaluation import Evaluation, pooled_dice
from fedward.networks.checkpoint import Parameters, load_parameters
from fedward.training.augmentation import augment
from fedward.training.images import Images
from fedward.training.losses import LOSSES
from fedward.training.trainer import Trainer, autocast

EVALUATION_BATCH = 64


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


class SegmentationTrainer(Trainer):
    """Trains on images with masks."""

    train_images: Images
    validation_images: Images | None

    def loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        image, mask = self.batch(self.train_images, index)
        if self.settings.augment:
            image, mask = augment(image, mask, generator)
        image = image.contiguous(memory_format=torch.channels_last)
        with autocast(self.settings.precision, self.device):
            logits = self.model(image)
        return LOSSES[self.settings.loss](logits.float(), mask)

    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
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
