"""Results on disk: one file a site, read back tensor by tensor, so that memory does not grow with the sites."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from fedward.rounds.run_folder import write_bytes


class SpooledUpdate(Mapping[str, NDArray[np.generic]]):
    """The parameters in one spooled file; each access reads that tensor alone."""

    def __init__(self, path: Path):
        self.path = path
        with safe_open(path, framework="numpy") as file:
            self._keys = tuple(file.keys())

    def __getitem__(self, key: str) -> NDArray[np.generic]:
        if key not in self._keys:
            raise KeyError(key)
        with safe_open(self.path, framework="numpy") as file:
            tensor: NDArray[np.generic] = file.get_tensor(key)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class Spool:
    """The results of the round under way, in a folder of their own."""

    def __init__(self, root: Path):
        self.root = root

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def clear(self) -> None:
        self.remove()
        self.root.mkdir(parents=True)

    def put(self, site: str, parameters: Mapping[str, NDArray[np.generic]]) -> None:
        """Keep a site's parameters; a second result of the same site replaces the first."""
        contiguous = {k: np.ascontiguousarray(v).reshape(np.shape(v)) for k, v in parameters.items()}
        write_bytes(self.root / f"{site}.safetensors", save(contiguous))

    def get(self, site: str) -> SpooledUpdate:
        return SpooledUpdate(self.root / f"{site}.safetensors")
