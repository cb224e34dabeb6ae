"""The command line of a training job: `python jobs/NAME/job.py ...`, built from a `Job`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from fedward.datasets.layout import read_partition
from fedward.datasets.partition import site_name
from fedward.errors import UsageError
from fedward.job_options import TRAINING, WEIGHTING, Job, all_options, with_options
from fedward.kits.kit import Kit, open_kit
from fedward.remote import study_sites
from fedward.reports.event_files import check_extra
from fedward.run_checks import check_out
from fedward.running import run_and_report, run_in_poc, run_remotely
from fedward.settings import RANDOM, RunSettings
from fedward.simulation import (
    COORDINATOR,
    WEIGHTS,
    find_sites,
    own_weights,
    registered_weights,
    site_data_sets,
    threads_per_site,
)


def training_command(job: Job) -> click.Command:
    """The click command of a job; it exports, or trains and reports."""

    def command(**options: Any) -> None:
        export, export_folder = _export_arguments()
        kit = _kit(options, export)
        settings = _settings(job, options, export, kit)
        if export:
            from fedward.flare.recipe import export_job

            click.echo(f"Job folder: {export_job(settings, export_folder, options['tensorboard'])}")
            return
        click.echo(f"Report: {_run(settings, options, kit)}")

    examples = "\n".join(f"  job.py {arguments}" for arguments in job.examples)
    return click.command(
        name="job.py",
        context_settings={"show_default": True, "help_option_names": ["-h", "--help"], "max_content_width": 110},
        help=f"{job.title}\n\n\b\nExamples:\n{examples}",
        epilog="--export writes the FLARE job folder instead of running it, to --export-dir DIR (./fl_job); "
        "it needs no data. SITES is made by fedward partition.",
    )(with_options(command, all_options(job)))


def _run(settings: RunSettings, options: dict[str, Any], kit: Kit | None) -> Path:
    """Train where --env says, and report: the report's path."""
    sites_folder, folder, tensorboard = options["sites_folder"], check_out(options["out"]), options["tensorboard"]
    if kit is not None:
        return run_remotely(settings, kit, sites_folder, folder, tensorboard, Console())
    if options["env"] == "poc":
        return run_in_poc(settings, sites_folder, folder, tensorboard, Console())
    return run_and_report(
        settings,
        mode=options["mode"],
        environment=options["env"],
        sites_folder=sites_folder,
        folder=folder,
        threads=options["threads"] or threads_per_site(1 if options["mode"] == "central" else len(settings.sites)),
        device=options["device"],
        tensorboard=tensorboard,
        console=Console(),
    )


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


def _settings(job: Job, options: dict[str, Any], export: bool, kit: Kit | None) -> RunSettings:
    """The run's settings from the command line."""
    _check_options(job, options, export, kit)
    name = options["name"] or job.run_name(options)
    if kit is not None and options["out"] is None:
        options["out"] = Path("runs") / name
    sites = _sites(options, export, kit)
    data_set = _data_set(job, options, sites)
    changes = job.changes(options, sites, data_set)
    if not export and kit is None:
        _check_weights(options["starting_weights"], options["sites_folder"], sites, options["mode"])
        _check_probe(changes, options["sites_folder"])
    epochs = {
        "local_epochs": None if options["local_steps"] else options["local_epochs"] or 1,
        "local_steps": options["local_steps"],
    }
    training = {**{key: options[key] for key in TRAINING}, **epochs, **changes.pop("training")}
    return replace(
        job.defaults,
        name=name if export else options["out"].name,
        sites=sites,
        rounds=options["rounds"],
        data_set=data_set,
        min_sites=options["min_sites"],
        round_deadline=options["round_deadline"],
        seed=options["seed"],
        study=options["study"],
        starting_weights=options["starting_weights"],
        training=replace(job.defaults.training, **training),
        aggregation=replace(job.defaults.aggregation, **{key: options[key] for key in WEIGHTING}),
        **changes,
    )


def _check_options(job: Job, options: dict[str, Any], export: bool, kit: Kit | None) -> None:
    """UsageError for options that do not go together; settles --env."""
    mode = options["mode"]
    if options["tensorboard"]:
        check_extra()
    if mode != "federated" and options["env"] in ("poc", "prod"):
        raise UsageError(f"--mode {mode} is a baseline on one machine: leave --env out, or give loop")
    if options["env"] in ("poc", "prod") and not export:
        for needless, default in (("hospitals", None), ("threads", None), ("device", "auto")):
            if options[needless] != default:
                raise UsageError(f"--{needless} is not for --env {options['env']}: each site has its own settings")
    if kit is None and not export:
        for needed in ("sites_folder", "out"):
            if options[needed] is None:
                raise UsageError(f"--{needed.removesuffix('_folder')} is missing (see --help); --export needs none")
        for meant in ("hospitals", "name"):
            if options[meant] is not None:
                raise UsageError(f"--{meant} is for --export: a run has the hospitals of --sites and the name of --out")
    if options["local_epochs"] and options["local_steps"]:
        raise UsageError("give --local-epochs or --local-steps, not both")
    if options["env"] is None:
        options["env"] = "sim" if mode == "federated" else "loop"
    if mode != "federated" and options["env"] != "loop":
        raise UsageError(f"--mode {mode} has no network to simulate: leave --env out, or give loop")


def _sites(options: dict[str, Any], export: bool, kit: Kit | None) -> tuple[str, ...]:
    """Who trains: the sites of --sites; on a network, those of the study; at an export, as many as asked for."""
    at = options.get("at") or ("hospitals" if "at" not in options or options["hospitals"] else COORDINATOR)
    if kit is not None:
        return study_sites(kit, options["study"], coordinator=at == COORDINATOR)
    if options["sites_folder"] is None:
        if at == COORDINATOR:
            if options["hospitals"]:
                raise UsageError("--hospitals is for --at hospitals: leave one of them out")
            return (COORDINATOR,)
        return tuple(site_name(number + 1) for number in range(options["hospitals"] or 10))
    sites = find_sites(options["sites_folder"])
    if options.get("at") and (at == COORDINATOR) != (sites == (COORDINATOR,)):
        raise UsageError(
            f"--at {at} is not for {options['sites_folder']}, which holds {', '.join(sites)}: leave --at out, or give "
            "other --sites"
        )
    return sites


def _data_set(job: Job, options: dict[str, Any], sites: tuple[str, ...]) -> str:
    """The data set of the run, which --sites decides where it is given."""
    asked: str | None = options.get("data_set")
    if options["sites_folder"] is None:
        return asked or (job.defaults.data_set if sites == (COORDINATOR,) else job.data_sets[0])
    held = str(read_partition(options["sites_folder"])["data_set"])
    if held != (asked or held) or held not in job.data_sets:
        wanted = asked or " or ".join(job.data_sets)
        what = "leave --data-set out" if held in job.data_sets else "give other --sites, or take another job"
        raise UsageError(f"{options['sites_folder']} holds images of {held}, and this run is for {wanted}: {what}")
    return held


def _check_weights(name: str, sites_folder: Path, sites: tuple[str, ...], mode: str) -> None:
    known = registered_weights(sites_folder)
    own = [own_weights(name, site) for site in sites]
    if name not in known and any(each in known for each in own):
        if mode != "local":
            raise UsageError(
                f"starting weights {name!r} are of hospitals that pretrained alone: they need --mode local"
            )
        if missing := [each for each in own if each not in known]:
            raise UsageError(
                f"starting weights {missing[0]!r} are not registered in {sites_folder / WEIGHTS}: each hospital needs "
                "its own; pretrain all of them with --mode local, and register that run"
            )
    elif name != RANDOM and name not in known:
        raise UsageError(
            f"starting weights {name!r} are not registered in {sites_folder / WEIGHTS} (known: "
            f"{', '.join([RANDOM, *sorted(known)])}): fedward register-weights {name} SOURCE --sites {sites_folder}"
        )


def _check_probe(changes: dict[str, Any], sites_folder: Path) -> None:
    pretext = changes.get("pretext")
    probe = pretext.probe_data_set if pretext else None
    if probe is not None and probe not in site_data_sets(sites_folder, COORDINATOR):
        raise UsageError(
            f"{sites_folder} has no images of {probe} to probe on: lay them out with fedward partition --probe "
            f"{probe}=DIR, or leave --probe-data-set out"
        )
