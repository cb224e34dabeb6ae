"""Runs one job in the FLARE simulator, in a process of its own: python -m fedward.flare.simulate JOB WORKSPACE SITES

Its caller, `fedward.simulator`, watches the run folder and ends this process where that is needed.
"""

import sys

from nvflare.private.fed.app.simulator.simulator_runner import SimulatorRunner


def main(job: str, workspace: str, sites: str) -> int:
    """Run with as many threads as sites, or FLARE swaps sites in and out of the processes (10 times slower rounds)."""
    return SimulatorRunner(job, workspace, clients=sites, threads=len(sites.split(","))).run() or 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
