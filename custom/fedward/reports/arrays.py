"""Arrays that a run left beside its records."""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.errors import FedwardError


def read_arrays(path: Path, names: Collection[str], again: str) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file by name; FedwardError where it is missing, damaged or lacks one, with what to do again."""
    try:
        with np.load(path, allow_pickle=False) as file:
            absent = sorted(set(names) - set(file.files))
            if absent:
                raise FedwardError(f"{path} lacks {', '.join(absent)}: {again}")
            return {name: np.asarray(file[name]) for name in names}
    except FileNotFoundError:
        raise FedwardError(f"{path} is missing: {again}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FedwardError(f"{path} is damaged ({error}): {again}") from error
