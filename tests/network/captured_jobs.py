"""Two jobs on a network of two hospitals, one of which records all that its processes send (capture/sitecustomize.py).

One job goes well; the other meets a broken image, whose name the site's sentence tells.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from captured import Message, leaving_messages, results
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.shareable import ReservedHeaderKey
from PIL import Image
from real_network import PROJECT, Network

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.datasets.phantoms import write_phantoms
from fedward.flare.session import status
from fedward.kits.leaving import Layout, layout
from fedward.kits.leaving_list import Rules
from fedward.kits.leaving_plan import scope_of
from fedward.kits.one_machine import fill_in, provision
from fedward.local_network import start_network
from fedward.networks.checkpoint import read_model
from fedward.preprocessing.cache import load_prepared
from fedward.rounds.run_folder import RunFolder, read_json

SITE, OTHER = "hospital-01", "hospital-02"
PIECE = 64  # bytes of an image that must be found nowhere


@dataclass(frozen=True)
class Captured:
    """Two finished jobs, their network stopped."""

    network: Network
    files: list[Path]  # what each process sent
    broken: Path  # the image that could not be read
    needles: dict[str, bytes]  # what must never leave
    rules: Rules
    received: Layout
    states: dict[str, str]  # job name -> status
    jobs: dict[str, str]  # job name -> job id

    @property
    def messages(self) -> list[Message]:
        return [message for file in self.files for message in leaving_messages(file, SITE)]

    @property
    def kit(self) -> Path:
        return self.network.kit(SITE)

    def results(self, name: str) -> list[Any]:
        """The task results of a job, in the order of sending."""
        sent = [result for file in self.files for result in results(leaving_messages(file, SITE))]
        return [result for result in sent if peer_properties(result)[ReservedKey.RUN_NUM] == self.jobs[name]]


def capture_jobs(root: Path) -> Captured:
    """Run both jobs in `root`, which takes about a minute; everything is stopped at the end."""
    sites, folder = root / "sites", root / "captured"
    (root / "images").mkdir()
    folder.mkdir()
    write_phantoms(root / "images", patients=8, slices=3, size=32, institutions=2)
    arguments = ["partition", "lgg", str(root / "images"), "--out", str(sites), "--sites", "2", "--workers", "1"]
    assert run_command(cli, arguments) == 0
    network = Network(root / "net", sites)
    kits = provision(network.root, PROJECT, network.port)
    fill_in(kits, sites, (SITE, OTHER), network.root, 1)
    with (kits / SITE / "local" / "environment.sh").open("a") as environment:
        hook = shlex.quote(str(Path(__file__).parent / "capture"))
        environment.write(f"export PYTHONPATH={hook} FEDWARD_CAPTURE={shlex.quote(str(folder))}\n")
    states, jobs = {}, {}
    start_network(network.root, sites, (SITE, OTHER), PROJECT, network.port)
    try:
        for name, rounds in (("good", "2"), ("broken", "1")):
            if name == "broken":
                needles, broken = _needles(sites), _break_an_image(sites / SITE)
            job = network.export(root, name, "--hospitals", "2", "--rounds", rounds)
            jobs[name] = network.submit(job)
            states[name] = status(network.until(jobs[name], "FINISHED"))
    finally:
        network.stop()
    _, rules, _ = scope_of(read_json(kits / SITE / "local" / "privacy.json"))
    model, _ = read_model(RunFolder(network.root / "runs" / "good").model("last"))
    return Captured(network, sorted(folder.iterdir()), broken, needles, rules, layout(model), states, jobs)


def _needles(sites: Path) -> dict[str, bytes]:
    """What only the hospital may know: names, folders, and a piece of each image in each form that it takes."""
    found = {
        "a patient": b"TCGA_",
        "the data folder": str(sites / SITE).encode(),
        "the cache": str(sites / "cache").encode(),
    }
    for path in sorted((sites / SITE).glob("*/*.tif")):
        if not path.stem.endswith("_mask"):
            found[f"file {path.name}"] = middle(path.read_bytes())
            found[f"pixels of {path.name}"] = middle(np.array(Image.open(path)).tobytes())
        name = path.parent.name
        for prepared in (sites / "cache").glob(f"{name}-*.npz"):
            image = load_prepared(prepared).image
            found[f"prepared {name}"] = middle(image.tobytes())
            found[f"prepared {name}, as the network gets it"] = middle(image.astype(np.float32).tobytes())
    return found


def middle(data: bytes) -> bytes:
    """A piece from the middle that no other file holds by chance."""
    begin = len(data) // 2 // PIECE * PIECE
    piece = data[begin : begin + PIECE]
    assert len(set(piece)) > 12, "an empty part of the picture: choose another place"
    return piece


def _break_an_image(folder: Path) -> Path:
    path = sorted(folder.glob("*/*_1.tif"))[0]
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.unlink()  # a hard link: the original stays
    path.write_bytes(half)
    return path


def peer_properties(result: Any) -> dict[str, Any]:
    """The public properties of the site's context, which FLARE adds to what it sends."""
    headers = result[ReservedHeaderKey.HEADERS]
    if ReservedHeaderKey.PEER_PROPS in headers:
        return dict(headers[ReservedHeaderKey.PEER_PROPS])
    return {name: prop["value"] for name, prop in headers[ReservedHeaderKey.PEER_CTX].props.items()}
