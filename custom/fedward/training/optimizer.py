"""The optimiser of a round: its learning rate, and its state on disk where a training keeps it between rounds."""

import io
import math
import pickle
from pathlib import Path

import torch
from torch import nn

from fedward.errors import FedwardError
from fedward.rounds.run_folder import write_bytes
from fedward.settings import TrainingSettings

KEPT_STATES = 2  # a round that is repeated after a crash needs the state of the one before


def learning_rate(settings: TrainingSettings, round_number: int, rounds: int) -> float:
    """The learning rate of a round (counted from 1) under the settings' schedule."""
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (round_number - 1) / rounds))


def make_optimizer(model: nn.Module, settings: TrainingSettings, rate: float) -> torch.optim.Optimizer:
    """A fresh optimiser of the model's parameters."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate)
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=settings.momentum)


def load_optimizer(folder: Path, round_number: int, optimizer: torch.optim.Optimizer) -> None:
    """Take up the state kept after `round_number`; the learning rate stays. FedwardError names a file it cannot use."""
    rates = [group["lr"] for group in optimizer.param_groups]
    path = _path(folder, round_number)
    try:
        optimizer.load_state_dict(torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise FedwardError(
            f"{path}, the optimiser after round {round_number}, is missing or damaged: begin anew"
        ) from error
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def save_optimizer(folder: Path, round_number: int, optimizer: torch.optim.Optimizer) -> None:
    """Keep the state after `round_number`, and drop those before the last."""
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    write_bytes(_path(folder, round_number), buffer.getvalue())
    kept = {_path(folder, round_number - age) for age in range(KEPT_STATES)}
    for path in set(folder.glob("optimizer-*.pt")) - kept:
        path.unlink()


def _path(folder: Path, round_number: int) -> Path:
    return folder / f"optimizer-{round_number:04d}.pt"
