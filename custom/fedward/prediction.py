"""Which model a prediction is made with, what it can say, and which files were not read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedward.errors import DataError, FedwardError, UsageError
from fedward.networks.families import is_encoder_alone
from fedward.networks.registry import CONTRAST, PRETEXT, task_of
from fedward.rounds.run_folder import existing_run

MOST_NAMED = 20  # unreadable files in an error


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


def none_readable(unreadable: Sequence[str], what: str, source: Path) -> DataError:
    """The error that ends a prediction where no file of `source` can be read; `what` are they, such as images."""
    if len(unreadable) == 1:
        return DataError(unreadable[0])
    return DataError(f"none of the {len(unreadable)} {what} in {source} can be read:\n{_listed(unreadable)}")


def raise_unreadable(unreadable: Sequence[str], read: int, what: str, source: Path, written: Path) -> None:
    """DataError that names the files which could not be read, while `read` others were; nothing where all could."""
    if unreadable:
        raise DataError(
            f"{len(unreadable)} of {len(unreadable) + read} {what} in {source} were not read; the others are in "
            f"{written}:\n{_listed(unreadable)}"
        )


def _listed(problems: Sequence[str]) -> str:
    more = len(problems) - MOST_NAMED
    lines = [f"  {problem}" for problem in problems[:MOST_NAMED]]
    return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
