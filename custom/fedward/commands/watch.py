"""fedward watch: the rounds of a job on a real network, as they finish."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fedward.rounds.run_folder import RunFolder


@click.command("watch")
@click.argument("job", metavar="JOB")
@click.option(
    "--startup-kit",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Your own kit: the folder with startup/.",
)
@click.option("--study", default="brain-tumour", show_default=True, help="Study that the job belongs to.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Download the run folder to here when the job has ended, and write its report.",
)
@click.option("--tensorboard", is_flag=True, help="With --out: each round also to event files in OUT/tensorboard.")
def command(job: str, startup_kit: Path, study: str, out: Path | None, tensorboard: bool) -> None:
    """Show the rounds of JOB (the id that submission printed), its sites and their weights, until it ends.

    Ctrl-C stops watching; the job goes on.
    """
    from rich.console import Console

    from fedward.errors import FedwardError, UsageError
    from fedward.flare.session import connect, status
    from fedward.kits.kit import open_kit
    from fedward.remote import check_target, follow, watch_command
    from fedward.reports.event_files import check_extra
    from fedward.rounds.run_folder import RunFolder
    from fedward.run_checks import alone_in

    if tensorboard:
        if out is None:
            raise UsageError("--tensorboard is for --out: give the folder that the event files are to lie in")
        check_extra()
    if out is not None:
        check_target(RunFolder(out), job)
    with connect(open_kit(startup_kit), study) as connection, alone_in(out) if out else nullcontext():
        follow(connection, job, None, Console(), RunFolder(out) if out else None, tensorboard=tensorboard)
        if out is not None:
            click.echo(f"Report: {_completed(RunFolder(out))}")
            return
        if (state := status(connection.meta(job))) != "FINISHED:COMPLETED":
            raise FedwardError(f"job {job} ended as {state}: --out RUN brings what it left, with the reason")
        click.echo(f"Finished. To bring the result here: {watch_command(job, startup_kit, study, Path('RUN'))}")


def _completed(folder: "RunFolder") -> Path:
    """As job.py completes a run; of a job that this version would not take, the report alone."""
    from fedward.errors import UsageError
    from fedward.reports.page import write_report
    from fedward.rounds.run_folder import read_json
    from fedward.running import complete
    from fedward.settings import run_settings_from_dict

    try:
        settings = run_settings_from_dict(read_json(folder.settings))
    except UsageError as error:
        click.echo(f"Note: the job is of another version of fedward, so there is its report alone: {error}", err=True)
        return write_report(folder.root)
    return complete(settings, "federated", None, folder, "auto")
