"""What an attacker brings: certificates, kits made by hand, clients that skip our checks, archives, messages."""

import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from nvflare.fuel.f3.cellnet.utils import new_cell_message
from nvflare.fuel.flare_api.flare_api import Session
from nvflare.fuel.hci.client.file_transfer import _FileSender
from nvflare.lighter.utils import (
    Identity,
    generate_cert,
    generate_keys,
    load_private_key_file,
    serialize_cert,
    serialize_pri_key,
    sign_folders,
)
from nvflare.private.admin_defs import Message
from real_network import LEAD, STUDY, Network

from fedward.flare.login import log_in

CLIENT = "nvflare.private.fed.app.client.client_train"


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


# --- certificates ---


class Authority:
    """A certificate authority: the network's own, from its provisioning state, or a stranger's of the same name."""

    def __init__(self, network: Network, own: bool = True):
        state = json.loads((network.kits.parent / "state" / "cert.json").read_text())
        root = x509.load_pem_x509_certificate(state["root_cert"].encode())
        self.issuer = Identity(root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
        if own:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            self.key = load_pem_private_key(state["root_pri_key"].encode(), password=None)
            self.root = state["root_cert"].encode()
        else:
            self.key, public = generate_keys()
            self.root = serialize_cert(generate_cert(self.issuer, self.issuer, self.key, public, ca=True))

    def put_into(self, kit: Path, name: str, org: str, role: str | None = None, expired: bool = False) -> Path:
        """A certificate for `name` and its key, in the place of the kit's own."""
        key, public = generate_keys()
        dates: dict[str, Any] = {}
        if expired:
            now = datetime.now(UTC)
            dates = {"not_valid_before": now - timedelta(days=10), "not_valid_after": now - timedelta(days=1)}
        certificate = generate_cert(Identity(name, org, role), self.issuer, self.key, public, **dates)
        (kit / "startup" / "client.crt").write_bytes(serialize_cert(certificate))
        (kit / "startup" / "client.key").write_bytes(serialize_pri_key(key))
        return kit


def take_certificate(kit: Path, of: Path) -> Path:
    """Another kit's certificate and key, in the place of the kit's own."""
    for name in ("client.crt", "client.key"):
        shutil.copy(of / "startup" / name, kit / "startup" / name)
    return kit


def tls(network: Network, kit: Path | None) -> str:
    """What the server does with this kit's certificate (None: with a client that has none): "accepted" or "refused"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the attacker does not care whom they talk to
    context.set_alpn_protocols(["h2"])
    if kit:
        context.load_cert_chain(kit / "startup" / "client.crt", kit / "startup" / "client.key")
    with socket.create_connection(("127.0.0.1", network.port), 10) as plain:
        try:
            with context.wrap_socket(plain) as secure:
                secure.settimeout(10)
                return "accepted" if secure.recv(1) else "refused"  # gRPC servers speak first
        except (ssl.SSLError, ConnectionError):
            return "refused"


# --- clients ---


def without_guards(kit: Path) -> Path:
    """The kit without our components that refuse to start: an attacker leaves them out."""
    guards = ("kit_guard", "kit_lock")
    edit(
        kit / "local" / "resources.json",
        lambda values: values.update(components=[c for c in values["components"] if c["id"] not in guards]),
    )
    return kit


@contextmanager
def flare(kit: Path, kind: str = "client", name: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """FLARE's own process on a kit, without start script and check; what it prints is in KIT/attack.txt."""
    words = ["-m", f"nvflare.private.fed.app.{kind}.{kind}_train", "-m", str(kit), "-s", f"fed_{kind}.json", "--set"]
    words += ["secure_train=true", "config_folder=config", "org=x", *([f"uid={name}"] if name else [])]
    with (kit / "attack.txt").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-u", *words],
            cwd=kit,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def printed(kit: Path) -> str:
    return (kit / "attack.txt").read_text(errors="replace")


def until(condition: Callable[[], Any], seconds: float, what: Callable[[], str]) -> Any:
    """The first true value of `condition`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(what())


# --- jobs ---


def signed(network: Network, job: Path, person: str = LEAD) -> dict[str, bytes]:
    """The files of a job folder signed by a person, by their names in the archive."""
    startup = network.kit(person) / "startup"
    sign_folders(str(job), load_private_key_file(str(startup / "client.key")), str(startup / "client.crt"))
    return {f"{job.name}/{p.relative_to(job)}": p.read_bytes() for p in sorted(job.rglob("*")) if p.is_file()}


def zipped(files: dict[str, bytes] | dict[zipfile.ZipInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


@contextmanager
def session(network: Network, person: str = LEAD, study: str = STUDY) -> Iterator[Session]:
    """FLARE's own session, for what our Connection does not offer."""
    opened = log_in(network.person(person), study)
    try:
        yield opened
    finally:
        opened.close()


def upload(opened: Session, data: bytes, folder: Path) -> str:
    """Submit an archive made by hand, past FLARE's own client; what the server answers."""
    path = folder / "archive"
    path.write_bytes(data)
    command = ["job_mgmt.submit_job", "archive"]
    context = opened.api._new_command_context(" ".join(command), command, None)
    context.set_requester(_FileSender(str(path)))
    return str(opened.api.server_execute(" ".join(command), cmd_ctx=context))


def say(opened: Session, line: str) -> str:
    """What the server answers to a console command, FLARE's own client left aside."""
    return str(opened.api.server_execute(line))


def send(opened: Session, target: str, channel: str, topic: str, seconds: float = 3.0) -> str:
    """A message to any process of the network, past the console; the answer's code."""
    request = new_cell_message({}, Message(topic, ""))
    reply = opened.api.cell.send_request(target=target, channel=channel, topic=topic, request=request, timeout=seconds)
    return str(reply.headers.get("cn__return_code"))
