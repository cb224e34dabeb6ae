"""Options of a training job's command line that every job has, with the job's own defaults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fedward.run_checks import ENVIRONMENTS, MODES, Mode
from fedward.settings import COST_SOURCES, OPTIMIZERS, PRECISIONS, SCHEDULES, RunSettings
from fedward.weighting.schemes import SCHEMES

FOLDER = click.Path(path_type=Path, file_okay=False)
Option = Callable[[Any], Any]  # a click decorator
# What the options set of TrainingSettings and AggregationSettings, under the same names
TRAINING = ("optimizer", "learning_rate", "momentum", "schedule", "batch_size", "precision")
WEIGHTING = ("scheme", "alpha", "beta", "gamma", "strict", "cost_source", "cost_reference")


@dataclass(frozen=True)
class Job:
    """A training job: its defaults, and what its command line has beside the options of every job.

    quality    what the sites' quality is, in the help
    options    options of this job alone; --at, where there is one, is hospitals or coordinator: who trains
    changes    (options, sites, data set) -> the RunSettings fields that the options change; those of `training` as a
               mapping
    data_sets  those it can train on, the hospitals' usual one first; the coordinator's is that of the defaults
    run_name   options -> name of job and run where none is given
    """

    name: str
    title: str
    defaults: RunSettings
    quality: str
    examples: tuple[str, ...]
    options: tuple[Option, ...]
    changes: Callable[[dict[str, Any], tuple[str, ...], str], dict[str, Any]]
    data_sets: tuple[str, ...]
    run_name: Callable[[dict[str, Any]], str]
    modes: tuple[Mode, ...] = MODES


def with_options(command: Callable[..., Any], options: Sequence[Option]) -> Callable[..., Any]:
    """`command` with the options, which its help lists in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def all_options(job: Job) -> list[Option]:
    """Every option of the job's command line, in the order of its help."""
    return [*_place(job), *_weighting(job), *_rounds(job), *job.options, *_run(job)]


def _place(job: Job) -> list[Option]:
    what = "Central and local are baselines." if len(job.modes) > 2 else "Central: all images in one place."
    return [
        click.option("--sites", "sites_folder", type=FOLDER, help="Folder of the sites, from fedward partition."),
        click.option("--out", type=click.Path(path_type=Path), help="Run folder to make; its last part names the run."),
        click.option("--mode", type=click.Choice(job.modes), default="federated", help=what),
        click.option(
            "--env",
            type=click.Choice(ENVIRONMENTS),
            help="FLARE simulator; one plain process; FLARE's proof of concept on this machine; a real network. "
            "[default: sim; baselines: loop]",
        ),
        click.option(
            "--startup-kit", type=FOLDER, help="With --env prod: your own kit, the folder that holds startup/."
        ),
    ]


def _weighting(job: Job) -> list[Option]:
    aggregation = job.defaults.aggregation
    references = ["previous_round", "round_start"]
    return [
        click.option(
            "--scheme", type=click.Choice(list(SCHEMES)), default=aggregation.scheme, help="Weighting of the sites."
        ),
        click.option("--alpha", type=float, help="Coefficient of the size share."),
        click.option("--beta", type=float, help="Coefficient of the cost share."),
        click.option(
            "--gamma", type=float, help=f"Coefficient of the {job.quality} share (fedpid: of the cost integral)."
        ),
        click.option("--strict", is_flag=True, help="Ratios and drops as published: no clamp, no smoothing."),
        click.option("--cost-source", type=click.Choice(COST_SOURCES), default=aggregation.cost_source),
        click.option("--cost-reference", type=click.Choice(references), default=aggregation.cost_reference),
    ]


def _rounds(job: Job) -> list[Option]:
    training = job.defaults.training
    epochs = "Passes over a site's images per round. [default: 1]"
    return [
        click.option("--rounds", type=click.IntRange(1), default=job.defaults.rounds),
        click.option("--local-epochs", type=click.IntRange(1), help=epochs),
        click.option("--local-steps", type=click.IntRange(1), help="Optimiser steps per round, instead of epochs."),
        click.option("--batch-size", type=click.IntRange(1), default=training.batch_size),
        click.option("--optimizer", type=click.Choice(OPTIMIZERS), default=training.optimizer),
        click.option("--learning-rate", type=float, default=training.learning_rate),
        click.option("--momentum", type=float, default=training.momentum, help="Of SGD."),
        click.option("--schedule", type=click.Choice(SCHEDULES), default=training.schedule, help="Over the rounds."),
        click.option(
            "--precision", type=click.Choice(PRECISIONS), default=training.precision, help="Of the forward pass."
        ),
    ]


def _run(job: Job) -> list[Option]:
    defaults = job.defaults
    weights = "Random, or a name registered with fedward register-weights."
    board = (
        "Each round also to event files in OUT/tensorboard, with every --mode and --env (needs the extra "
        "'tensorboard'). With --export: FLARE's own receiver writes them at the server."
    )
    return [
        click.option("--study", default=defaults.study, help="Approved study that the run belongs to."),
        click.option("--starting-weights", default=defaults.starting_weights, help=weights),
        click.option("--seed", type=click.IntRange(0), default=defaults.seed),
        click.option("--min-sites", type=click.IntRange(1), help="Results a round needs. [default: all sites]"),
        click.option("--round-deadline", type=float, default=defaults.round_deadline, help="Seconds a round may take."),
        click.option("--threads", type=click.IntRange(1), help="Torch threads of a site. [default: cores / sites]"),
        click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N."),
        click.option("--tensorboard", is_flag=True, help=board),
        click.option("--hospitals", type=click.IntRange(1), help="With --export: number of hospitals. [default: 10]"),
        click.option("--name", help="With --export: name of job and run. [default: made from the job's options]"),
    ]
