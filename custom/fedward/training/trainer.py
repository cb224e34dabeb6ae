"""The training loop of a site's round: the code that every task and every mode (federated, central, local) calls.

A site's result depends on its data, the received parameters, the settings, its name, the round and the number of torch
threads, and on nothing else.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedward.errors import FedwardError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import Parameters, get_parameters, load_parameters
from fedward.networks.registry import build_network
from fedward.seeds import derive_seed
from fedward.settings import TrainingSettings
from fedward.training.optimizer import learning_rate, load_optimizer, make_optimizer, save_optimizer

LEAST_BATCH = 8  # images that a last batch of fine-tuning has at least


@dataclass(frozen=True)
class TrainingResult:
    """What a site has after training: its parameters, images it trained on, steps, seconds and mean training loss."""

    parameters: Parameters
    samples: int
    steps: int
    seconds: float
    loss: float


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


def epoch_batches(samples: int, settings: TrainingSettings) -> list[int]:
    """Sizes of one epoch's batches.

    Batch normalisation needs several images: of two, where the last feature map is a single place, every value becomes
    +1 or -1, and one such step can end a training. So in fine-tuning a last batch of fewer than 8 images, and than half
    a batch, joins the one before it. In a pretext all batches are of one size (a queue holds whole batches), so what is
    left over is dropped; another order, another rest. A site with less than a batch has one smaller batch.
    """
    sizes = [settings.batch_size] * (samples // settings.batch_size)
    rest = samples % settings.batch_size
    if not rest or (sizes and settings.task == "pretext"):
        return sizes
    few = 2 if settings.mode == "linear" else max(2, min(LEAST_BATCH, settings.batch_size // 2))
    if sizes and rest < few and settings.task == "classification":
        return [*sizes[:-1], sizes[-1] + rest]
    return [*sizes, rest]


def steps_per_round(samples: int, settings: TrainingSettings) -> int:
    """Optimiser steps a site with `samples` images takes in a round."""
    if settings.local_steps is not None:
        return settings.local_steps
    return (settings.local_epochs or 1) * len(epoch_batches(samples, settings))


def batches(samples: int, steps: int, sizes: list[int], generator: torch.Generator) -> Iterator[Tensor]:
    """`steps` batches of indices: one random order of all samples after the other, cut to `sizes`."""
    done = 0
    while done < steps:
        order = torch.randperm(samples, generator=generator)
        for batch in order[: sum(sizes)].split(sizes):
            if done == steps:
                return
            yield batch
            done += 1


class Trainer(ABC):
    """One site's images on one device, and the network that is trained on them. A task gives `loss` and `evaluate`.

    Parameters go in and come out as NumPy arrays. With `state_folder` the optimiser's state is kept there from one
    round to the next, as a training in one place does; a federated site starts afresh each round.
    """

    warnings: tuple[str, ...] = ()  # sentences for the report that training itself gives rise to
    rounds_done: int | None = None  # behind the model that is evaluated; None: all of them

    def __init__(
        self,
        site: str,
        train: Any,
        validation: Any | None,
        settings: TrainingSettings,
        rounds: int,
        seed: int,
        device: str = "auto",
        state_folder: Path | None = None,
    ):
        self.site = site
        self.settings = settings
        self.rounds = rounds
        self.seed = seed
        self.device = choose_device(device)
        self.train_images: Sized = train
        self.validation_images: Any = validation
        self.model = self.build()
        self.model.to(self.device, memory_format=torch.channels_last)
        self.state_folder = state_folder

    # --- what a task says -------------------------------------------------------------------------------------------

    def build(self) -> nn.Module:
        """The network whose parameters travel."""
        return build_network(self.settings.network, self.settings.network_args)

    @abstractmethod
    def loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of the training images at `index`, with its graph; random numbers come from `generator`."""

    @abstractmethod
    def evaluate(self, parameters: Parameters, on: str = "validation") -> Evaluation | None:
        """Measure `parameters` on the site's own validation (or training) images; None where there are none."""

    def load(self, parameters: Parameters) -> None:
        """Take up the received parameters."""
        load_parameters(self.model, parameters)

    def own_parameters(self) -> Parameters:
        """What goes back after training."""
        return get_parameters(self.model)

    def training_mode(self) -> None:
        self.model.train()

    def backward(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Leave the gradients of a step at the parameters; returns the loss without its graph."""
        loss = self.loss(index, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def begin(self, round_number: int, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        """Before the first step of a round."""
        if self.state_folder and round_number > 1:
            load_optimizer(self.state_folder, round_number - 1, optimizer)

    def after_step(self, progress: float) -> None:  # noqa: B027  (most tasks have nothing to do)
        """After each step; `progress` is the part of the whole run that is done, in (0, 1]."""

    def end(self, round_number: int, optimizer: torch.optim.Optimizer) -> None:
        """After the last step of a round, once its result was found to be finite."""
        if self.state_folder:
            save_optimizer(self.state_folder, round_number, optimizer)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def train(self, parameters: Parameters, round_number: int) -> TrainingResult:
        """Train from `parameters` for the settings' epochs or steps; FedwardError where it diverges or lacks memory."""
        try:
            return self._train(parameters, round_number)
        except torch.OutOfMemoryError as error:
            raise FedwardError(
                f"{self.site}, round {round_number}: {self.device} has too little memory for batches of "
                f"{self.settings.batch_size}: lower the batch size, the image size or the network's width"
            ) from error

    def _train(self, parameters: Parameters, round_number: int) -> TrainingResult:
        started = time.monotonic()
        settings = self.settings
        self.load(parameters)
        self.training_mode()
        optimizer = make_optimizer(self.model, settings, learning_rate(settings, round_number, self.rounds))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "train", self.site, round_number))
        self.begin(round_number, optimizer, generator)
        samples = len(self.train_images)
        steps = steps_per_round(samples, settings)
        total = torch.zeros((), device=self.device)
        for done, index in enumerate(batches(samples, steps, epoch_batches(samples, settings), generator), 1):
            optimizer.zero_grad(set_to_none=True)
            total += self.backward(index, generator)  # kept on the device: reading it would make the GPU wait
            optimizer.step()
            self.after_step((round_number - 1 + done / steps) / self.rounds)
        mean_loss = float(total) / steps
        if not math.isfinite(mean_loss):
            raise FedwardError(
                f"{self.site}, round {round_number}: the training loss is {mean_loss}; "
                f"lower the learning rate (now {settings.learning_rate}) or check the images with fedward check-data"
            )
        own = self.own_parameters()
        broken = [key for key, value in own.items() if not np.isfinite(value).all()]
        if broken:  # the last step can do this after a finite loss; such an update must not leave the site
            raise FedwardError(
                f"{self.site}, round {round_number}: training made {broken[0]} infinite or NaN; lower the learning rate"
            )
        self.end(round_number, optimizer)
        return TrainingResult(own, samples, steps, time.monotonic() - started, mean_loss)
