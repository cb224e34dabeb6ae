"""The site's own file, `fedward.yml`: the folders, device and threads of one hospital or of the server.

    data_sets:          # data set name -> folder; {site} stands for the site's name
      lgg: /data/lgg
    cache: /data/cache  # preprocessed images
    threads: 1          # torch threads of one training process; 0 leaves torch's default
    device: auto        # auto, cpu, cuda or cuda:1
    min_patients: 20    # with fewer training patients than this the site refuses to train
    studies: [brain]    # studies this site takes part in; without this key, any
    jobs_at_once: 1     # how many jobs this site runs at the same time
    runs: /data/runs    # server only: where run folders are made
    validation:         # server only, for cost_source server_validation: data set name -> folder
      lgg: /data/validation
    weights:            # server only: starting weights that jobs may name
      brain-v1: {file: /data/weights/brain-v1.safetensors, sha256: 0f3c...}

{site} stands for the site's name, {kit} for the folder of its startup kit (the one that holds local/).
A job names a data set and never a folder; this file is the only place that maps one to the other.
"""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedward.errors import DataError, FedwardError, UsageError

FILE_NAME = "fedward.yml"
Fill = Callable[[str], str]  # puts the site's name and kit folder into a path
KEYS = {
    "data_sets",
    "cache",
    "threads",
    "device",
    "min_patients",
    "studies",
    "jobs_at_once",
    "runs",
    "validation",
    "weights",
}
MOST_THREADS = 256  # torch takes any number, and a site with thousands comes to a standstill


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key stands once: of two, the loader would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode):
                if name.value in seen:
                    raise UsageError(f"{name.value} stands twice (again in line {name.start_mark.line + 1})")
                seen.add(name.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class RegisteredWeights:
    """A model file that jobs may start from, and the SHA-256 it must have."""

    file: Path
    sha256: str


@dataclass(frozen=True)
class SiteConfig:
    """What `fedward.yml` says, with {site} filled in."""

    source: str
    data_sets: dict[str, Path] = field(default_factory=dict)
    cache: Path | None = None
    threads: int = 1
    device: str = "auto"
    min_patients: int = 0
    studies: tuple[str, ...] | None = None
    jobs_at_once: int = 1
    runs: Path | None = None
    validation: dict[str, Path] = field(default_factory=dict)
    weights: dict[str, RegisteredWeights] = field(default_factory=dict)

    def data_folder(self, data_set: str) -> Path:
        """The folder of a data set; an error that says what to add where it is not configured or not there."""
        if data_set not in self.data_sets:
            known = ", ".join(sorted(self.data_sets)) or "none"
            raise FedwardError(
                f"data set {data_set!r} is not configured in {self.source} (configured: {known}): "
                f"add 'data_sets: {{{data_set}: FOLDER}}' there"
            )
        folder = self.data_sets[data_set]
        if not folder.is_dir():
            raise FedwardError(
                f"data set {data_set!r} of {self.source} lies in {folder}, which is no folder: mount it, or correct "
                "the path"
            )
        return folder

    def cache_folder(self) -> Path:
        if self.cache is None:
            raise FedwardError(f"{self.source} names no cache folder: add 'cache: FOLDER' there")
        return self.cache

    def validation_folder(self, data_set: str) -> Path:
        """The server's folder of validation images; an error that says how to make one where there is none."""
        folder = self.validation.get(data_set)
        if folder is None or not folder.is_dir():
            raise FedwardError(
                f"cost_source server_validation needs a folder of validation images at the server: {self.source} says "
                f"{folder} (lay one out with fedward partition --server-patients N)"
            )
        return folder

    def check_enough(self, site: str, patients: int) -> None:
        """DataError where a site has fewer training patients than its own file asks for."""
        if patients < self.min_patients:
            raise DataError(
                f"{site}: {patients} training patients, and {self.source} asks for min_patients {self.min_patients} "
                "at least: this site does not train on so few; add patients, or leave it out of the run"
            )

    def registered_weights(self, name: str) -> RegisteredWeights:
        if name not in self.weights:
            known = ", ".join(["random", *sorted(self.weights)])
            raise FedwardError(
                f"starting weights {name!r} are not registered in {self.source} (known: {known}): register them with "
                "fedward register-weights"
            )
        return self.weights[name]

    def runs_folder(self) -> Path:
        if self.runs is None:
            raise FedwardError(f"{self.source} names no folder for runs: add 'runs: FOLDER' there")
        return self.runs


def _folders(value: Any, where: str, fill: Fill) -> dict[str, Path]:
    if not isinstance(value, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise UsageError(f"{where} must map data set names to folders")
    return {name: _folder(text, f"{where}.{name}", fill) for name, text in value.items()}


def _folder(value: Any, where: str, fill: Fill) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where} must be a path")
    path = Path(fill(value))
    if not path.is_absolute():
        raise UsageError(f"{where} must be an absolute path, not {value!r}")
    return path


def _count(values: dict[str, Any], key: str, default: int, least: int, path: Path, most: int | None = None) -> int:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{path}: {key} must be a whole number of at least {least}, not {value!r}")
    if most is not None and value > most:
        raise UsageError(f"{path}: {key} must be {most} at most, not {value}")
    return value


def _studies(value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise UsageError(f"{path}: studies must be a list of study names")
    return tuple(value)


def _weights(value: Any, where: str, fill: Fill) -> dict[str, RegisteredWeights]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} must map names to 'file' and 'sha256'")
    registered = {}
    for name, entry in value.items():
        if not isinstance(entry, dict) or set(entry) != {"file", "sha256"}:
            raise UsageError(f"{where}.{name} must give 'file' and 'sha256', and nothing else")
        digest = entry["sha256"]
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise UsageError(f"{where}.{name}: sha256 must be 64 hexadecimal digits in quotes (sha256sum FILE)")
        registered[str(name)] = RegisteredWeights(_folder(entry["file"], f"{where}.{name}.file", fill), digest)
    return registered


def read_site_config(path: Path, site: str) -> SiteConfig:
    """Read and check a site's `fedward.yml`; UsageError names file and key."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # a SafeLoader
    except FileNotFoundError:
        in_a_kit = (path.parent / "network.json").is_file()
        how = "take it from the kit again" if in_a_kit else "in a simulation, make it with fedward simulator-workspace"
        raise FedwardError(f"{path} is missing: it maps data sets to this site's folders ({how})") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold settings such as 'data_sets:' and 'cache:'")
    unknown = sorted(str(key) for key in set(values) - KEYS)
    if unknown:
        raise UsageError(f"{path}: unknown settings {', '.join(unknown)}; known are {', '.join(sorted(KEYS))}")
    kit = str(path.resolve().parent.parent)

    def fill(text: str) -> str:
        return text.replace("{site}", site).replace("{kit}", kit)

    if not isinstance(values.get("device", "auto"), str):
        raise UsageError(f"{path}: device must be auto, cpu or cuda")
    return SiteConfig(
        source=str(path),
        data_sets=_folders(values.get("data_sets") or {}, f"{path}: data_sets", fill),
        cache=_folder(values["cache"], f"{path}: cache", fill) if "cache" in values else None,
        threads=_count(values, "threads", 1, 0, path, MOST_THREADS),
        device=values.get("device", "auto"),
        min_patients=_count(values, "min_patients", 0, 0, path),
        studies=_studies(values["studies"], path) if "studies" in values else None,
        jobs_at_once=_count(values, "jobs_at_once", 1, 1, path),
        runs=_folder(values["runs"], f"{path}: runs", fill) if "runs" in values else None,
        validation=_folders(values.get("validation") or {}, f"{path}: validation", fill),
        weights=_weights(values.get("weights") or {}, f"{path}: weights", fill),
    )
