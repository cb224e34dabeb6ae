"""Checks of the machine that a kit lies on: installed versions, folders, disk space, device, clock."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fedward.kits.finding import Finding, ok, problem, warning
from fedward.kits.kit import Kit
from fedward.site_config import SiteConfig

LITTLE_SPACE, NO_SPACE = 10 * 2**30, 2**30
UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)


def check_versions(kit: Kit) -> list[Finding]:
    """`fedward` and `nvflare` in the versions that the kit was made with, which are the server's."""
    findings = []
    for package, wanted in (("fedward", kit.network.fedward), ("nvflare", kit.network.nvflare)):
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "none"
        if found == wanted:
            findings.append(ok(f"{package} version", found))
        else:
            fix = f"install {package} {wanted} into this Python environment, or ask the lead for a kit of {found}"
            text = f"installed is {found}, the network uses {wanted}"
            findings.append(problem(f"{package} version", text, fix))
    return findings


def check_folders(kit: Kit, config: SiteConfig) -> list[Finding]:
    """The folders that FLARE and fedward write to, and the space on their disks."""
    folders = {"kit folder": kit.root}
    if kit.role == "server":
        if config.runs is None:
            fix = "add 'runs: FOLDER' to local/fedward.yml"
            return [problem("runs folder", "fedward.yml names no folder for runs", fix)]
        folders["runs folder"] = config.runs
    elif config.cache:
        folders["cache folder"] = config.cache
    findings = [writable(name, path) for name, path in folders.items()]
    if kit.role == "hospital" and not config.cache and config.data_sets:
        findings.append(problem("cache folder", "fedward.yml names none", "add 'cache: FOLDER' to local/fedward.yml"))
    return [*findings, *_lost_at_reboot(folders), _space(folders.values())]


def writable(name: str, folder: Path) -> Finding:
    """Whether files can be made in `folder`, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        text = f"{folder} cannot be written by user {os.getuid()} ({error.strerror or error})"
        return problem(
            name, text, f"chown it to the user who starts the kit, or name another folder; see: ls -ld {folder}"
        )
    return ok(name, f"{folder} can be written")


def _lost_at_reboot(folders: dict[str, Path]) -> list[Finding]:
    kept = [name for name, path in folders.items() if Path("/tmp") in path.resolve().parents and name != "cache folder"]
    if not kept:
        return []
    text = f"{', '.join(kept)} under /tmp: what lies there may be gone after a reboot"
    return [warning("storage", text, "move the kit to a folder that stays, such as /opt or /srv")]


def _space(folders: Iterable[Path]) -> Finding:
    free = {}
    for path in folders:
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        free[existing] = shutil.disk_usage(existing).free
    folder, least = min(free.items(), key=lambda item: item[1])
    text = f"{least / 2**30:.1f} GiB free at {folder}"
    if least < NO_SPACE:
        return problem("disk space", text, "free some, 10 GiB at least; the cache folder may be emptied at any time")
    if least < LITTLE_SPACE:
        return warning("disk space", text, "free some, or training may stop when logs, cache or runs grow")
    return ok("disk space", text)


def check_weights(config: SiteConfig) -> list[Finding]:
    """The starting weights registered at the server: the file is there and has its SHA-256."""
    findings = []
    for name, registered in sorted(config.weights.items()):
        title = f"weights {name}"
        try:
            with registered.file.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            text = f"{registered.file} cannot be read ({error.strerror})"
            findings.append(problem(title, text, "put the file there, or take the entry out of local/fedward.yml"))
            continue
        if found == registered.sha256:
            findings.append(ok(title, f"{registered.file} has its SHA-256"))
        else:
            text = f"{registered.file} has the SHA-256 {found[:16]}..., fedward.yml says {registered.sha256[:16]}..."
            findings.append(problem(title, text, "restore the file; change fedward.yml only if you know the new one"))
    return findings


def check_device(config: SiteConfig) -> Finding:
    """Whether the device of fedward.yml is there. Asks the driver, for importing torch takes seconds."""
    gpus = visible_gpus()
    asked = re.fullmatch(r"(auto|cpu|cuda(?::(\d+))?)", config.device)
    if not asked:
        fix = "write auto, cpu, cuda or cuda:1 in local/fedward.yml"
        return problem("device", f"{config.device!r} is no device", fix)
    build = _torch_build()
    if config.device == "cpu" or (config.device == "auto" and not gpus):
        return ok("device", f"CPU ({config.device})")
    if not gpus or int(asked[2] or 0) >= len(gpus):
        fix = "install the driver (nvidia-smi must list the GPU), or write 'device: auto' in local/fedward.yml"
        return problem("device", f"fedward.yml asks for {config.device}, visible: {', '.join(gpus) or 'no GPU'}", fix)
    if "+cpu" in build:
        text = f"a GPU is there ({gpus[0]}), and the installed torch {build} is made for CPUs only"
        fix = "install the CUDA build of torch, or write 'device: cpu' in local/fedward.yml"
        return (warning if config.device == "auto" else problem)("device", text, fix)
    return ok("device", f"{', '.join(gpus)} ({config.device})")


def visible_gpus() -> list[str]:
    """Names of the GPUs that the NVIDIA driver shows; empty without driver or GPU."""
    program = shutil.which("nvidia-smi")
    if program:
        arguments = [program, "--query-gpu=name", "--format=csv,noheader"]
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=15, check=True)
            return [line.strip() for line in done.stdout.splitlines() if line.strip()]
        except (OSError, subprocess.SubprocessError):
            pass  # a driver that does not answer
    return [path.name for path in sorted(Path("/dev").glob("nvidia[0-9]*"))]


def _torch_build() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"


def check_clock(kit: Kit, now: datetime | None = None) -> Finding:
    """The clock against the newest file of the kit, and what the kernel knows of a time service.

    FLARE's server does not tell its time; that certificates are valid now is a line of its own.
    """
    now = now or datetime.now(UTC)
    newest = max((path.stat().st_mtime for path in (kit.root_ca, kit.certificate) if path.is_file()), default=0.0)
    made = datetime.fromtimestamp(newest, UTC)
    shown = f"{now:%Y-%m-%d %H:%M} UTC"
    if (made - now).total_seconds() > 300:
        text = f"{shown} here, and the kit's files are from {made:%Y-%m-%d %H:%M}"
        return problem("clock", text, "set the clock: timedatectl set-ntp true")
    if _kernel_clock_state() == UNSYNCHRONISED:
        fix = "compare it with a watch, and let one keep it right: timedatectl set-ntp true"
        return warning("clock", f"{shown}, and the kernel knows of no time service", fix)
    return ok("clock", shown)


def _kernel_clock_state() -> int:
    """What adjtimex(2) returns: the same for chrony, ntpd and systemd, in containers too; -1 where there is none."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)))
    except (OSError, AttributeError):
        return -1
