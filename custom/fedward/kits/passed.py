"""KIT/check.json: that a kit's check passed, and for which files. KitGuard starts nothing without it."""

import hashlib
import time
from pathlib import Path
from typing import Any

from fedward import __version__
from fedward.errors import FedwardError
from fedward.rounds.run_folder import read_json, write_json

FILE = "check.json"
FOLDERS = ("startup", "local")


def kit_files(root: Path) -> dict[str, str]:
    """SHA-256 of every file in startup/ and local/, by its path in the kit; hidden files (an editor's) are left out."""
    files = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and "__pycache__" not in name.parts and not any(p.startswith(".") for p in name.parts):
                files[name.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return files


def changes(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What is new, changed or gone, one text a file, in order of name."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            found.append(f"{name} is gone")
        elif name not in old:
            found.append(f"{name} is new")
        elif old[name] != new[name]:
            found.append(f"{name} was changed")
    return found


def write_passed(root: Path, versions: dict[str, str], warnings: int) -> None:
    """Record that the check passed for the files as they are now."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_json(
        root / FILE,
        {"passed": True, "time": when, "versions": versions, "warnings": warnings, "files": kit_files(root)},
    )


def write_failed(root: Path, problems: list[str]) -> None:
    """Record that the check failed; the files of the last passed one stay, to name what was changed since."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_json(root / FILE, {"passed": False, "time": when, "problems": problems, "files": last_files(root)})


def last_files(root: Path) -> dict[str, str]:
    """The files of the last passed check; empty where there was none."""
    try:
        files = read_json(root / FILE)["files"]
    except (FedwardError, OSError, KeyError, TypeError):
        return {}
    return dict(files) if isinstance(files, dict) else {}


def why_not_passed(root: Path) -> str:
    """Why the kit at `root` may not start: one sentence, or an empty text where its check passed for these files."""
    run = f"run: fedward check-kit {root}"
    path = root / FILE
    if not path.is_file():
        return f"this kit was never checked ({path} is missing): {run}"
    try:
        record: Any = read_json(path)
        passed, files, version = record["passed"] is True, dict(record["files"]), record.get("versions", {})
    except (FedwardError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return f"{path} is damaged: {run}"
    if not passed:
        return f"the last check of this kit failed ({record.get('time')}): {run}"
    if version.get("fedward") != __version__:
        return f"the kit was checked with fedward {version.get('fedward')}, installed is {__version__}: {run}"
    if found := changes(files, kit_files(root)):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return f"files of this kit changed since its last check ({', '.join(found[:3])}{more}): {run}"
    return ""
