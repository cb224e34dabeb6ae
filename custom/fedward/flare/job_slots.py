"""How many jobs a site runs at once, and which GPU each of them gets."""

import os
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.resource_manager_spec import ResourceManagerSpec
from nvflare.fuel.utils.gpu_utils import get_host_gpu_ids

from fedward.errors import FedwardError
from fedward.site_config import FILE_NAME, SiteConfig, read_site_config

BUSY = "busy: "  # how the reason of a site begins that has no free slot; the scheduler waits for such a site
VISIBLE = "CUDA_VISIBLE_DEVICES"
MASKED_DEVICES = ("auto", "cuda")  # a site that names one GPU itself (cuda:1) gets no other


@dataclass
class Slot:
    """One job of this site: reserved (`expires` at this time.monotonic()) or running (None)."""

    job_id: str
    gpu: str | None
    expires: float | None


class JobSlots(ResourceManagerSpec, FLComponent):
    """Gives each job one of the site's `jobs_at_once` slots and, where there are GPUs, the one with the fewest jobs.

    A job never asks for a GPU: it gets one if the site has one, and runs on the CPU otherwise, so that no hospital is
    left out. `fedward.yml` is read for every job; where it cannot be read, the submitter is told. A reservation that no
    job follows is given back after `reservation_seconds`.
    """

    def __init__(self, reservation_seconds: float = 60.0):
        super().__init__()
        self.reservation_seconds = reservation_seconds
        self._slots: dict[str, Slot] = {}  # token -> slot
        self._lock = Lock()

    def check_resources(self, resource_requirement: dict[str, Any], fl_ctx: FLContext) -> tuple[bool, str]:
        """(True, token) with a slot reserved, or (False, the reason for the submitter)."""
        try:
            config = _site_config(fl_ctx)
        except FedwardError as error:
            return False, str(error)
        with self._lock:
            self._forget_expired()
            if len(self._slots) >= config.jobs_at_once:
                return False, f"{BUSY}runs {_jobs(len(self._slots))}, its most at once"
            gpus = visible_gpus() if config.device in MASKED_DEVICES else []
            gpu = least_used(gpus, [slot.gpu for slot in self._slots.values()])
            token = str(uuid.uuid4())
            job_id = str(fl_ctx.get_prop(FLContextKey.CURRENT_JOB_ID, ""))
            self._slots[token] = Slot(job_id, gpu, time.monotonic() + self.reservation_seconds)
            return True, token

    def cancel_resources(self, resource_requirement: dict[str, Any], token: str, fl_ctx: FLContext) -> None:
        with self._lock:
            if token in self._slots and self._slots[token].expires is not None:
                del self._slots[token]

    def allocate_resources(
        self, resource_requirement: dict[str, Any], token: str, fl_ctx: FLContext
    ) -> dict[str, str | None]:
        with self._lock:
            self._forget_expired()
            if token not in self._slots:
                raise FedwardError(
                    f"the job's slot was given back after {self.reservation_seconds:g} s unused: submit it again"
                )
            self._slots[token].expires = None
            return {"slot": token, "gpu": self._slots[token].gpu}  # FLARE frees only what is not empty

    def free_resources(self, resources: dict[str, Any], token: str, fl_ctx: FLContext) -> None:
        with self._lock:
            self._slots.pop(resources.get("slot", token), None)

    def report_resources(self, fl_ctx: FLContext) -> dict[str, Any]:
        with self._lock:
            self._forget_expired()
            running = [slot for slot in self._slots.values() if slot.expires is None]
            return {"jobs": len(running), "reserved": len(self._slots) - len(running), "gpus": visible_gpus()}

    def environment(self, job_id: str) -> dict[str, str]:
        """What the process of this job gets into its environment: its GPU, where the site has any."""
        with self._lock:
            for slot in self._slots.values():
                if slot.job_id == job_id and slot.gpu is not None:
                    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: slot.gpu}  # nvidia-smi counts in this order
        return {}

    def _forget_expired(self) -> None:
        now = time.monotonic()
        self._slots = {t: slot for t, slot in self._slots.items() if slot.expires is None or slot.expires > now}


def visible_gpus() -> list[str]:
    """The GPUs that this site may use: those its environment names, else all that the machine has."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [gpu.strip() for gpu in named.split(",") if gpu.strip()]
    try:
        return [str(gpu) for gpu in get_host_gpu_ids()]
    except Exception:  # nvidia-smi is there, but no driver answers: a site without a GPU
        return []


def least_used(gpus: list[str], taken: list[str | None]) -> str | None:
    """The first of the GPUs with the fewest jobs; None where there is no GPU."""
    jobs = Counter(taken)
    return min(gpus, key=lambda gpu: jobs[gpu], default=None)


def _site_config(fl_ctx: FLContext) -> SiteConfig:
    folder = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_site_config_dir()
    return read_site_config(Path(folder) / FILE_NAME, fl_ctx.get_identity_name())


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
