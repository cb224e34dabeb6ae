"""A job of contrastive pretraining at three hospitals: two exchange features, the third has not agreed to it.

The first and the third record all that their processes send.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from captured_site import RecordedSite, middle, recording, recording_network
from real_network import Network, fedward

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.datasets.scan_phantoms import write_acdc
from fedward.preprocessing.scan_cache import load_prepared_scan
from fedward.rounds.run_folder import RunFolder, read_json, write_json

SITE, OTHER, NOT_AGREED = "hospital-01", "hospital-02", "hospital-03"
HOSPITALS = (SITE, OTHER, NOT_AGREED)
MOST_ROWS, NOISE = 12, 0.05  # of the hospitals' own rule, and of the job
JOB = Path(__file__).parents[2] / "jobs" / "cardiac_contrastive" / "job.py"
LEAD, STUDY = "lead-cardiac@consortium.example", "cardiac"
TINY = [
    *["--image-size", "32", "--pixel-spacing", "2", "--features", "8", "--depth", "2", "--batch-size", "8"],
    *["--rounds", "2", "--round-deadline", "120", "--hospitals", "3", "--min-sites", "2"],
    *["--bank-size", str(MOST_ROWS), "--noise", str(NOISE)],
]


@dataclass(frozen=True)
class Exchanged:
    """The finished job, its network stopped."""

    site: RecordedSite
    not_agreed: RecordedSite
    job: str
    watched: str  # what fedward watch showed of it
    run: RunFolder  # at the server


def capture_exchange(root: Path) -> Exchanged:
    """Run the job in `root`; everything is stopped at the end."""
    sites = root / "sites"
    write_acdc(root / "images", patients=9, slices=5, size=32, institutions=1, workers=1, quiet=True)
    arguments = ["partition", "acdc", str(root / "images"), "--out", str(sites), "--sites", "3", "--workers", "1"]
    assert run_command(cli, arguments) == 0
    with recording_network(root, sites, HOSPITALS, (SITE, NOT_AGREED), _agree) as network:
        job = network.submit(network.export(root, "exchange", study=STUDY, job=JOB, tiny=TINY), LEAD, STUDY)
        watched = fedward("watch", job, "--startup-kit", network.kit(LEAD), "--study", STUDY, limit=300).stdout
    recorded = [
        RecordedSite(network, name, recording(root, name), _needles(sites, name)) for name in (SITE, NOT_AGREED)
    ]
    return Exchanged(*recorded, job, watched, RunFolder(network.root / "runs" / "exchange"))


def _agree(network: Network) -> None:
    """Two hospitals write their own rule for features; the third's kit stays as it is handed out."""
    for name in HOSPITALS:
        path = network.kit(name) / "local" / "privacy.json"
        values = read_json(path)
        for scope in values["scopes"]:
            arguments = scope["task_result_filters"][-1]["args"]
            del arguments["features"]  # what `fedward network start` agrees to for its hospitals
            if name != NOT_AGREED:
                arguments["features"] = {"max_rows": MOST_ROWS, "min_noise": NOISE}
        write_json(path, values)


def _needles(sites: Path, name: str) -> dict[str, bytes]:
    """What only the hospital may know: names, folders, and a piece of each slice in each form that it takes."""
    found = {
        "the data folder": str(sites / name).encode(),
        "the cache": str(sites / "cache").encode(),
        "a frame": b"_frame",
    }
    for path in sorted((sites / name).glob("*/*_frame??.nii.gz")):
        found[f"patient {path.parent.name}"] = path.parent.name.encode()
        for number, voxels in enumerate(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))):
            found[f"voxels of {path.name}, slice {number}"] = middle(voxels.tobytes())
        for prepared in (sites / "cache").glob(f"{path.parent.name}_*.npz"):
            scan = load_prepared_scan(prepared)
            for number, pixels in enumerate(scan.image):
                about = f"{scan.patient} {scan.frame}, slice {number}"
                found[f"prepared {about}"] = middle(pixels.tobytes())
                found[f"prepared {about}, as the network gets it"] = middle(pixels.astype(np.float32).tobytes())
    return found
