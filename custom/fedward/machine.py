"""What a run was made on and with: versions and machine, for run.json and benchmarks."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("fedward", "nvflare", "torch", "numpy", "SimpleITK", "scikit-learn")


def versions() -> dict[str, str]:
    """Installed versions by package; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine(threads: int | None = None) -> dict[str, Any]:
    """Processor, cores, memory and torch threads per site; no host name."""
    import psutil

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "threads_per_site": threads,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
