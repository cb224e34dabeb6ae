"""A provisioned network of three sites that train nothing: for tests that kill and start its processes.

Kits are FLARE's own with our operations components laid over; every wait is bounded, and `stop` ends what was started
here and nothing else.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import yaml
from nvflare.fuel.flare_api.flare_api import Session

from fedward.flare.components import class_allow_list
from fedward.flare.login import log_in
from fedward.flare.recipe import export_job
from fedward.kits.kit import Kit, Network
from fedward.kits.one_machine import free_port
from fedward.lgg_segmentation import SETTINGS
from fedward.rounds.record import read_records
from fedward.settings import DEFAULT_STUDY
from processes import stop

SERVER, ADMIN = "localhost", "lead@example.org"
SITES = ("hospital-01", "hospital-02", "hospital-03")
ECHO = "echo_site.EchoSite"
STREAMER = "nvflare.app_common.logging.job_log_streamer.JobLogStreamer"  # FLARE's plain kits put it into each job
BUILDERS: dict[str, dict[str, Any]] = {
    "workspace.WorkspaceBuilder": {"template_file": ["master_template.yml"]},
    "static_file.StaticFileBuilder": {"config_folder": "config", "scheme": "tcp"},
    "cert.CertBuilder": {},
}
NO_CONSUMER = "nvflare.app_common.resource_consumers.passthrough_resource_consumer.PassthroughResourceConsumer"
SITE_PARTS = {
    "kit_lock": ("fedward.flare.kit_lock.KitLock", {"refused_seconds": 1.0}),
    "resource_manager": ("fedward.flare.job_slots.JobSlots", {}),
    "resource_consumer": (NO_CONSUMER, {}),
    "process_launcher": ("fedward.flare.launcher.RestartingLauncher", {"restarts": 1}),
}
SERVER_PARTS = {
    "kit_lock": ("fedward.flare.kit_lock.KitLock", {}),
    "registration_guard": ("fedward.flare.registration.RegistrationGuard", {}),
    "lost_answer": ("lost_answer.LostAnswer", {"site": "hospital-03"}),
    "site_return": ("fedward.flare.site_return.SiteReturn", {}),
    "job_recovery": ("fedward.flare.job_recovery.JobRecovery", {}),
    "job_manager": ("fedward.flare.stores.KitJobManager", {"uri_root": "store/jobs"}),
    "job_scheduler": (
        "fedward.flare.scheduler.QueueingScheduler",
        {"min_schedule_interval": 0.5, "max_schedule_interval": 2.0, "patience": 4.0},
    ),
}
STORAGE = {"path": "fedward.flare.stores.KitStorage", "args": {"root_dir": "store/snapshots"}}
SNAPSHOTS = {
    "path": "nvflare.app_common.state_persistors.storage_state_persistor.StorageStatePersistor",
    "args": {"uri_root": "/", "storage": STORAGE},
}


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


class SmallNetwork:
    def __init__(self, root: Path):
        self.root = root
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = free_port()
        self._provision()

    def _provision(self) -> None:
        participants = [
            {"name": SERVER, "type": "server", "org": "lead", "fed_learn_port": self.port},
            *({"name": site, "type": "client", "org": _org(site)} for site in SITES),
            {"name": ADMIN, "type": "admin", "org": "lead", "role": "project_admin"},
        ]
        builders = [{"path": f"nvflare.lighter.impl.{path}", "args": args} for path, args in BUILDERS.items()]
        project = {"api_version": 3, "name": "net", "participants": participants, "builders": builders}
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "project.yml").write_text(yaml.safe_dump(project))
        command = [sys.executable, "-m", "nvflare.cli", "provision", "-p", "project.yml", "-w", "ws"]
        subprocess.run(command, cwd=self.root, check=True, capture_output=True, timeout=60)
        for name in (SERVER, *SITES):
            local = self.kit(name) / "local"
            resources = json.loads((local / "resources.json.default").read_text())
            parts = {part["id"]: part for part in resources["components"]}
            for key, (path, args) in (SERVER_PARTS if name == SERVER else SITE_PARTS).items():
                parts[key] = {"id": key, "path": path, "args": args}
            resources["components"] = list(parts.values())
            resources["class_allow_list"] = [*class_allow_list(), ECHO, STREAMER]
            if name == SERVER:
                resources["snapshot_persistor"] = SNAPSHOTS
                resources["servers"][0]["heart_beat_timeout"] = 60  # as in real kits
                (local / "network.json").write_text(json.dumps({"hospitals": SITES, "coordinator": None}))
            (local / "resources.json").write_text(json.dumps(resources))
            (local / "fedward.yml").write_text(yaml.safe_dump({"runs": str(self.root / "runs")}))

    def kit(self, name: str) -> Path:
        return self.root / "ws" / "net" / "prod_00" / name

    # --- processes ---

    def start(self, name: str, kit: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a kit, or a copy of it; what it prints is in `out` of its folder's name."""
        kit = kit or self.kit(name)
        kind = "server" if name == SERVER else "client"
        values = ["secure_train=true", "config_folder=config", f"org={_org(name)}"]
        values += [] if name == SERVER else [f"uid={name}"]
        command = [sys.executable, "-u", "-m", f"nvflare.private.fed.app.{kind}.{kind}_train", "-m", str(kit)]
        here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
        with self._out(kit.name).open("wb") as out:
            process = subprocess.Popen(
                [*command, "-s", f"fed_{kind}.json", "--set", *values],
                cwd=kit,
                env=here,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if kit.name not in self.processes or self.processes[kit.name].poll() is not None:
            self.processes[kit.name] = process
        else:
            self.processes[f"{kit.name} again"] = process
        return process

    def start_server(self) -> None:
        self.start(SERVER)
        until(lambda: "Server started" in self.out(SERVER), 60, "start of the server")

    def start_sites(self, *sites: str) -> None:
        for site in sites:
            self.start(site)
        for site in sites:
            until(lambda s=site: "Successfully registered client" in self.out(s), 90, f"registration of {site}")

    def _out(self, name: str) -> Path:
        return self.root / f"{name}.out"

    def out(self, name: str) -> str:
        path = self._out(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def job_processes(self, name: str) -> list[psutil.Process]:
        return psutil.Process(self.processes[name].pid).children()

    def kill(self, name: str) -> None:
        """As a power cut: the parent process and its job processes."""
        children = self.job_processes(name)
        self.processes[name].kill()
        self.processes[name].wait(10)
        stop(children)

    def copy_of(self, name: str) -> Path:
        copy = self.root / f"copy-of-{name}"
        return Path(shutil.copytree(self.kit(name), copy, ignore=shutil.ignore_patterns("*-*-*-*-*", "*.lock")))

    def stop(self) -> None:
        family = []
        for process in self.processes.values():
            if process.poll() is None:
                family += [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        stop(family)
        for process in self.processes.values():
            process.wait(20)

    # --- jobs ---

    def job(self, name: str, seconds: float, rounds: int = 1, gone_after: float = 60.0, **changes: Any) -> Path:
        """A job folder whose sites answer after `seconds`; `changes` are those of the run's settings.

        `gone_after`: seconds from the first report that a site's process is dead until it is missed, FLARE's own 60.
        """
        training = replace(
            SETTINGS.training, network_args={"in_channels": 3, "out_channels": 1, "features": 2, "depth": 1}
        )
        values = {"sites": SITES, "min_sites": None, "rounds": rounds, "training": training, **changes}
        folder = export_job(replace(SETTINGS, name=name, round_deadline=120.0, **values), self.root / "jobs")
        _change(folder / "app/config/config_fed_client.json", _echo(seconds))
        _change(folder / "app/config/config_fed_server.json", {"dead_client_grace_period": gone_after})
        return folder

    @contextmanager
    def session(self) -> Iterator[Session]:
        server = {"name": SERVER, "host": SERVER, "port": self.port}
        network = Network("net", server, SITES, None, {}, {}, {}, fedward="", nvflare="", ca_sha256="")
        kit = Kit(self.kit(ADMIN), "admin", ADMIN, network, SERVER, self.port, "tcp")  # plain kits name no sites
        session = log_in(kit, DEFAULT_STUDY)
        try:
            yield session
        finally:
            session.close()

    def records(self, name: str) -> list[dict[str, Any]]:
        path = self.root / "runs" / name / "rounds.jsonl"
        return read_records(path) if path.exists() else []

    def round_done(self, name: str, number: int) -> None:
        until(lambda: len(self.records(name)) >= number, 90, f"round {number} of {name}")


def status_of(session: Session, job_id: str) -> str:
    return str(session.get_job_meta(job_id)["status"])


def ended(session: Session, job_id: str) -> str:
    return str(until(lambda: (s := status_of(session, job_id)).startswith("FINISHED") and s, 150, f"end of {job_id}"))


def _org(name: str) -> str:
    return "lead" if name == SERVER else name.replace("-", "_")


def _echo(seconds: float) -> dict[str, Any]:
    return {"executors": [{"tasks": ["train", "validate"], "executor": {"path": ECHO, "args": {"seconds": seconds}}}]}


def _change(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
