"""The command line of a training job: `python jobs/NAME/job.py ...`, built from the job's defaults."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from fedward.datasets.partition import site_name
from fedward.errors import UsageError
from fedward.kits.kit import Kit, open_kit
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.remote import study_sites
from fedward.running import ENVIRONMENTS, MODES, check_out, run_and_report, run_in_poc, run_remotely
from fedward.settings import COST_SOURCES, LOSSES, OPTIMIZERS, PRECISIONS, RANDOM, SCHEDULES, RunSettings
from fedward.simulation import find_sites, threads_per_site
from fedward.weighting.schemes import SCHEMES

FOLDER = click.Path(path_type=Path, file_okay=False)


def training_command(job_name: str, title: str, defaults: RunSettings) -> click.Command:
    """A click command whose options change `defaults`; it exports, or trains and reports."""
    training, aggregation, preprocessing = defaults.training, defaults.aggregation, defaults.preprocessing

    @click.command(
        name="job.py",
        context_settings={"show_default": True, "help_option_names": ["-h", "--help"], "max_content_width": 110},
        help=f"{title}\n\n"
        "\b\nExamples:\n"
        "  job.py --scheme dcew --rounds 25 --sites SITES --env sim --out RUN\n"
        "  job.py --mode central --sites SITES --out RUN\n"
        "  job.py --scheme fedavg --export --export-dir DIR\n"
        "  job.py --scheme dcew --env prod --startup-kit KIT --out RUN",
        epilog="--export writes the FLARE job folder instead of running it, to --export-dir DIR (./fl_job); "
        "it needs no data. SITES is made by fedward partition.",
    )
    @click.option("--sites", "sites_folder", type=FOLDER, help="Folder of the hospitals, from fedward partition.")
    @click.option("--out", type=click.Path(path_type=Path), help="Run folder to make; its last part names the run.")
    @click.option("--mode", type=click.Choice(MODES), default="federated", help="Central and local are baselines.")
    @click.option(
        "--env",
        type=click.Choice(ENVIRONMENTS),
        help="FLARE simulator; one plain process; FLARE's proof of concept on this machine; a real network. "
        "[default: sim; baselines: loop]",
    )
    @click.option("--startup-kit", type=FOLDER, help="With --env prod: your own kit, the folder that holds startup/.")
    @click.option(
        "--scheme", type=click.Choice(list(SCHEMES)), default=aggregation.scheme, help="Weighting of the sites."
    )
    @click.option("--alpha", type=float, help="Coefficient of the size share.")
    @click.option("--beta", type=float, help="Coefficient of the cost share.")
    @click.option("--gamma", type=float, help="Coefficient of the Dice share (fedpid: of the cost integral).")
    @click.option("--strict", is_flag=True, help="Ratios and drops as published: no clamp, no smoothing.")
    @click.option("--cost-source", type=click.Choice(COST_SOURCES), default=aggregation.cost_source)
    @click.option(
        "--cost-reference", type=click.Choice(["previous_round", "round_start"]), default=aggregation.cost_reference
    )
    @click.option("--rounds", type=click.IntRange(1), default=defaults.rounds)
    @click.option("--local-epochs", type=click.IntRange(1), help="Passes over a site's images per round. [default: 1]")
    @click.option("--local-steps", type=click.IntRange(1), help="Optimiser steps per round, instead of epochs.")
    @click.option("--batch-size", type=click.IntRange(1), default=training.batch_size)
    @click.option("--loss", type=click.Choice(LOSSES[training.task]), default=training.loss)
    @click.option("--optimizer", type=click.Choice(OPTIMIZERS), default=training.optimizer)
    @click.option("--learning-rate", type=float, default=training.learning_rate)
    @click.option("--momentum", type=float, default=training.momentum, help="Of SGD.")
    @click.option("--schedule", type=click.Choice(SCHEDULES), default=training.schedule, help="Over the rounds.")
    @click.option("--augment/--no-augment", default=training.augment)
    @click.option("--features", type=click.IntRange(1), default=training.network_args["features"], help="U-Net width.")
    @click.option("--precision", type=click.Choice(PRECISIONS), default=training.precision, help="Of the forward pass.")
    @click.option("--image-size", type=int, default=preprocessing.image_size, help="Pixels; a multiple of 16.")
    @click.option("--bias-field", type=click.Choice(["n4", "n3", "none"]), default=preprocessing.bias_field)
    @click.option("--channels", type=click.Choice(["all", "flair"]), default=preprocessing.channels)
    @click.option("--study", default=defaults.study, help="Approved study that the run belongs to.")
    @click.option("--starting-weights", default=defaults.starting_weights, help="Random, or registered at the server.")
    @click.option("--seed", type=click.IntRange(0), default=defaults.seed)
    @click.option("--min-sites", type=click.IntRange(1), help="Results a round needs. [default: all sites]")
    @click.option("--round-deadline", type=float, default=defaults.round_deadline, help="Seconds a round may take.")
    @click.option("--threads", type=click.IntRange(1), help="Torch threads of a site. [default: cores / sites]")
    @click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
    @click.option("--tensorboard", is_flag=True, help="Metrics to TensorBoard too (needs the extra 'tensorboard').")
    @click.option("--hospitals", type=click.IntRange(1), help="With --export: number of hospitals. [default: 10]")
    @click.option("--name", help="With --export: name of job and run. [default: JOB_SCHEME]")
    def command(**options: Any) -> None:
        export, export_folder = _export_arguments()
        kit = _kit(options, export)
        settings = _settings(job_name, defaults, options, export, kit)
        if export:
            from fedward.flare.recipe import export_job

            click.echo(f"Job folder: {export_job(settings, export_folder, options['tensorboard'])}")
            return
        if kit is not None:
            report = run_remotely(
                settings, kit, options["sites_folder"], check_out(options["out"]), options["tensorboard"], Console()
            )
            click.echo(f"Report: {report}")
            return
        if options["env"] == "poc":
            report = run_in_poc(
                settings, options["sites_folder"], check_out(options["out"]), options["tensorboard"], Console()
            )
            click.echo(f"Report: {report}")
            return
        threads = options["threads"] or threads_per_site(1 if options["mode"] == "central" else len(settings.sites))
        report = run_and_report(
            settings,
            mode=options["mode"],
            environment=options["env"],
            sites_folder=options["sites_folder"],
            folder=check_out(options["out"]),
            threads=threads,
            device=options["device"],
            tensorboard=options["tensorboard"],
            console=Console(),
        )
        click.echo(f"Report: {report}")

    return command


def _export_arguments() -> tuple[bool, Path]:
    """FLARE takes --export and --export-dir out of the arguments when nvflare.recipe is imported; ask it for them."""
    module = sys.modules.get("nvflare.recipe.spec")
    if module is None:
        return False, Path()
    export, folder = module._peek_recipe_args()
    return export, Path(folder)


def _kit(options: dict[str, Any], export: bool) -> Kit | None:
    """The kit to submit with, where the run is one on a real network."""
    if export or options["env"] != "prod":
        if options["startup_kit"] is not None:
            raise UsageError("--startup-kit is for --env prod, without --export")
        return None
    if options["startup_kit"] is None:
        raise UsageError("--env prod needs --startup-kit: the folder of your own kit, the one that holds startup/")
    return open_kit(options["startup_kit"])


def _settings(
    job_name: str, defaults: RunSettings, options: dict[str, Any], export: bool, kit: Kit | None
) -> RunSettings:
    """The run's settings from the command line."""
    if options["mode"] != "federated" and options["env"] in ("poc", "prod"):
        raise UsageError(f"--mode {options['mode']} is a baseline on one machine: leave --env out, or give loop")
    if options["env"] in ("poc", "prod") and not export:
        for needless, default in (("hospitals", None), ("threads", None), ("device", "auto")):
            if options[needless] != default:
                raise UsageError(f"--{needless} is not for --env {options['env']}: each site has its own settings")
    if kit is not None:
        if options["out"] is None:
            options["out"] = Path("runs") / (options["name"] or f"{job_name}_{options['scheme']}")
        options["name"] = None
    elif not export:
        for needed in ("sites_folder", "out"):
            if options[needed] is None:
                raise UsageError(f"--{needed.removesuffix('_folder')} is missing (see --help); --export needs none")
        if options["starting_weights"] != RANDOM:
            raise UsageError("--starting-weights are registered at a server: a simulation starts from random ones")
        for meant in ("hospitals", "name"):
            if options[meant] is not None:
                raise UsageError(f"--{meant} is for --export: a run has the hospitals of --sites and the name of --out")
    if options["local_epochs"] and options["local_steps"]:
        raise UsageError("give --local-epochs or --local-steps, not both")
    if options["env"] is None:
        options["env"] = "sim" if options["mode"] == "federated" else "loop"
    if options["mode"] != "federated" and options["env"] != "loop":
        raise UsageError(f"--mode {options['mode']} has no network to simulate: leave --env out, or give loop")
    if kit is not None:
        sites = study_sites(kit, options["study"])
    elif options["sites_folder"] is not None:
        sites = find_sites(options["sites_folder"])
    else:
        sites = tuple(site_name(number + 1) for number in range(options["hospitals"] or 10))
    name = options["name"] or f"{job_name}_{options['scheme']}"
    changed = ("loss", "optimizer", "learning_rate", "momentum", "schedule", "batch_size", "augment", "precision")
    channels = 1 if options["channels"] == "flair" else 3
    weighting = ("scheme", "alpha", "beta", "gamma", "strict", "cost_source", "cost_reference")
    return replace(
        defaults,
        name=name if export else options["out"].name,
        sites=sites,
        rounds=options["rounds"],
        min_sites=options["min_sites"],
        round_deadline=options["round_deadline"],
        seed=options["seed"],
        study=options["study"],
        starting_weights=options["starting_weights"],
        preprocessing=PreprocessingSettings(
            bias_field=options["bias_field"],
            image_size=options["image_size"],
            channels=options["channels"],
            percentiles=defaults.preprocessing.percentiles,
        ),
        training=replace(
            defaults.training,
            **{key: options[key] for key in changed},
            network_args={**defaults.training.network_args, "in_channels": channels, "features": options["features"]},
            local_epochs=None if options["local_steps"] else options["local_epochs"] or 1,
            local_steps=options["local_steps"],
        ),
        aggregation=replace(defaults.aggregation, **{key: options[key] for key in weighting}),
    )
