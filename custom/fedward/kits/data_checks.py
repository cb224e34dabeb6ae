"""Checks of the data sets that a site's fedward.yml names: the same reader as `fedward check-data` and training."""

import hashlib
import json
import os
from pathlib import Path

from fedward import __version__
from fedward.datasets.base import CheckResult
from fedward.datasets.layout import read_split
from fedward.datasets.registry import get_data_set
from fedward.errors import FedwardError
from fedward.kits.finding import Finding, ok, problem, warning
from fedward.rounds.run_folder import read_json, write_json
from fedward.site_config import SiteConfig

FEW = 20  # entries of a folder that are read sooner than a pool of processes has started


def check_data_sets(config: SiteConfig, remembered: bool, workers: int = 0) -> list[Finding]:
    """One finding for each data set of fedward.yml, and one for each whose training patients are too few.

    With `remembered`, a folder whose file names, sizes and times are those of the last full check is not read again.
    """
    if not config.data_sets and not config.runs:
        return [warning("data sets", "fedward.yml names none: every job is refused here", "add 'data_sets:' there")]
    findings: list[Finding] = []
    few: list[Finding] = []
    for name, folder in sorted(config.data_sets.items()):
        findings += _data_set(f"data set {name}", name, folder, config.cache, remembered, workers)
        if findings[-1].level != "problem" and config.min_patients:
            (findings if (found := _enough(name, folder, config.min_patients)).level == "ok" else few).append(found)
    if few and len(few) == len(config.data_sets):
        few = [problem(one.name, one.text, one.fix) for one in few]  # nothing is left that the site could do
    for name, folder in sorted(config.validation.items()):
        findings += _data_set(f"validation set {name}", name, folder, config.cache, remembered, workers)
    return [*findings, *few]


def _data_set(title: str, name: str, folder: Path, cache: Path | None, remembered: bool, workers: int) -> list[Finding]:
    try:
        get_data_set(name)
    except FedwardError as error:
        return [problem(title, str(error), "correct the name in local/fedward.yml")]
    if not folder.is_dir():
        fix = "mount or make it, or correct the path in local/fedward.yml"
        return [problem(title, f"{folder} is no folder (or may not be read)", fix)]
    read_again = f"fedward check-data {name} {folder}"
    try:
        result, earlier = _checked(name, folder, cache, remembered, workers)
    except (FedwardError, OSError) as error:
        return [problem(title, f"{folder}: {error}", read_again)]
    counts = f"{folder}: {result['patients']} patients, {result['images']} images"
    again = " (checked before, unchanged since)" if earlier else ""
    if errors := result["errors"]:
        return [problem(title, f"{counts}, {errors} errors, such as: {result['first']}", f"see all: {read_again}")]
    if warnings := result["warnings"]:
        text = f"{counts}, no errors, {warnings} warnings, such as: {result['first']}{again}"
        return [warning(title, text, f"see all: {read_again}")]
    return [ok(title, f"{counts}{again}")]


def _enough(name: str, folder: Path, least: int) -> Finding:
    title = f"patients of {name}"
    try:
        training = len(read_split(folder, get_data_set(name).find_patients(folder), seed=0).train)
    except FedwardError as error:
        return problem(title, str(error), f"see: fedward check-data {name} {folder}")
    if training < least:
        text = f"{training} training patients, min_patients asks for {least}: jobs on {name} are refused here"
        return warning(title, text, "add patients; min_patients in local/fedward.yml is the hospital's own decision")
    return ok(title, f"{training} for training, at least {least} asked for")


def _checked(
    name: str, folder: Path, cache: Path | None, remembered: bool, workers: int
) -> tuple[dict[str, int | str], bool]:
    """Counts and first fault of the folder; True where they are those of an earlier check."""
    memory = cache / f"checked-{name}.json" if cache else None
    state = folder_fingerprint(folder) if memory else ""
    if remembered and memory and memory.is_file():
        try:
            last = read_json(memory)
            if last["state"] == state:
                return last["result"], True
        except (FedwardError, KeyError, TypeError):
            pass  # damaged: check again
    few = sum(1 for _ in folder.iterdir()) < FEW
    result = _summary(get_data_set(name).check(folder, 1 if few else workers, False))
    if memory and not result["errors"]:
        try:
            memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_json(memory, {"state": state, "result": result})
        except OSError:
            pass  # a cache that cannot be written has its own line
    return result, False


def _summary(result: CheckResult) -> dict[str, int | str]:
    first = result.problems[0] if result.problems else None
    return {
        "patients": result.patients,
        "images": result.images,
        "errors": result.errors,
        "warnings": len(result.problems) - result.errors,
        "first": f"{Path(first.path).name}: {first.reason}" if first else "",
    }


def folder_fingerprint(folder: Path) -> str:
    """SHA-256 over path, size and time of every file below `folder` (links followed), and fedward's version."""
    digest = hashlib.sha256(f"{__version__} {folder.resolve()}".encode())
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(parent, name)
            try:
                about = os.stat(path)
                digest.update(json.dumps([path, about.st_size, about.st_mtime_ns]).encode())
            except OSError:
                digest.update(json.dumps([path, None]).encode())
    return digest.hexdigest()
