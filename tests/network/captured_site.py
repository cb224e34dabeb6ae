"""A network some of whose hospitals record what their processes send (capture/sitecustomize.py), read afterwards."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
from captured import SOCKET, Message, entries, leaving_messages, results
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.shareable import ReservedHeaderKey
from real_network import PROJECT, Network

from fedward.kits.leaving_list import Rules
from fedward.kits.leaving_plan import scope_of
from fedward.kits.one_machine import fill_in, provision
from fedward.kits.processes import Processes
from fedward.local_network import start_network
from fedward.rounds.run_folder import read_json

PIECE = 64  # bytes of an image that must be found nowhere


@dataclass(frozen=True)
class RecordedSite:
    """What a hospital's processes sent, each process in a file of its own, and what must be in none of them."""

    network: Network
    name: str
    folder: Path
    needles: Mapping[str, bytes]

    @property
    def kit(self) -> Path:
        return self.network.kit(self.name)

    @property
    def rules(self) -> Rules:
        _, rules, _ = scope_of(read_json(self.kit / "local" / "privacy.json"))
        return rules

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    @property
    def messages(self) -> list[Message]:
        return [message for file in self.files for message in leaving_messages(file, self.name)]

    @property
    def sent(self) -> list[bytes]:
        """All bytes, as messages that are put together and frame by frame."""
        sent = [message.raw for message in self.messages]
        for file in self.files:
            for _, _, headers, payload in entries(file):
                sent += [bytes(msgpack.packb(headers)), payload]
        return sent

    @property
    def addresses(self) -> set[str]:
        """What Python's own sockets were asked for."""
        asked = [entry for file in self.files for entry in entries(file)]
        return {payload.decode() for _, kind, _, payload in asked if kind == SOCKET}

    def results(self, job_id: str) -> list[Any]:
        """The task results of a job, in the order of sending."""
        sent = [result for file in self.files for result in results(leaving_messages(file, self.name))]
        return [result for result in sent if peer_properties(result)[ReservedKey.RUN_NUM] == job_id]


@contextmanager
def recording_network(
    root: Path,
    sites: Path,
    hospitals: tuple[str, ...],
    recorded: tuple[str, ...],
    change: Callable[[Network], None] = lambda network: None,
) -> Iterator[Network]:
    """The network of `sites` in `root`, stopped at the end; `recorded` hospitals write into root/captured/NAME.

    `change` is what their IT changes in the kits before they are started.
    """
    network = Network(root / "net", sites)
    kits = provision(network.root, PROJECT, network.port)
    fill_in(kits, sites, hospitals, network.root, 1)
    for name in recorded:
        record(kits / name, recording(root, name))
    change(network)
    start_network(network.root, sites, hospitals, PROJECT, network.port)
    try:
        yield network
    finally:
        Processes(network.root).stop()  # its parent is this process, which alone sees at once that each has ended


def record(kit: Path, folder: Path) -> None:
    """Let what is started from this kit write into `folder` all that it sends."""
    hook = shlex.quote(str(Path(__file__).parent / "capture"))
    folder.mkdir(parents=True)
    with (kit / "local" / "environment.sh").open("a") as environment:
        environment.write(f"export PYTHONPATH={hook}${{PYTHONPATH:+:$PYTHONPATH}}\n")
        environment.write(f"export FEDWARD_CAPTURE={shlex.quote(str(folder))}\n")


def recording(root: Path, name: str) -> Path:
    """Where a hospital of `recording_network` writes what it sends."""
    return root / "captured" / name


def found(needles: Mapping[str, bytes], texts: Iterable[bytes]) -> set[str]:
    """Names of the needles that occur in one of the texts."""
    return {name for text in texts for name, needle in needles.items() if needle in text}


def middle(data: bytes) -> bytes:
    """A piece from the middle that no other file holds by chance."""
    begin = len(data) // 2 // PIECE * PIECE
    piece = data[begin : begin + PIECE]
    assert len(set(piece)) > 12, "an empty part of the picture: choose another place"
    return piece


def peer_properties(result: Any) -> dict[str, Any]:
    """The public properties of the site's context, which FLARE adds to what it sends."""
    headers = result[ReservedHeaderKey.HEADERS]
    if ReservedHeaderKey.PEER_PROPS in headers:
        return dict(headers[ReservedHeaderKey.PEER_PROPS])
    return {name: prop["value"] for name, prop in headers[ReservedHeaderKey.PEER_CTX].props.items()}
