"""Whether a kit already runs on this machine, whether a server's port is free, and where a server keeps its jobs."""

import socket
from pathlib import Path
from typing import Any

import psutil

from fedward.kits.finding import Finding, ok, problem
from fedward.kits.kit import Kit
from fedward.kits.lock import LOCK_FILE
from fedward.kits.site_checks import writable

NOT_RUNNING = "not yet"
FLARE_PROCESS = "nvflare.private.fed.app"


def running_process(kit: Kit) -> int | None:
    """Process id of this kit's FLARE process, or of its start script; None where neither runs.

    A copied kit has the files of the one that it was copied from: a process that runs in another folder does not count.
    """
    # start.sh --once leaves no pid.fl: there it is the lock, "process 123 on host", that says who runs
    for name, folder_of in (("pid.fl", _flare_folder), ("daemon_pid.fl", _script_folder), (LOCK_FILE, _flare_folder)):
        try:
            pid = int((kit.root / name).read_text().removeprefix("process ").split()[0])
            process = psutil.Process(pid)
            folder = folder_of(process.cmdline())
            if folder is not None and _same_folder(process, folder, kit.root):
                return pid
        except (OSError, ValueError, IndexError, psutil.Error):
            continue
    return None


def _flare_folder(arguments: list[str]) -> str | None:
    """The folder behind the -m that follows FLARE's module: python3 -m nvflare.private.fed.app... -m KIT -s ..."""
    at = next((i for i, argument in enumerate(arguments) if argument.startswith(FLARE_PROCESS)), None)
    after = [] if at is None else arguments[at + 1 :]
    return after[after.index("-m") + 1] if "-m" in after[:-1] else None


def _script_folder(arguments: list[str]) -> str | None:
    script = next((argument for argument in arguments if Path(argument).name == "sub_start.sh"), None)
    return None if script is None else str(Path(script).parent.parent)  # KIT/startup/sub_start.sh


def _same_folder(process: psutil.Process, folder: str, kit: Path) -> bool:
    """A relative folder counts from where the process was started; that of another user's is not told: maybe ours."""
    path = Path(folder)
    if not path.is_absolute():
        try:
            path = Path(process.cwd()) / path
        except psutil.AccessDenied:
            return True
    return path.resolve() == kit.resolve()


def check_running(kit: Kit, starting: bool) -> Finding:
    """A kit that runs already must not be started again; checking it while it runs is fine."""
    pid = running_process(kit)
    if pid is None:
        return ok("running", NOT_RUNNING)
    if starting:
        fix = f"stop it first: {kit.startup / 'stop_fl.sh'} (or systemctl restart)"
        return problem("running", f"this kit runs already as process {pid}", fix)
    return ok("running", f"as process {pid}")


def check_ports(kit: Kit) -> list[Finding]:
    """A server's ports are free, or held by this kit's own server. FLARE itself would share a taken port in silence."""
    pid = running_process(kit)
    reach = "this machine alone" if kit.host == "localhost" or kit.host.startswith("127.") else "every network"
    findings = [ok("listening", f"to {reach}: sites dial {kit.host}:{kit.port}")]
    for port in sorted({kit.port, int(kit.network.server.get("admin_port") or kit.port)}):
        name = f"port {port}"
        if pid is not None:
            findings.append(ok(name, f"this kit's own server runs as process {pid}"))
            continue
        error = _bind_error(port)
        if error is None:
            findings.append(ok(name, "free"))
        elif isinstance(error, PermissionError):
            fix = "take a port above 1023 in project.yml, or let the service bind it (CAP_NET_BIND_SERVICE)"
            findings.append(problem(name, "this user may not listen on it", fix))
        else:
            holder = _holder(port)
            fix = "stop that program, or have the lead provision another port; two servers would share the sites"
            findings.append(problem(name, f"taken{holder}: another server runs here", fix))
    return findings


def _bind_error(port: int) -> OSError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections in TIME_WAIT do not count
        try:
            probe.bind(("", port))
        except OSError as error:
            return error
    return None


def _holder(port: int) -> str:
    for listener in listeners(port):
        if listener.pid:
            try:
                return f" by process {listener.pid} ({psutil.Process(listener.pid).name()})"
            except psutil.Error:
                continue
    return " by a program of another user"


def listeners(port: int) -> list[Any]:
    """Listening TCP sockets on `port` of this machine; the process id is None where this user may not see it."""
    try:
        sockets = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return []
    return [one for one in sockets if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port]


def check_stores(kit: Kit, resources: dict[str, Any]) -> list[Finding]:
    """The folders of jobs and snapshots: FLARE's job runner ends without a word where they cannot be written."""
    found = []
    for name, folder in store_folders(kit, resources).items():
        if Path("/tmp") in folder.parents and Path("/tmp") not in kit.root.resolve().parents:
            fix = "restore local/resources.json of the kit: stores lie in the kit's folder"
            found.append(problem(name, f"{folder} may be gone after a reboot, with every job", fix))
        else:
            found.append(writable(name, folder))
    return found


def store_folders(kit: Kit, resources: dict[str, Any]) -> dict[str, Path]:
    """Where resources.json puts jobs and snapshots. Ours are relative to the kit, FLARE's are absolute."""
    listed = resources.get("components")
    jobs = [_args(one) for one in listed if _is(one, "job_manager")] if isinstance(listed, list) else []
    snapshots = _args(_args(resources.get("snapshot_persistor")).get("storage"))
    named = {
        "job store": jobs[0].get("uri_root") if jobs else None,
        "snapshot store": snapshots.get("root_dir"),
    }
    return {name: kit.root / str(folder) for name, folder in named.items() if folder}


def _is(component: Any, name: str) -> bool:
    return isinstance(component, dict) and component.get("id") == name


def _args(component: Any) -> dict[str, Any]:
    args = component.get("args") if isinstance(component, dict) else None
    return args if isinstance(args, dict) else {}
