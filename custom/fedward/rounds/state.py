"""What the next round needs, on disk: the last finished round, and the global model it ended with.

RUN/state/state.json              the `State` and the name and SHA-256 of the model's file
RUN/state/round-NNNN.safetensors  the global models of the last two finished rounds
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from fedward.errors import FedwardError
from fedward.networks.checkpoint import Parameters, read_model
from fedward.rounds.run_folder import RunFolder, read_json, write_bytes, write_json
from fedward.weighting.history import History

KEPT_MODELS = 2
TYPES = {"round": int, "model": str, "sha256": str, "history": dict, "fingerprint": str, "started": str}


@dataclass(frozen=True)
class State:
    """After `round` finished rounds: the costs weighting compares with, the settings' fingerprint, the run's start."""

    round: int
    history: History
    fingerprint: str
    started: str


def has_state(folder: RunFolder) -> bool:
    return (folder.state / "state.json").is_file()


def save_state(folder: RunFolder, state: State, model: bytes) -> None:
    """Write the model under its round's own name, then the state that names it, then drop older models."""
    path = folder.state / f"round-{state.round:04d}.safetensors"
    write_bytes(path, model)
    write_json(
        folder.state / "state.json",
        {
            "round": state.round,
            "model": path.name,
            "sha256": hashlib.sha256(model).hexdigest(),
            "history": state.history.to_dict(),
            "fingerprint": state.fingerprint,
            "started": state.started,
        },
    )
    kept = {f"round-{state.round - age:04d}.safetensors" for age in range(KEPT_MODELS)}
    for old in folder.state.glob("round-*.safetensors"):
        if old.name not in kept:
            old.unlink()


def read_state(folder: RunFolder) -> tuple[State, Parameters]:
    """The state and the model it names; FedwardError names the file that is missing or damaged."""
    path = folder.state / "state.json"
    values: Any = read_json(path)
    if not isinstance(values, dict) or not all(isinstance(values.get(k), kind) for k, kind in TYPES.items()):
        raise FedwardError(f"{path} is damaged: restore it from a copy, or begin anew under another name")
    model = folder.state / values["model"]
    if not model.is_file():
        raise FedwardError(f"{model} is missing: restore it from a copy, or begin anew under another name")
    if hashlib.sha256(model.read_bytes()).hexdigest() != values["sha256"]:
        raise FedwardError(f"{model} is damaged (its SHA-256 differs from state.json): restore it or begin anew")
    state = State(values["round"], History.from_dict(values["history"]), values["fingerprint"], values["started"])
    return state, read_model(model)[0]
