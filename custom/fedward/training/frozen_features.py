"""Features of a frozen encoder, computed once and kept in the site's cache."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from fedward.errors import FedwardError
from fedward.networks.checkpoint import Parameters, digest
from fedward.rounds.run_folder import read_json, write_bytes, write_json

ENCODER = "features."


def encoder_digest(parameters: Parameters) -> str:
    """SHA-256 over every tensor of the encoder."""
    return digest({key: value for key, value in parameters.items() if key.startswith(ENCODER)})


class FeatureStore:
    """Features of one site's images by the encoder that made them.

    `images` names what they were made of (images, split, crop, precision), `run` the run that is under way: a site that
    is restarted in it has not the encoder any more, but finds its features.
    """

    def __init__(self, cache: Path | None, images: str, run: str):
        self.folder = cache / "features" if cache else None
        self.images = hashlib.sha256(images.encode()).hexdigest()
        self.run = run

    def get(self, encoder: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The features of the encoder with this digest, from the cache or else computed and kept there."""
        if self.folder is None:
            return compute()
        name = f"{hashlib.sha256(f'{encoder} {self.images}'.encode()).hexdigest()}.safetensors"
        features = self._read(name)
        if features is None:
            features = compute()
            self._write(name, features)
        self._note(name)
        return features

    def of_this_run(self) -> dict[str, Tensor]:
        """The features that the run under way began with; FedwardError where they are lost."""
        features = None
        if self.folder is not None and (note := self.folder / f"{self.run}.json").is_file():
            features = self._read(str(read_json(note).get("file")))
        if features is None:
            raise FedwardError(
                "the features of the frozen encoder are not in this site's cache any more, and the encoder came with "
                "the first round: the server sends it again in the next one"
            )
        return features

    def _read(self, name: str) -> dict[str, Tensor] | None:
        from safetensors import SafetensorError
        from safetensors.torch import load

        assert self.folder is not None
        try:
            return dict(load((self.folder / name).read_bytes()))
        except (OSError, SafetensorError):
            return None  # not there, or damaged: made again

    def _write(self, name: str, features: Mapping[str, Tensor]) -> None:
        from safetensors.torch import save

        assert self.folder is not None
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(self.folder / name, save({key: value.contiguous() for key, value in features.items()}))
        except OSError as error:
            raise FedwardError(
                f"the features of the frozen encoder cannot be kept in {self.folder} ({error.strerror or error}): "
                "free space there or name another cache"
            ) from error

    def _note(self, name: str) -> None:
        assert self.folder is not None
        write_json(self.folder / f"{self.run}.json", {"file": name})
