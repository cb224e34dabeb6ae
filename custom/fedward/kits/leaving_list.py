"""What may leave a hospital with a task's result: the list in its kit, read and checked.

It is the arguments of `fedward.flare.leaving.LeavingFilter` in `local/privacy.json`:

    "parameters": {"train": {"layers": ["encoder.*"], "max_bytes": 1000000000}}   # of which task, which layers
    "metrics":    ["loss", "start.cost", "start.auc"]   # numbers of the site's report
    "counts":     {"samples": 1, "start.images": 10}    # whole numbers, rounded to a multiple of that
    "warnings":   true                                  # the agreed sentences below, none other
    "features":   {"max_rows": 4096, "min_noise": 0}    # of its images, for other sites; absent: none
    "errors":     "kind"                                # or "full": the site's own sentence leaves

A measurement's details (`fedward.evaluation.detail_names`) are listed by their group: start.auc stands for the AUC of
every finding, start.positives and start.negatives (counts) for the images with and without it, start.features for
features.std and features.rank of a pretraining, start.knn for the AUC of its probe or the share of its
neighbours, start.dice for the Dice of every
structure; start.true_positive and its like (counts) stand for the pixels of every structure too.
`fedward.kits.leaving` applies it.
"""

import builtins
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from fedward import errors
from fedward.errors import UsageError
from fedward.rounds import site_report

EVALUATIONS = ("start", "end")
EVALUATION_METRICS = ("cost", "quality")
EVALUATION_COUNTS = site_report.COUNTS
DETAIL_METRICS = ("auc", "features", "knn", "dice")
DETAIL_COUNTS = ("positives", "negatives")
METRICS = (
    *("train_seconds", "loss"),
    *(f"{part}.{name}" for part in EVALUATIONS for name in (*EVALUATION_METRICS, *DETAIL_METRICS)),
)
COUNTS = (
    *("samples", "steps"),
    *(f"{part}.{name}" for part in EVALUATIONS for name in (*EVALUATION_COUNTS, *DETAIL_COUNTS)),
)
NEEDED = ("train_seconds", "loss", "samples", "steps")  # without these the server refuses every result
AGREED_WARNINGS = (
    "no validation patient: the site trains, its cost and Dice are missing",
    "no validation patient: the site trains, the global model is not measured",
    "no tumour pixel in its training images: the site trains, its cost and Dice are missing",
    "no tumour pixel in its validation images: the site trains, its cost and Dice are missing",
    # chest X-rays
    "no validation patient: the site trains, its cost and AUC are missing",
    "no known label in its training images: the site trains, its cost and AUC are missing",
    "no known label in its validation images: the site trains, its cost and AUC are missing",
    "no finding has both classes in its training images: the site trains, its AUC is missing",
    "no finding has both classes in its validation images: the site trains, its AUC is missing",
    "a single training image: batch normalisation keeps the received statistics",
    "the label fraction is less than one patient: one patient is used",
    # structures in volumes
    "scans without labels are left out",
    "no structure in its training images: the site trains, its cost and Dice are missing",
    "no structure in its validation images: the site trains, its cost and Dice are missing",
    "a structure is absent from its training images: only other sites can teach it",
    "a structure is absent from its validation images: its Dice is over the others",
    # pretraining
    "the features have collapsed: all validation images look nearly alike to the encoder",
    "no validation patient: the site trains, its loss and features are not measured",
    "too few validation images to tell whether the features have collapsed",
    # contrastive pretraining on volumes
    "a single training scan: no local positives, it learns from the other sites' features alone",
    "a single training scan and no features of others: it has no positives and learns nothing",
    "a single training patient: its local positives are other frames of the same heart",
    "training scans with fewer slices than partitions: some partitions hold no slice of theirs",
    "fewer features than the negatives that the job asks for: all of them are used",
)
ERRORS = ("kind", "full")
KEYS = ("parameters", "metrics", "counts", "warnings", "features", "errors")
# Names of error classes that may be told: a name made up at run time could say anything.
ERROR_CLASSES = frozenset(
    [name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)]
    + [name for name, value in vars(errors).items() if isinstance(value, type)]
    + ["OutOfMemoryError", "AcceleratorError", "SafetensorError", "UnsafeJobError"]
)


@dataclass(frozen=True)
class LayerRule:
    """Layers of one task's result that may leave (patterns as in a shell), and how many bytes of them in all."""

    layers: tuple[str, ...]
    max_bytes: int

    def names(self, layer: str) -> bool:
        return any(fnmatchcase(layer, pattern) for pattern in self.layers)


@dataclass(frozen=True)
class FeatureRule:
    """Most rows of a feature table that may leave, and the least standard deviation of the noise on them (0: none)."""

    max_rows: int
    min_noise: float


@dataclass(frozen=True)
class Rules:
    """The list of what may leave, read and checked."""

    parameters: dict[str, LayerRule]
    metrics: frozenset[str]
    counts: dict[str, int]
    warnings: bool
    features: FeatureRule | None
    errors: str


def read_rules(values: Any) -> Rules:
    """Check a list; UsageError says what is wrong with it and what to write instead."""
    values = _mapping(values, "the list of what may leave")
    _known(values, KEYS, "the list of what may leave")
    metrics = values.get("metrics", [])
    if not isinstance(metrics, list) or not all(isinstance(name, str) for name in metrics):
        raise UsageError(f"metrics must be a list of names, not {metrics!r}")
    _known(metrics, METRICS, "metrics")
    counts = _mapping(values.get("counts", {}), "counts")
    _known(counts, COUNTS, "counts")
    features = values.get("features")
    errors_ = values.get("errors", "kind")
    if errors_ not in ERRORS:
        raise UsageError(f'errors must be "kind" or "full", not {errors_!r}')
    warnings = values.get("warnings", False)
    if not isinstance(warnings, bool):
        raise UsageError(f"warnings must be true or false, not {warnings!r}")
    rules = Rules(
        parameters={
            task: _layer_rule(rule, f"parameters of task {task}")
            for task, rule in _mapping(values.get("parameters", {}), "parameters").items()
        },
        metrics=frozenset(metrics),
        counts={name: _whole(f"counts.{name}", step, 1) for name, step in counts.items()},
        warnings=warnings,
        features=None if features is None else _feature_rule(features),
        errors=errors_,
    )
    _usable(rules)
    return rules


def _layer_rule(values: Any, where: str) -> LayerRule:
    values = _mapping(values, where)
    _known(values, ("layers", "max_bytes"), where)
    layers = values.get("layers")
    if not isinstance(layers, list) or not layers or not all(isinstance(name, str) and name for name in layers):
        raise UsageError(f"{where}: layers must be a list of patterns such as 'encoder.*', not {layers!r}")
    return LayerRule(tuple(layers), _whole(f"{where}: max_bytes", values.get("max_bytes"), 1))


def _feature_rule(values: Any) -> FeatureRule:
    values = _mapping(values, "features")
    _known(values, ("max_rows", "min_noise"), "features")
    noise = values.get("min_noise")
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < math.inf:
        raise UsageError(f"features: min_noise must be a number of at least 0, not {noise!r}")
    return FeatureRule(_whole("features: max_rows", values.get("max_rows"), 1), float(noise))


def _usable(rules: Rules) -> None:
    """A site whose every result the server must refuse would only look as if it took part."""
    listed = rules.metrics | rules.counts.keys()
    missing = [name for name in NEEDED if name not in listed]
    if missing:
        raise UsageError(f"{', '.join(missing)} must be listed: the server refuses results without")
    for part in EVALUATIONS:
        names = [f"{part}.{name}" for name in (*EVALUATION_METRICS, *EVALUATION_COUNTS)]
        lacking = [name for name in names if name not in listed]
        if lacking and len(lacking) < len(names):
            raise UsageError(f"{', '.join(lacking)} must be listed too: the server takes all of {part} or nothing")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{where} must be a mapping, not {value!r}")
    return value


def _known(given: Iterable[str], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"{where}: {', '.join(unknown)} unknown: known are {', '.join(known)}")


def _whole(where: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{where} must be a whole number of at least {least}, not {value!r}")
    return value
