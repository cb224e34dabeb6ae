"""fedward demo: the whole path on phantoms."""

import shutil
from dataclasses import replace
from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Folder for images, sites and the run.",
)
@click.option("--rounds", type=click.IntRange(1), default=6, show_default=True)
@click.pass_context
def command(context: click.Context, out: Path, rounds: int) -> None:
    """Ten phantom hospitals train a U-Net with DCEW in the FLARE simulator; prints where the report is.

    Phantoms are synthetic: they show that everything runs, and say nothing about any method. Called again, it keeps the
    images and trains anew.
    """
    from rich.console import Console

    from fedward.commands import partition, phantoms
    from fedward.errors import UsageError
    from fedward.lgg_segmentation import SETTINGS
    from fedward.run_checks import alone_in, check_out
    from fedward.running import run_and_report
    from fedward.simulation import find_sites, threads_per_site

    images, sites, run = out / "phantoms", out / "sites", out / "run"
    if run.exists() and not (sites / "partition.json").is_file():
        raise UsageError(f"{run} was not made by the demo: choose another --out")
    if not images.exists():
        context.invoke(phantoms.command, data_set="lgg", folder=images)
    if not sites.exists():
        context.invoke(partition.command, data_set="lgg", folder=images, out=sites, fold=1)
    if run.exists():
        click.echo(f"Removing the earlier demo run in {run}")
        with alone_in(run):
            shutil.rmtree(run)
    names = find_sites(sites)
    settings = replace(
        SETTINGS,
        name=run.name,
        sites=names,
        min_sites=None,
        rounds=rounds,
        round_deadline=120.0,
        preprocessing=replace(SETTINGS.preprocessing, image_size=64),
        training=replace(
            SETTINGS.training,
            network_args={**SETTINGS.training.network_args, "features": 8},
            batch_size=4,
            learning_rate=3e-3,
        ),
    )
    report = run_and_report(
        settings,
        mode="federated",
        environment="sim",
        sites_folder=sites,
        folder=check_out(run),
        threads=threads_per_site(len(names)),
        device="auto",
        tensorboard=False,
        console=Console(),
    )
    click.echo(f"Report: {report}")
