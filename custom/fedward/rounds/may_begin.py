"""Whether a run folder is free for a run, or holds that very run, unfinished."""

from collections.abc import Iterable
from typing import Any

from fedward.errors import FedwardError, UsageError
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.rounds.state import has_state, read_state
from fedward.settings import RunSettings


def check_may_begin(settings: RunSettings, folder: RunFolder) -> None:
    """UsageError or FedwardError unless `folder` is free for a new run, or holds this very one, unfinished."""
    if not has_state(folder):
        if folder.run.exists():
            raise FedwardError(f"{folder.root} holds another run: choose another name or remove that folder")
        return
    if folder.finished():
        raise UsageError(f"the run in {folder.root} is finished: choose another name or remove that folder")
    state, _ = read_state(folder)
    if state.fingerprint != settings.fingerprint():
        changed = _differences(read_json(folder.settings), settings.to_dict())
        raise UsageError(
            f"{folder.root} was begun with other settings ({', '.join(changed)}): "
            "use the same settings to go on, or another name to begin anew"
        )


def _differences(old: Any, new: Any, path: str = "") -> Iterable[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found: list[str] = []
        for key in sorted(set(old) | set(new)):
            found += _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if old == new else [f"{path}: {old!r} before, {new!r} now"]
