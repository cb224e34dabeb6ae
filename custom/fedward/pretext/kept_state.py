"""A method's private state on the site's disk, where it is kept from one round to the next."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fedward.errors import FedwardError
from fedward.rounds.run_folder import write_bytes
from fedward.training.optimizer import KEPT_STATES


def has_private(folder: Path, round_number: int) -> bool:
    """Whether a state was kept after `round_number`."""
    return _path(folder, round_number).is_file()


def load_private(folder: Path, round_number: int) -> dict[str, Tensor]:
    """The state kept after `round_number`; FedwardError names a file that is missing or damaged."""
    path = _path(folder, round_number)
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise FedwardError(
            f"{path}, the private state after round {round_number}, is missing or damaged: begin anew"
        ) from error


def save_private(folder: Path, round_number: int, state: Mapping[str, Tensor]) -> None:
    """Keep the state after `round_number`, and drop those before the last."""
    write_bytes(_path(folder, round_number), save({key: value.contiguous() for key, value in state.items()}))
    kept = {_path(folder, round_number - age) for age in range(KEPT_STATES)}
    for path in set(folder.glob("private-*.safetensors")) - kept:
        path.unlink()


def _path(folder: Path, round_number: int) -> Path:
    return folder / f"private-{round_number:04d}.safetensors"
