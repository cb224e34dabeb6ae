"""Results on disk: one file a site, read back tensor by tensor, so that memory does not grow with the sites."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from fedward.rounds.run_folder import write_bytes

READ_AT_ONCE = 2**24  # bytes of an opened file that may be in memory before it is opened again


class SpooledUpdate(Mapping[str, NDArray[np.generic]]):
    """The parameters in one spooled file; each access reads that tensor alone.

    To open a file means to read its table of tensors: some 2 ms for the 700 of a DenseNet, so it stays open. What was
    read of an opened file stays in memory, so it is opened again from time to time.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = self._open()
        self._keys = frozenset(self._file.keys())
        self._read = 0

    def __getitem__(self, key: str) -> NDArray[np.generic]:
        if key not in self._keys:
            raise KeyError(key)
        if self._read > READ_AT_ONCE:
            self._file, self._read = self._open(), 0
        tensor: NDArray[np.generic] = self._file.get_tensor(key)
        self._read += tensor.nbytes
        return tensor

    def _open(self) -> Any:  # safetensors has no types
        return safe_open(self.path, framework="numpy")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._keys))

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
