"""The site's own file, `fedward.yml`: the folders, device and threads of one hospital or of the server.

    data_sets:          # data set name -> folder; {site} stands for the site's name
      lgg: /data/lgg
    cache: /data/cache  # preprocessed images
    threads: 1          # torch threads of one training process; 0 leaves torch's default
    device: auto        # auto, cpu, cuda or cuda:1
    runs: /data/runs    # server only: where run folders are made
    validation:         # server only, for cost_source server_validation: data set name -> folder
      lgg: /data/validation

A job names a data set and never a folder; this file is the only place that maps one to the other.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedward.errors import FedwardError, UsageError

FILE_NAME = "fedward.yml"
KEYS = {"data_sets", "cache", "threads", "device", "runs", "validation"}


@dataclass(frozen=True)
class SiteConfig:
    """What `fedward.yml` says, with {site} filled in."""

    source: str
    data_sets: dict[str, Path] = field(default_factory=dict)
    cache: Path | None = None
    threads: int = 1
    device: str = "auto"
    runs: Path | None = None
    validation: dict[str, Path] = field(default_factory=dict)

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
            raise FedwardError(f"data set {data_set!r} of {self.source} lies in {folder}, which is no folder")
        return folder

    def cache_folder(self) -> Path:
        if self.cache is None:
            raise FedwardError(f"{self.source} names no cache folder: add 'cache: FOLDER' there")
        return self.cache

    def runs_folder(self) -> Path:
        if self.runs is None:
            raise FedwardError(f"{self.source} names no folder for runs: add 'runs: FOLDER' there")
        return self.runs


def _folders(value: Any, where: str, site: str) -> dict[str, Path]:
    if not isinstance(value, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise UsageError(f"{where} must map data set names to folders")
    return {name: _folder(text, f"{where}.{name}", site) for name, text in value.items()}


def _folder(value: Any, where: str, site: str) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where} must be the path of a folder")
    path = Path(value.replace("{site}", site))
    if not path.is_absolute():
        raise UsageError(f"{where} must be an absolute path, not {value!r}")
    return path


def read_site_config(path: Path, site: str) -> SiteConfig:
    """Read and check a site's `fedward.yml`; UsageError names file and key."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FedwardError(
            f"{path} is missing: it maps data sets to this site's folders "
            "(in a simulation, make it with fedward simulator-workspace)"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold settings such as 'data_sets:' and 'cache:'")
    unknown = sorted(str(key) for key in set(values) - KEYS)
    if unknown:
        raise UsageError(f"{path}: unknown settings {', '.join(unknown)}; known are {', '.join(sorted(KEYS))}")
    threads = values.get("threads", 1)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
        raise UsageError(f"{path}: threads must be a whole number, 0 for torch's default, not {threads!r}")
    if not isinstance(values.get("device", "auto"), str):
        raise UsageError(f"{path}: device must be auto, cpu or cuda")
    return SiteConfig(
        source=str(path),
        data_sets=_folders(values.get("data_sets") or {}, f"{path}: data_sets", site),
        cache=_folder(values["cache"], f"{path}: cache", site) if "cache" in values else None,
        threads=threads,
        device=values.get("device", "auto"),
        runs=_folder(values["runs"], f"{path}: runs", site) if "runs" in values else None,
        validation=_folders(values.get("validation") or {}, f"{path}: validation", site),
    )
