"""A whole network on one machine: provisioned, each kit filled in, ports found. What runs of it: `processes.py`.

NETWORK/project.yml              the project file as used here, with its ports
NETWORK/workspace/               what `nvflare provision` made: kits and the certificate authority's state
NETWORK/runs/                    the server's run folders
NETWORK/processes.json           what is running: name, pid and the time it was created
"""

import os
import random
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from fedward.errors import FedwardError, UsageError
from fedward.kits.kit import open_kit
from fedward.kits.leaving_policy import agree_to_features
from fedward.rounds.run_folder import write_bytes
from fedward.simulation import CACHE, registered_weights, server_validation, site_data_sets

PROJECT = Path(__file__).parents[1] / "one_machine.yml"  # that of provisioning/
LEAD, ADMIN = "lead", "project_admin"
TEMPLATE_DATA = {"/data/lgg", "/data/images"}  # what the kits' fedward.yml says before anybody fills it in
PROVISION_SECONDS = 300.0
OURS = {"phantoms", "sites", "workspace", "project.yml", "processes.json", "runs", LEAD, ADMIN, ".nvflare"}


def kits_folder(network: Path) -> Path:
    """The folder of the kits that were provisioned last."""
    made = sorted((network / "workspace").glob("*/prod_*"))
    if not made:
        raise FedwardError(f"{network} holds no network: make one with fedward network start")
    return made[-1]


def provision(network: Path, project: Path, port: int | None, poc: bool = False) -> Path:
    """Make the kits once; a network that has them keeps them, with its certificates. Returns the folder of the kits.

    `poc` makes them with `nvflare poc prepare` instead of `nvflare provision`; our builder works in both.
    """
    if any((network / "workspace").glob("*/prod_*")):
        return kits_folder(network)
    shutil.rmtree(network / "workspace", ignore_errors=True)  # what an interrupted provisioning left: no kit yet
    values = _project(project)
    server = next(p for p in values["participants"] if p["type"] == "server")
    if port is not None:
        server["fed_learn_port"], server["admin_port"] = port, port + 1
    write_bytes(network / "project.yml", yaml.safe_dump(values, sort_keys=False).encode())
    words = ["poc", "prepare", "-i", "project.yml"] if poc else ["provision", "-p", "project.yml", "-w", "workspace"]
    here = network.resolve()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nvflare.cli", *words],
            cwd=network,
            # FLARE notes in the home folder where its POC lies, and would put the POC under /tmp
            env={**os.environ, "NVFLARE_POC_WORKSPACE": str(here / "workspace"), "HOME": str(here)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PROVISION_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise FedwardError(
            f"provisioning was not done after {PROVISION_SECONDS:g} s: give the same command again when the machine is "
            "less busy"
        ) from error
    if done.returncode:
        shutil.rmtree(network / "workspace", ignore_errors=True)
        said = (done.stderr or done.stdout).strip()[-1500:]
        correct = "" if project == PROJECT else f"\nWhere {project} is wrong, correct it, then try again"
        raise FedwardError(f"provisioning failed: {said}{correct}")
    return kits_folder(network)


def _project(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not any(p["type"] == "server" for p in values["participants"]):
            raise UsageError(f"{path} names no server: add a participant of type server")
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: give a project file, such as provisioning/one_machine.yml") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is no project file of nvflare provision ({error}): give one such as provisioning/one_machine.yml"
        ) from error
    return dict(values)


def check_place(network: Path, project: Path, port: int | None) -> None:
    """Before anything is written: UsageError where the folder is another's, or the project file is none."""
    if any((network / "workspace").glob("*/prod_*")):
        return
    if network.is_dir() and (strange := sorted(p.name for p in network.iterdir() if p.name not in OURS)):
        raise UsageError(f"{network} holds {strange[0]}, which is not of a network: give an empty or new folder")
    server = next(p for p in _project(project)["participants"] if p["type"] == "server")
    _check_free(port or int(server.get("fed_learn_port", 8002)))


def fill_in(kits: Path, sites_folder: Path, hospitals: Iterable[str], network: Path, threads: int) -> None:
    """What hospital IT would do by hand, once: each site's fedward.yml and environment.sh. Later edits stay.

    UsageError where the network was made for other images.
    """
    root = sites_folder.resolve()
    environment = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n"
    for name in hospitals:
        template = yaml.safe_load((kits / name / "local" / "fedward.yml").read_text(encoding="utf-8"))
        wanted = {data_set: str(folder) for data_set, folder in site_data_sets(root, name).items()}
        if wanted.items() <= template["data_sets"].items():
            continue
        if others := sorted(set(template["data_sets"].values()) - TEMPLATE_DATA):
            raise UsageError(
                f"{name} of {network} has its images in {others[0]}, not in {root / name}: "
                "give the same --sites, or make another network"
            )
        own = {
            "data_sets": wanted,
            "cache": str(root / CACHE),
            "device": "auto",
            "threads": threads,
            "jobs_at_once": 1,
            "min_patients": 1,
            "studies": template["studies"],
        }
        _write_site(kits / name, own, environment)
        agree_to_features(kits / name / "local" / "privacy.json")
    (network / "runs").mkdir(exist_ok=True)
    if str(network.resolve() / "runs") in (server_kit(kits) / "local" / "fedward.yml").read_text(encoding="utf-8"):
        return
    server: dict[str, Any] = {"runs": str(network.resolve() / "runs"), "threads": threads}
    if validation := server_validation(root):
        server["validation"] = {data_set: str(folder) for data_set, folder in validation.items()}
    if weights := registered_weights(root):
        server["weights"] = {name: {**entry, "file": str(entry["file"])} for name, entry in weights.items()}
    _write_site(server_kit(kits), server, environment)


def server_kit(kits: Path) -> Path:
    found = [path for path in kits.iterdir() if (path / "startup" / "fed_server.json").is_file()]
    if len(found) != 1:
        raise FedwardError(f"{kits} holds {len(found)} server kits: there must be one")
    return found[0]


def _write_site(kit: Path, values: dict[str, Any], environment: str) -> None:
    write_bytes(kit / "local" / "fedward.yml", yaml.safe_dump(values, sort_keys=False).encode())
    write_bytes(kit / "local" / "environment.sh", environment.encode())


def name_people(network: Path, kits: Path) -> None:
    """Short names of the kits of leads and administrators: NETWORK/lead, NETWORK/lead-cxr, NETWORK/project_admin."""
    users = open_kit(server_kit(kits)).network.users
    for name, user in sorted(users.items()):
        link = network / (ADMIN if user["role"] == ADMIN else name.partition("@")[0])
        if user["role"] in (LEAD, ADMIN) and not link.is_symlink():
            link.symlink_to((kits / name).resolve())


def leads(network: Path, project: Path) -> dict[str, Path]:
    """The kit of each study's lead, by study: only an admin of a study may submit its jobs."""
    values = _project(project)
    roles = {person["name"]: person.get("role") for person in values["participants"]}
    found: dict[str, Path] = {}
    for study, about in (values.get("studies") or {}).items():
        names = sorted(name for name in about.get("admins") or [] if roles.get(name) == LEAD)
        if names:
            found[study] = network / names[0].partition("@")[0]
    return found


def check_port_free(kits: Path) -> None:
    """FedwardError where the network's port is taken already."""
    _check_free(open_kit(server_kit(kits)).port)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise FedwardError(
                f"port {port} is in use: stop what listens there (fedward network stop?), "
                "or make a network in another folder with --port"
            )


def free_port() -> int:
    """A port that nothing uses, nor the next: sites and people dial different ones.

    It lies below those that systems give to outgoing connections (Linux from 32768, others from 49152): one of these
    could take it before the server does, and keeps it for a minute after its end.
    """
    draw = random.SystemRandom()  # programs that have seeded `random` alike must not meet
    for _ in range(50):
        port = draw.randrange(20000, 32000, 2)
        if _is_free(port) and _is_free(port + 1):
            return port
    raise FedwardError("no two free ports in a row were found on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
