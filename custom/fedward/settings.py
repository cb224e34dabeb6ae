"""The settings of a run: frozen, checked when built, and made of plain values so that a job can carry them.

Everything a user chooses is in here and nothing a machine decides (folders, threads, device): those belong to the
site's own file, `fedward.site_config`.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fedward.contrast.settings import ContrastSettings
from fedward.datasets.selection import SelectionSettings
from fedward.errors import UsageError
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.pretext.settings import PretextSettings
from fedward.rounds.run_folder import check_name, check_run_name
from fedward.weighting.schemes import Scheme, make_scheme

LOSSES = {
    "segmentation": ("bce", "dice_bce"),
    "classification": ("bce",),
    "pretext": ("pretext",),
    "structures": ("ce", "dice_ce"),
    "contrast": ("contrast",),
}
TRAINING_MODES = ("fine_tune", "linear")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16")
DEFAULT_STUDY = "default"  # FLARE's name for a job that names none
RANDOM = "random"
# What a job may ask of a site at most: far above what training needs, far below what would stop a machine.
MOST_SITES, MOST_ROUNDS, MOST_STEPS = 1000, 10_000, 1_000_000
LARGEST_BATCH, LARGEST_BATCH_PIXELS = 1024, 2**25
LARGEST_SEED = 2**32 - 1
LONGEST_ROUND = 7 * 24 * 3600  # seconds
COST_SOURCES = ("site_validation", "site_training", "server_validation")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} {value!r} is unknown: choose one of {', '.join(known)}")


def _flag(name: str, value: bool) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false, not {value!r}")


def _number(name: str, value: float, least: float, most: float = math.inf, whole: bool = True) -> None:
    wrong_type = isinstance(value, bool) or not isinstance(value, int if whole else (int, float))
    if wrong_type or not least <= value <= most or value == math.inf:
        limits = f"from {least} to {most}" if most < math.inf else f"of at least {least}"
        raise UsageError(f"{name} must be a {'whole ' if whole else ''}number {limits}, not {value!r}")


@dataclass(frozen=True)
class TrainingSettings:
    """How one site trains in one round.

    Exactly one of `local_epochs` (passes over the site's images) and `local_steps` (optimiser steps) is given.
    `schedule` moves the learning rate over the rounds: constant, or cosine from `learning_rate` down to zero.
    `precision` is that of the forward pass: "auto" takes bfloat16 on a GPU that has it and float32 elsewhere.
    The optimiser starts afresh every round.

    The task (segmentation, classification, pretext) follows from the network. For classification, `mode` trains the
    whole network (fine_tune) or its classifier on a frozen encoder (linear), and `crop_size` is the height and width
    in pixels of the crop that the network sees: at random in training, in the centre else; None: the whole image.
    """

    network: str = "unet"
    network_args: dict[str, int] = field(default_factory=lambda: {"in_channels": 3, "out_channels": 1, "features": 16})
    loss: str = "dice_bce"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    schedule: str = "constant"
    batch_size: int = 16
    local_epochs: int | None = 1
    local_steps: int | None = None
    augment: bool = True
    precision: str = "auto"
    mode: str = "fine_tune"
    crop_size: int | None = None

    def __post_init__(self) -> None:
        from fedward.networks.registry import check_network

        check_network(self.network, self.network_args)
        _one_of(f"{self.task} loss", self.loss, LOSSES[self.task])
        _one_of("training mode", self.mode, TRAINING_MODES)
        if self.task != "classification" and (self.mode != "fine_tune" or self.crop_size is not None):
            raise UsageError(f"mode and crop_size are for classification, and {self.network} is for {self.task}")
        if self.crop_size is not None:
            _number("crop_size", self.crop_size, 32, 1024)
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("learning-rate schedule", self.schedule, SCHEDULES)
        _one_of("precision", self.precision, PRECISIONS)
        _flag("augment", self.augment)
        _number("learning_rate", self.learning_rate, 0, 1000, whole=False)
        _number("momentum", self.momentum, 0, 1, whole=False)
        _number("batch_size", self.batch_size, 1, LARGEST_BATCH)
        if (self.local_epochs is None) == (self.local_steps is None):
            raise UsageError("give either local_epochs or local_steps, not both and not neither")
        _number("local_epochs or local_steps", self.local_epochs or self.local_steps or 0, 1, MOST_STEPS)

    @property
    def task(self) -> str:
        """What the network is trained for."""
        from fedward.networks.registry import task_of

        return task_of(self.network)

    def travels(self, key: str) -> bool:
        """Whether a layer changes in training and so goes to the sites and back each round."""
        return self.mode != "linear" or key.startswith("classifier.")


@dataclass(frozen=True)
class AggregationSettings:
    """How the server weights the sites' models; see `fedward.weighting.schemes` for the schemes."""

    scheme: str = "dcew"
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    strict: bool = False
    cost_source: str = "site_validation"
    cost_reference: str = "previous_round"
    pooled_variance: bool = False

    def __post_init__(self) -> None:
        self.weighting_scheme()
        _one_of("cost_source", self.cost_source, COST_SOURCES)
        if (self.cost_source, self.cost_reference) == ("site_training", "round_start"):
            raise UsageError(
                "cost_reference round_start compares the received model with the trained one on the same images, and "
                "the received one is measured on validation images: use cost_source site_validation or "
                "server_validation"
            )
        _flag("pooled_variance", self.pooled_variance)

    def weighting_scheme(self) -> Scheme:
        """The scheme these settings name; UsageError where they do not fit it."""
        return make_scheme(self.scheme, self.alpha, self.beta, self.gamma, self.strict, self.cost_reference)


@dataclass(frozen=True)
class RunSettings:
    """One run: who takes part, for how many rounds, and how each round trains and is aggregated.

    `min_sites` results must count for a round to close (default: all). `round_deadline` is in seconds. `study` is the
    approved study the run belongs to; a hospital whose fedward.yml lists its studies refuses any other.
    `starting_weights` is "random", or a name registered in the server's fedward.yml. `selection` says which rows and
    labels of an image data set are used; `pretext` and `contrast` how a pretraining on images or volumes without labels
    learns, and None for other tasks.
    """

    name: str
    sites: tuple[str, ...]
    rounds: int = 25
    data_set: str = "lgg"
    study: str = DEFAULT_STUDY
    starting_weights: str = RANDOM
    min_sites: int | None = None
    round_deadline: float = 3600.0
    seed: int = 1
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    aggregation: AggregationSettings = field(default_factory=AggregationSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    pretext: PretextSettings | None = None
    contrast: ContrastSettings | None = None

    def __post_init__(self) -> None:
        from fedward.task_settings import check_task

        check_run_name(self.name)
        check_name("study", self.study)
        check_name("starting weights", self.starting_weights)
        if not isinstance(self.sites, tuple | list) or not self.sites:
            raise UsageError(f"sites must be a list of names, at least one; got {self.sites!r}")
        if len(self.sites) > MOST_SITES:
            raise UsageError(f"a run has at most {MOST_SITES} sites; got {len(self.sites)}")
        sites = sorted(check_name("site name", site) for site in self.sites)  # they name spool files
        if len(set(sites)) != len(sites):
            raise UsageError(f"sites must be different names; got {', '.join(sites)}")
        object.__setattr__(self, "sites", tuple(sites))
        if self.min_sites is None:
            object.__setattr__(self, "min_sites", len(self.sites))
        _number("rounds", self.rounds, 1, MOST_ROUNDS)
        _number("seed", self.seed, 0, LARGEST_SEED)
        _number("round_deadline", self.round_deadline, 1, LONGEST_ROUND, whole=False)
        _number("min_sites", self.quorum, 1)
        if self.quorum > len(self.sites):
            raise UsageError(f"min_sites is {self.quorum} but only {len(self.sites)} sites take part: give fewer")
        check_task(self)
        pixels = self.training.batch_size * self.preprocessing.image_size**2
        if pixels > LARGEST_BATCH_PIXELS:
            raise UsageError(
                f"a batch of {self.training.batch_size} images of {self.preprocessing.image_size} x "
                f"{self.preprocessing.image_size} has {pixels:,} pixels: at most {LARGEST_BATCH_PIXELS:,} are allowed"
            )

    @property
    def quorum(self) -> int:
        assert self.min_sites is not None  # set in __post_init__
        return self.min_sites

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        values["sites"] = list(self.sites)
        values["preprocessing"] = self.preprocessing.to_dict()
        values["selection"] = self.selection.to_dict()
        if self.contrast is None:
            del values["contrast"]  # runs of other tasks, and their fingerprints, are older than it
        return values

    def fingerprint(self) -> str:
        """SHA-256 of all settings; a run goes on only with the settings it began with."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def section(kind: type, values: Any, where: str) -> Any:
    """Build a settings class from plain values; unknown keys are a UsageError that lists the known ones."""
    if not isinstance(values, dict):
        raise UsageError(f"{where} must be a mapping, not {type(values).__name__}")
    known = [f.name for f in fields(kind)]
    unknown = sorted(str(key) for key in set(values) - set(known))
    if unknown:
        raise UsageError(f"{where} has unknown settings {', '.join(unknown)}: known are {', '.join(known)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"{where}: {error}") from error


def run_settings_from_dict(values: Any) -> RunSettings:
    """The inverse of `RunSettings.to_dict`."""
    if not isinstance(values, dict):
        raise UsageError(f"run settings must be a mapping, not {type(values).__name__}: export the job again")
    values = dict(values)
    for name, kind in (
        ("preprocessing", PreprocessingSettings),
        ("training", TrainingSettings),
        ("aggregation", AggregationSettings),
        ("selection", SelectionSettings),
        ("pretext", PretextSettings),
        ("contrast", ContrastSettings),
    ):
        if values.get(name) is not None or (name in values and name not in ("pretext", "contrast")):
            values[name] = section(kind, values[name], name)
    settings: RunSettings = section(RunSettings, values, "run settings")
    return settings
