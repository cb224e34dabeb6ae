"""Which model a prediction is made with, and what it can say."""

from pathlib import Path
from typing import Any

from fedward.errors import FedwardError, UsageError
from fedward.networks.families import is_encoder_alone
from fedward.networks.registry import CONTRAST, PRETEXT, task_of
from fedward.rounds.run_folder import existing_run


def model_path(model: Path, which: str) -> Path:
    """The model file: `model` itself, or the best or last model of a run folder. UsageError where it is neither."""
    if model.is_dir():
        return existing_run(model).model(which)
    if not model.is_file():
        raise UsageError(f"{model} does not exist: give a run folder or a .safetensors file")
    return model


def open_model(file: Path) -> tuple[Any, dict[str, Any], str]:
    """The network in evaluation mode, the file's metadata, and the task (`fedward.networks.registry`).

    FedwardError where the file is damaged, or holds an encoder, which predicts nothing by itself.
    """
    from fedward.networks.checkpoint import load_model

    model, metadata = load_model(file)
    network = metadata["network"]
    task = task_of(network)
    if task in (PRETEXT, CONTRAST) or is_encoder_alone(network, metadata["network_args"]):
        raise FedwardError(
            f"{file} holds an encoder ({network}), which predicts nothing by itself: register it with "
            "fedward register-weights, train a classification or segmentation from it, and give that run"
        )
    return model, metadata, task
