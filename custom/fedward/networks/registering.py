"""Make a file of starting weights from a run, a model or a torchvision file, and register it by name and SHA-256."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedward.datasets.layout import read_partition
from fedward.errors import FedwardError, UsageError
from fedward.networks.checkpoint import load_model, read_model
from fedward.networks.encoder import save_encoder
from fedward.networks.families import is_encoder_alone
from fedward.networks.registry import SEGMENTATION, STRUCTURES, TASKS
from fedward.networks.starting import check_finite
from fedward.networks.torchvision_weights import save_torchvision_encoder
from fedward.networks.weights_entry import with_entry
from fedward.rounds.run_folder import check_name, existing_run, read_json, write_bytes, write_json
from fedward.settings import RANDOM
from fedward.simulation import WEIGHTS, own_weights
from fedward.site_config import FILE_NAME, read_site_config

FOLDER = "weights"  # in the folder of the sites or the server's kit
TORCH_FILES = (".pth", ".pt")


@dataclass(frozen=True)
class Registered:
    """What was registered: its name, the list that names it, its file, SHA-256, number of tensors and metadata."""

    name: str
    listed_in: Path
    file: Path
    sha256: str
    tensors: int
    metadata: dict[str, Any]


def register_in_sites(name: str, source: Path, which: str, sites: Path, replace: bool) -> list[Registered]:
    """Register for simulations with the sites in `sites`: SITES/weights/NAME.safetensors and SITES/weights.json.

    Of a run in which each hospital trained alone, each hospital's weights as its own.
    """
    _check_weights_name(name)
    read_partition(sites)
    listed_in = sites / WEIGHTS
    entries = read_json(listed_in) if listed_in.is_file() else {}
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise FedwardError(f"{listed_in} must map names to 'file' and 'sha256': restore it, or remove it")
    sources = _sources(name, source)
    if others := [known for known in entries if known.partition("@")[0] == name and known not in sources]:
        raise UsageError(
            f"{name} is the name of other weights ({others[0]}), of all hospitals together or of each alone: choose "
            "another name"
        )
    registered = []
    for own, path in sources.items():
        data, metadata, tensors = _weights(path, which)
        file = sites / FOLDER / f"{own}.safetensors"
        sha256 = _write(own, data, file, entries.get(own, {}).get("sha256"), replace)
        entries[own] = {"file": f"{FOLDER}/{file.name}", "sha256": sha256}
        registered.append(Registered(own, listed_in, file, sha256, tensors, metadata))
    write_json(listed_in, entries)
    return registered


def _sources(name: str, source: Path) -> dict[str, Path]:
    """What is registered, and where it lies: one thing, or a part for each hospital of a run with --mode local."""
    if source.is_dir():
        run = existing_run(source)
        if read_json(run.run).get("mode") == "local":
            return {own_weights(name, site): source / site for site in read_json(run.settings)["sites"]}
    return {name: source}


def register_in_kit(name: str, source: Path, which: str, kit: Path, replace: bool) -> Registered:
    """Register at a server: KIT/weights/NAME.safetensors, and the entry in KIT/local/fedward.yml."""
    from fedward.kits.kit import open_kit

    _check_weights_name(name)
    if list(_sources(name, source)) != [name]:
        raise UsageError(
            f"{source} is a run of hospitals alone (--mode local), which a network has no use for: give a federated "
            "run, or the folder of one of its hospitals"
        )
    opened = open_kit(kit)
    if opened.role != "server":
        raise UsageError(f"{kit} is the kit of {opened.name}: starting weights are registered in the server's kit")
    listed_in = (opened.local / FILE_NAME).resolve()
    known = read_site_config(opened.local / FILE_NAME, opened.name).weights.get(name)
    data, metadata, tensors = _weights(source, which)
    file = opened.root / FOLDER / f"{name}.safetensors"
    text = listed_in.read_bytes().decode()
    sha256 = _sha256(data)
    try:
        changed = with_entry(text, name, f"{{kit}}/{FOLDER}/{file.name}", sha256)
    except FedwardError as error:
        raise FedwardError(f"{listed_in} is left as it was: {error}") from error
    _write(name, data, file, known.sha256 if known else None, replace)
    mode = listed_in.stat().st_mode
    write_bytes(listed_in, changed.encode())
    os.chmod(listed_in, mode)
    return Registered(name, listed_in, file, sha256, tensors, metadata)


def _check_weights_name(name: str) -> None:
    check_name("the name of starting weights", name)
    if name == RANDOM:
        raise UsageError(f"{RANDOM!r} means random starting weights in a job: choose another name")


def _write(name: str, data: bytes, file: Path, known: str | None, replace: bool) -> str:
    """Write the weights' file unless the name belongs to others; its SHA-256."""
    sha256 = _sha256(data)
    if known not in (None, sha256) and not replace:
        raise UsageError(
            f"{name} is registered with SHA-256 {known}, these weights have {sha256}: choose another name, or give "
            "--replace (runs that began with the old ones can then not be repeated)"
        )
    write_bytes(file, data)
    return sha256


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _weights(source: Path, which: str) -> tuple[bytes, dict[str, Any], int]:
    """A model file's bytes, its metadata and number of tensors, made from `source`; the same source, the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "weights.safetensors"
        _convert(existing_run(source).model(which) if source.is_dir() else source, out)
        parameters, metadata = read_model(out)
        check_finite(parameters)
        return out.read_bytes(), metadata, len(parameters)


def _convert(source: Path, out: Path) -> None:
    if source.suffix in TORCH_FILES:
        save_torchvision_encoder(source, out)
    elif source.suffix != ".safetensors":
        raise UsageError(f"{source} is no run folder, .safetensors model or torchvision .pth file")
    elif _kept_whole(read_model(source)[1]):
        load_model(source)  # it must fit the network that it names
        write_bytes(out, source.read_bytes())
    else:
        save_encoder(source, out)


def _kept_whole(metadata: dict[str, Any]) -> bool:
    """A U-Net is started from as a whole; an encoder file keeps its SHA-256 wherever it is registered."""
    network = metadata["network"]
    return TASKS.get(network) in (SEGMENTATION, STRUCTURES) or is_encoder_alone(network, metadata["network_args"])
