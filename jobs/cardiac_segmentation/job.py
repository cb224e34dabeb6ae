"""Ten hospitals train a U-Net to segment the heart. `python job.py --help` lists the options."""

import sys
import warnings

with (
    warnings.catch_warnings()
):  # on import, FLARE takes --export and --export-dir out of the arguments, and warns of it
    warnings.simplefilter("ignore", UserWarning)
    import nvflare.recipe  # noqa: F401

from fedward.cli import run
from fedward.job_command import training_command
from fedward.volume_jobs import SEGMENTATION

command = training_command(SEGMENTATION)

if __name__ == "__main__":
    sys.exit(run(command))
