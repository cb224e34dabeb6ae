"""A coordinator or ten hospitals pretrain a DenseNet-121 without labels. `python job.py --help` lists the options."""

import sys
import warnings

with (
    warnings.catch_warnings()
):  # on import, FLARE takes --export and --export-dir out of the arguments, and warns of it
    warnings.simplefilter("ignore", UserWarning)
    import nvflare.recipe  # noqa: F401

from fedward.cli import run
from fedward.job_command import training_command
from fedward.xray_jobs import PRETRAINING

command = training_command(PRETRAINING)

if __name__ == "__main__":
    sys.exit(run(command))
