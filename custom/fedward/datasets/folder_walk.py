"""The folders of a data set that has no layout of its own, in order and each once."""

import os
from collections.abc import Iterator
from pathlib import Path

from fedward.datasets.base import FileProblem

SYSTEM_FOLDER = "__macosx"


def walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(folder, names of its sub-folders, names of its files), sorted, of `root` and what is below it.

    Links to folders are followed, but not into a folder that stands here itself or was visited: no image counts twice,
    a patient has the name of the real folder, and circles end. Hidden sub-folders and those of an archive program are
    passed over.

    Raises FileProblem where a folder may not be read, or a name is not UTF-8: it could neither be written nor drawn by.
    """
    real: set[tuple[int, int]] = set()  # known once there is a link: a large folder without is walked once
    visited = {_identity(root)}
    for place, inner, names in os.walk(root, onerror=_refuse, followlinks=True):
        folder = Path(place)
        for name in (*inner, *names):
            _check_name(folder, name)
        kept = []
        for name in sorted(inner):
            if name.startswith(".") or name.lower() == SYSTEM_FOLDER:
                continue
            this, link = _identity(folder / name), (folder / name).is_symlink()
            if link:
                real = real or {_identity(Path(each)) for each, _, _ in os.walk(root)}
            if this not in visited and not (link and this in real):
                visited.add(this)
                kept.append(name)
        inner[:] = kept
        yield folder, kept, sorted(names)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode(errors="backslashreplace").decode()
        raise FileProblem(folder / shown, "unreadable name: it is not UTF-8", "rename it") from None


def _refuse(error: OSError) -> None:
    raise FileProblem(Path(error.filename or ""), f"unreadable: {error.strerror}", "check the folder's permissions")
