"""The run folder: everything needed to report, predict and continue, without the job that made it.

RUN/run.json          name, state (running, finished, failed, interrupted), error, mode, environment, versions, times
RUN/settings.json     the job's settings as submitted
RUN/partition.json    who held what: patients and slices of each site (no paths)
RUN/rounds.jsonl      one record per round
RUN/models/           best and last global model: NAME.safetensors
RUN/state/            what the next round needs
RUN/spool/            results of the round under way
RUN/banks/            features that sites exchange, until the run is finished
RUN/test.json         evaluation of best and last on the test patients
RUN/report.html       written by `fedward report`
"""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from fedward.errors import FedwardError, UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RunFolder:
    """Names of the files in a run folder."""

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.run = self.root / "run.json"
        self.settings = self.root / "settings.json"
        self.partition = self.root / "partition.json"
        self.rounds = self.root / "rounds.jsonl"
        self.models = self.root / "models"
        self.state = self.root / "state"
        self.spool = self.root / "spool"
        self.banks = self.root / "banks"
        self.test = self.root / "test.json"
        self.report = self.root / "report.html"

    def finished(self) -> bool:
        return self.run.is_file() and read_json(self.run).get("state") == "finished"

    def model(self, name: str) -> Path:
        return self.models / f"{name}.safetensors"


def check_name(what: str, name: Any) -> str:
    """Return `name` if it can name a file on every system; UsageError otherwise (no separators, no leading dot)."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or ".." in name:
        raise UsageError(
            f"{what} {name!r} is not allowed: use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit, without '..' or '/'"
        )
    return name


def check_run_name(name: Any) -> str:
    """`name` if it can name a run's folder; UsageError otherwise."""
    return check_name("run name", name)


def existing_run(root: Path | str) -> RunFolder:
    """The run folder at `root`; an error that says how to make one where it is none."""
    folder = RunFolder(root)
    if not folder.run.is_file():
        raise FedwardError(f"{root} is no run folder (it has no run.json): give the folder that --out named")
    return folder


def unfinished(folder: RunFolder) -> str:
    """A sentence on a run that has not come to its end, whose models may become better; empty for one that has."""
    about = read_json(folder.run)
    if not isinstance(about, dict):
        raise FedwardError(f"{folder.run} holds no run: restore it or start a new run")
    if about.get("state") == "finished":
        return ""
    rounds = f"{about.get('rounds_done')} of {about.get('rounds')} rounds"
    return (
        f"the run in {folder.root} is not finished ({about.get('state')}, {rounds}); the command that began it goes on"
    )


def read_json(path: Path) -> Any:
    """Read a JSON file; FedwardError names the file where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FedwardError(f"{path} is missing: restore it from a copy, or begin anew") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FedwardError(f"{path} is not valid JSON ({error}): restore it from a copy, or begin anew") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write so that a reader sees the old file or the new one, never a part, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically. NaN and infinity are refused: an absent value is None."""
    write_bytes(path, json.dumps(value, indent=1, allow_nan=False).encode() + b"\n")
