"""Two hospitals and the coordinator on a real network, for jobs on chest X-rays; one hospital and the coordinator
record all that their processes send."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from captured_site import RecordedSite, middle, record, recording, recording_network
from real_network import Network, command, fedward
from safetensors.numpy import load_file
from small_network import until

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.kits.one_machine import fill_in
from fedward.kits.processes import Processes
from fedward.rounds.record import Record, read_records
from fedward.rounds.run_folder import RunFolder
from fedward.simulation import COORDINATOR
from processes import words

JOBS = Path(__file__).parents[2] / "jobs"
PRETRAINING, CLASSIFICATION = (JOBS / name / "job.py" for name in ("cxr_pretraining", "cxr_classification"))
LEAD, STUDY = "lead-cxr@consortium.example", "chest-x-ray"
HOSPITALS = ("hospital-01", "hospital-02")
TINY = ["--image-size", "36", "--growth-rate", "4", "--batch-size", "8", "--round-deadline", "120"]
LIMIT = 180.0  # seconds of one job
LARGE = 1024  # bytes of a tensor that is looked for


@dataclass(frozen=True)
class Done:
    """A job that came to its end on the network."""

    job: str
    out: RunFolder  # where its lead has it
    shown: str  # what the lead saw of it


@dataclass(frozen=True)
class PretrainingNetwork:
    network: Network
    root: Path
    hospitals: Path  # from fedward partition
    public: Path  # the coordinator's, likewise

    def run(self, name: str, *options: str) -> Done:
        """A pretraining at the coordinator by job.py with the lead's kit, without an image at hand."""
        out = RunFolder(self.root / "out" / name)
        arguments = [*TINY, *options, "--env", "prod", "--startup-kit", self.network.kit(LEAD), "--out", out.root]
        done = command(sys.executable, PRETRAINING, *arguments, limit=LIMIT)
        assert done.returncode == 0, done.stdout
        return Done(done.stdout.partition("Submitted job ")[2].partition(":")[0], out, done.stdout)

    def submit(self, name: str, job: Path, *options: str) -> str:
        """The id of a job whose folder is exported first."""
        folder = self.network.export(self.root / "jobs", name, *options, study=STUDY, job=job, tiny=TINY)
        return self.network.submit(folder, LEAD, STUDY)

    def watch(self, name: str, job: str) -> Done:
        """Until the job has ended, and its run folder is here."""
        out = RunFolder(self.root / "out" / name)
        place = ["--startup-kit", self.network.kit(LEAD), "--study", STUDY, "--out", out.root]
        done = fedward("watch", job, *place, limit=LIMIT)
        assert done.returncode == 0, done.stdout
        return Done(job, out, done.stdout)

    def loop(self, name: str, job: Path, sites: Path, *options: str) -> RunFolder:
        """The same without a network: the plain loop."""
        out = RunFolder(self.root / "loop" / name)
        place = ["--sites", sites, "--out", out.root, "--env", "loop", "--threads", "1", "--device", "cpu"]
        done = command(sys.executable, job, *TINY, *options, *place, limit=LIMIT)
        assert done.returncode == 0, done.stdout
        return out

    def records(self, name: str) -> list[Record]:
        """Of the rounds that are finished at the server."""
        rounds = RunFolder(self.network.root / "runs" / name).rounds
        return read_records(rounds) if rounds.is_file() else []

    def state(self, name: str, round_number: int) -> Path | None:
        """The private state that the coordinator has kept after a round of a run, on this machine's disk."""
        found = list(self.public.glob(f"cache/state/{name}-*/{COORDINATOR}/private-{round_number:04d}.safetensors"))
        return found[0] if found else None

    def process(self, job: str) -> psutil.Process:
        """The coordinator's process of this job, once it runs."""

        def running() -> list[psutil.Process]:
            family = self.network.processes()[COORDINATOR].children(recursive=True)
            return [process for process in family if job in words(process)]

        return until(running, 90, "the coordinator's process of the job")[0]

    def recorded(self, name: str, needles: dict[str, bytes]) -> RecordedSite:
        return RecordedSite(self.network, name, recording(self.root, name), needles)


def state_needles(state: Path) -> dict[str, bytes]:
    """A piece of each large tensor of a private state: queue, and layers of the momentum network."""
    tensors = {name: value for name, value in load_file(state).items() if value.ndim > 1 and value.nbytes >= LARGE}
    return {f"{name} in {state.name}": middle(value.tobytes()) for name, value in tensors.items()}


@contextmanager
def pretraining_network(root: Path) -> Iterator[PretrainingNetwork]:
    """Laid out and started in `root`; all of it is stopped at the end."""
    images, hospitals, public = (root / name for name in ("images", "hospitals", "public"))
    _lay_out("phantoms", "chestxray14", images, "--patients", 24, "--size", 40, "--institutions", 3, "--seed", 2)
    _lay_out("partition", "chestxray14", images, "--out", hospitals, "--sites", 2, "--by", "iid", "--fold", 1)
    probe = f"chestxray14={images}"
    _lay_out("partition", "image_folder", images / "images", "--out", public, "--coordinator", "--probe", probe)

    def prepare_coordinator(network: Network) -> None:
        fill_in(network.kits, public, (COORDINATOR,), network.root, 1)
        record(network.kit(COORDINATOR), recording(root, COORDINATOR))

    with recording_network(root, hospitals, HOSPITALS, HOSPITALS[:1], prepare_coordinator) as network:
        Processes(network.root).start(network.kit(COORDINATOR))
        until(lambda: "Successfully registered" in network.log(COORDINATOR), 90, "the coordinator's registration")
        yield PretrainingNetwork(network, root, hospitals, public)


def _lay_out(*arguments: object) -> None:
    words: Sequence[str] = [str(argument) for argument in arguments]
    assert run_command(cli, words) == 0
