"""Ten hospitals pretrain a U-Net's encoder on volumes. `python job.py --help` lists the options."""

import sys
import warnings

with (
    warnings.catch_warnings()
):  # on import, FLARE takes --export and --export-dir out of the arguments, and warns of it
    warnings.simplefilter("ignore", UserWarning)
    import nvflare.recipe  # noqa: F401

from fedward.cli import run
from fedward.job_command import training_command
from fedward.volume_jobs import CONTRASTIVE

command = training_command(CONTRASTIVE)

if __name__ == "__main__":
    sys.exit(run(command))
