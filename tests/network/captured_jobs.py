"""Two jobs on a network of two hospitals, one of which records all that its processes send.

One job goes well; the other meets a broken image, whose name the site's sentence tells.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from captured_site import RecordedSite, middle, recording, recording_network
from PIL import Image

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.datasets.phantoms import write_phantoms
from fedward.flare.session import status
from fedward.kits.leaving import Layout, layout
from fedward.networks.checkpoint import read_model
from fedward.preprocessing.cache import load_prepared
from fedward.rounds.run_folder import RunFolder

SITE, OTHER = "hospital-01", "hospital-02"


@dataclass(frozen=True)
class Captured(RecordedSite):
    """Two finished jobs, their network stopped."""

    broken: Path  # the image that could not be read
    received: Layout
    states: dict[str, str]  # job name -> status
    jobs: dict[str, str]  # job name -> job id


def capture_jobs(root: Path) -> Captured:
    """Run both jobs in `root`, which takes about a minute; everything is stopped at the end."""
    sites = root / "sites"
    (root / "images").mkdir()
    write_phantoms(root / "images", patients=8, slices=3, size=32, institutions=2)
    arguments = ["partition", "lgg", str(root / "images"), "--out", str(sites), "--sites", "2", "--workers", "1"]
    assert run_command(cli, arguments) == 0
    states, jobs = {}, {}
    with recording_network(root, sites, (SITE, OTHER), (SITE,)) as network:
        for name, rounds in (("good", "2"), ("broken", "1")):
            if name == "broken":
                needles, broken = _needles(sites), _break_an_image(sites / SITE)
            job = network.export(root, name, "--hospitals", "2", "--rounds", rounds)
            jobs[name] = network.submit(job)
            states[name] = status(network.until(jobs[name], "FINISHED"))
    model, _ = read_model(RunFolder(network.root / "runs" / "good").model("last"))
    return Captured(network, SITE, recording(root, SITE), needles, broken, layout(model), states, jobs)


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


def _break_an_image(folder: Path) -> Path:
    path = sorted(folder.glob("*/*_1.tif"))[0]
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.unlink()  # a hard link: the original stays
    path.write_bytes(half)
    return path
