"""Training and validation of a network that segments scans into several structures, slice by slice."""

import torch
from torch import Tensor, nn

from fedward.evaluation import Evaluation, mean_dice, structure_details
from fedward.networks.checkpoint import Parameters, load_parameters
from fedward.training.augmentation import augment
from fedward.training.scan_slices import Slices
from fedward.training.segmentation import EVALUATION_BATCH, predict_logits
from fedward.training.structure_losses import LOSSES
from fedward.training.trainer import Trainer, autocast


class StructuresTrainer(Trainer):
    """Trains on slices with labels; `structures` are the names of labels 1, 2, ..."""

    train_images: Slices
    validation_images: Slices | None

    def __init__(self, *arguments: object, structures: tuple[str, ...]):
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.structures = structures

    def loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        image, target = self.batch(self.train_images, index)
        if self.settings.augment:
            # no mirror: the sides of a heart differ; labels are whole numbers, so that nothing is rounded
            image, moved = augment(image, target.unsqueeze(1).float(), generator, mirror=False)
            target = moved.squeeze(1).long()
        image = image.contiguous(memory_format=torch.channels_last)
        with autocast(self.settings.precision, self.device):
            logits = self.model(image)
        return LOSSES[self.settings.loss](logits.float(), target)

    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
        slices = self.validation_images if on == "validation" else self.train_images
        if slices is None:
            return None
        load_parameters(self.model, parameters)
        return evaluate_slices(self.model, slices, self.structures, self.device, self.settings.precision)[0]

    def batch(self, slices: Slices, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of the given slices on the device, float32 (B, 1, S, S) and int64 (B, S, S)."""
        image, labels = slices.image[index], labels_of(slices)[index]
        if self.device.type == "cuda":
            image, labels = image.pin_memory(), labels.pin_memory()
        to = {"device": self.device, "non_blocking": True}
        return image.to(**to).float(), labels.to(**to).long()


def labels_of(slices: Slices) -> Tensor:
    assert slices.labels is not None  # stack_scans was asked for them
    return slices.labels


def evaluate_slices(
    model: nn.Module, slices: Slices, structures: tuple[str, ...], device: torch.device, precision: str = "float32"
) -> tuple[Evaluation, Tensor]:
    """Mean cross entropy over all pixels, Dice of each structure pooled over all slices; and the most probable labels.

    The quality is the mean Dice over the structures that truth or prediction has, None where there is none. The labels
    are (N, S, S) uint8 on the CPU.
    """
    cost = torch.zeros((), dtype=torch.float64)
    counts = torch.zeros((len(structures), 3), dtype=torch.int64)
    labels, predicted = labels_of(slices), []
    for index in torch.arange(len(slices)).split(EVALUATION_BATCH):
        logits = predict_logits(model, slices.image[index], device, precision)
        target = labels[index].to(device, non_blocking=True)
        losses = nn.functional.cross_entropy(logits, target.long(), reduction="none")
        cost += losses.sum(dtype=torch.float64).cpu()
        predicted.append(logits.argmax(dim=1).to(torch.uint8))
        counts += structure_counts(predicted[-1], target, len(structures)).cpu()
    details = structure_details(dict(zip(structures, counts.tolist(), strict=True)))
    patients = {scan.patient for scan in slices.scans}
    evaluation = Evaluation(
        cost.item() / labels.numel(), mean_dice(details), len(slices), len(patients), details=details
    )
    return evaluation, torch.cat(predicted).cpu()


def structure_counts(predicted: Tensor, target: Tensor, structures: int) -> Tensor:
    """True positive, false positive and false negative pixels of labels 1 to `structures`: (structures, 3) int64."""
    rows = []
    for label in range(1, structures + 1):
        guess, truth = predicted == label, target == label
        rows.append(torch.stack([(guess & truth).sum(), (guess & ~truth).sum(), (~guess & truth).sum()]))
    return torch.stack(rows)
