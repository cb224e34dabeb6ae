"""A startup kit on disk: whose it is, which network it belongs to, and where the server answers.

KIT/startup/         certificates, FLARE's fed_server.json, fed_client.json or fed_admin.json, start scripts
KIT/local/           policy, network.json (facts of the network), and the site's own fedward.yml and environment.sh
KIT/transfer/        files to and from the console
KIT/check.json       the last passed check, by `fedward check-kit`
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fedward.errors import FedwardError, UsageError
from fedward.rounds.run_folder import read_json

Role = Literal["server", "hospital", "admin"]

ROLE_FILES: dict[Role, str] = {"server": "fed_server.json", "hospital": "fed_client.json", "admin": "fed_admin.json"}
NETWORK_FILE = "network.json"


@dataclass(frozen=True)
class Network:
    """The facts of network.json, the same in every kit of a network.

    `server` has name, host, port, admin_port, org; `orgs` maps site to organisation; `studies` maps a name to its
    sites and admins; `users` maps a name to role and org; `ca_sha256` is the fingerprint of rootCA.pem.
    """

    name: str
    server: dict[str, Any]
    hospitals: tuple[str, ...]
    coordinator: str | None
    orgs: dict[str, str]
    studies: dict[str, dict[str, list[str]]]
    users: dict[str, dict[str, str]]
    fedward: str
    nvflare: str
    ca_sha256: str

    @property
    def sites(self) -> tuple[str, ...]:
        """Every site that may train: the hospitals, and the coordinator if there is one."""
        return (*self.hospitals, self.coordinator) if self.coordinator else self.hospitals


@dataclass(frozen=True)
class Kit:
    """A startup kit. `host` and `port` are where this participant finds the server (the server: where it listens).

    `scheme` is FLARE's way of transport: grpc, tcp or http. A coordinator's kit has the role hospital, too.
    """

    root: Path
    role: Role
    name: str
    network: Network
    host: str
    port: int
    scheme: str

    @property
    def startup(self) -> Path:
        return self.root / "startup"

    @property
    def local(self) -> Path:
        return self.root / "local"

    @property
    def certificate(self) -> Path:
        return self.startup / ("server.crt" if self.role == "server" else "client.crt")

    @property
    def private_key(self) -> Path:
        return self.certificate.with_suffix(".key")

    @property
    def root_ca(self) -> Path:
        return self.startup / "rootCA.pem"


def open_kit(path: Path | str) -> Kit:
    """The kit at `path`; UsageError where it is none (and what to give), FedwardError where a file of it is damaged."""
    root = Path(path).absolute()
    role = _role(root)
    config = root / "startup" / ROLE_FILES[role]
    network = read_network(root / "local" / NETWORK_FILE)
    try:
        values = read_json(config)
        if role == "admin":
            admin = values["admin"]
            name = str(admin["username"]) or _common_name(root / "startup" / "client.crt")  # a POC's kit leaves it out
            scheme = str(admin.get("scheme", "grpc"))
            host, port = str(admin["host"]), int(admin["port"])
        else:
            service = values["servers"][0]["service"]
            name = str(network.server["name"]) if role == "server" else str(values["client"]["fqsn"]).split(".")[-1]
            host, _, number = str(service["target"]).rpartition(":")
            host, port, scheme = host.strip("[]"), int(number), str(service.get("scheme", "grpc"))
        if not host or not 0 < port < 65536:
            raise ValueError(f"no server at {host}:{port}")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise FedwardError(
            f"{config} is damaged ({type(error).__name__}: {error}): unpack the kit again; "
            "files in startup/ are never edited"
        ) from error
    return Kit(root, role, name, network, host, port, scheme)


def _common_name(certificate: Path) -> str:
    from cryptography.x509 import load_pem_x509_certificate
    from cryptography.x509.oid import NameOID

    subject = load_pem_x509_certificate(certificate.read_bytes()).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _role(root: Path) -> Role:
    """Which kind of kit lies at `root`; the errors say what people give instead of a kit."""
    if not root.exists():
        raise UsageError(f"{root} does not exist: give the folder of an unpacked startup kit")
    if root.is_file():
        hint = "unpack it, and give the folder that holds startup/ and local/"
        raise UsageError(f"{root} is a file, not the folder of a startup kit: {hint}")
    found: list[Role] = [role for role, name in ROLE_FILES.items() if (root / "startup" / name).is_file()]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise UsageError(f"{root} holds more than one kit in startup/: unpack each kit into its own folder")
    if root.name in ("startup", "local", "transfer") and (root.parent / "startup").is_dir():
        raise UsageError(f"{root} is a part of a startup kit: give the folder above, {root.parent}")
    kits = sorted(child.name for child in root.iterdir() if (child / "startup").is_dir()) if root.is_dir() else []
    if kits:
        few = ", ".join(kits[:4]) + (", ..." if len(kits) > 4 else "")
        raise UsageError(f"{root} holds the kits {few}, and is none itself: give one of them, such as {root / kits[0]}")
    names = ", ".join(sorted(ROLE_FILES.values()))
    raise UsageError(f"{root} is no startup kit: it has no startup/ with one of {names}")


def read_network(path: Path) -> Network:
    """Read local/network.json of a kit; an error names the file and says how to restore it."""
    if not path.is_file():
        raise UsageError(
            f"{path} is missing: the kit was made without fedward's KitBuilder. "
            "Provision with provisioning/project.yml, or ask the consortium lead for a complete kit"
        )
    values = read_json(path)
    try:
        coordinator = values["coordinator"]
        network = Network(
            name=str(values["name"]),
            server=dict(values["server"]),
            hospitals=tuple(str(name) for name in values["hospitals"]),
            coordinator=None if coordinator is None else str(coordinator),
            orgs=dict(values["orgs"]),
            studies=dict(values["studies"]),
            users=dict(values["users"]),
            fedward=str(values["fedward"]),
            nvflare=str(values["nvflare"]),
            ca_sha256=str(values["ca_sha256"]).replace(":", "").lower(),
        )
        for key in ("name", "host", "port"):
            network.server[key]
    except (KeyError, TypeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise FedwardError(f"{path} is damaged ({what}): unpack the kit again, it is never edited") from error
    return network
