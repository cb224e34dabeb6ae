"""Which runs belong together in a comparison: a method's folds and seeds, tested on the same patients as the others."""

import json
import statistics
from collections.abc import Iterable, Sequence

from fedward.errors import FedwardError, UsageError
from fedward.networks.registry import CONTRAST, PRETEXT, SEGMENTATION
from fedward.reports.metrics import number, patient_dice
from fedward.reports.run_data import Run

CENTRAL, LOCAL, REFERENCE, CONTROL = "central", "local", "fedavg", "half_uniform"
Methods = dict[str, list[Run]]


def one_task(runs: Sequence[Run]) -> str:
    """The task of all runs; UsageError where they have several, or are pretrainings, which have no test result."""
    tasks: dict[str, Run] = {}
    for run in runs:
        tasks.setdefault(run.task, run)
    if len(tasks) > 1:
        told = ", ".join(f"{run.folder.root} is {task}" for task, run in sorted(tasks.items()))
        raise UsageError(f"the runs are of different tasks ({told}): compare those of one task")
    for pretraining, what in ((PRETEXT, "classifications"), (CONTRAST, "segmentations")):
        if pretraining in tasks:
            raise UsageError(
                f"{runs[0].folder.root} is a pretraining, which has no test result: train {what} from the encoders "
                "and compare these"
            )
    return next(iter(tasks), SEGMENTATION)


def group_by_method(runs: Sequence[Run]) -> Methods:
    """Runs by method, checked: every method has the same folds, folds share no patient, no seed is there twice.

    The first settings of a scheme are called by its name, further ones "dcew: RUN NAME".

    Raises UsageError where the runs cannot be compared.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.method, _what_it_does(run)), []).append(run)
    methods: Methods = {}
    for (method, _), group in groups.items():
        names = (method, f"{method}: {group[0].name}", f"{method}: {group[0].folder.root}")
        methods[next(name for name in names if name not in methods)] = group
    _check_folds(methods)
    for group in methods.values():
        _check_seeds(group)
    return methods


def check_tested(run: Run, model: str) -> None:
    """Raises FedwardError where the run has no complete test result of `model`."""
    where = run.folder.root
    if run.test is None:
        raise FedwardError(
            f"{where} has no test result (state: {run.info.get('state')}): finish the run, on a partition with test "
            "patients, or leave it out"
        )
    entry = run.test["models"].get(model)
    if entry is None:
        raise FedwardError(f"{where}: test.json has no model {model!r}: test the run again or leave it out")
    if not entry["per_patient"] or patient_dice(entry).keys() != entry["per_patient"].keys():
        raise FedwardError(f"{where}: test.json lacks the Dice of some patients: test the run again or leave it out")


def tested_patients(run: Run) -> frozenset[str]:
    """The patients a tested run was tested on: what makes a fold."""
    assert run.test is not None  # check_tested
    return frozenset(next(iter(run.test["models"].values()))["per_patient"])


def folds(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs of each fold, that is, of each set of test patients."""
    found: dict[frozenset[str], list[Run]] = {}
    for run in runs:
        found.setdefault(tested_patients(run), []).append(run)
    return list(found.values())


def training_settings(run: Run) -> dict[str, object]:
    """The training settings without the number of local epochs or steps, which depends on who holds what."""
    settings = run.settings.get("training")
    items = settings.items() if isinstance(settings, dict) else ()
    return {key: value for key, value in items if key not in ("local_epochs", "local_steps")}


def models_to_compare(runs: Sequence[Run]) -> list[str]:
    """The best and the last model; the best alone where it is every run's last."""
    return ["best"] if all(run.best_round == run.rounds_done for run in runs) else ["best", "last"]


def notes_on_runs(runs: Sequence[Run]) -> list[str]:
    """What makes runs less comparable than they look, and what else their tables do not tell: for the reader."""
    notes = []
    if models_to_compare(runs) == ["best"]:
        notes.append("The best model of each run is that of its last round, so its tables are shown once.")
    unfinished = sorted(run.name for run in runs if run.info.get("state") != "finished")
    if unfinished:
        notes.append(f"Not finished: {', '.join(unfinished)}.")
    for what, values in (
        ("preprocessing", [run.settings.get("preprocessing") for run in runs]),
        ("training settings", [training_settings(run) for run in runs]),
        ("number of rounds", [run.settings.get("rounds") for run in runs]),
        ("starting weights", [run.settings.get("starting_weights") for run in runs]),
    ):
        if _differ(values):
            parts = [value if isinstance(value, dict) else {} for value in values]
            names = [name for name in sorted(set().union(*parts)) if _differ([part.get(name) for part in parts])]
            notes.append(f"The runs differ in their {what}{': ' * bool(names)}{', '.join(names)}.")
    return notes


def _differ(values: Sequence[object]) -> bool:
    return len({json.dumps(value, sort_keys=True) for value in values}) > 1


def mean_steps(runs: Sequence[Run]) -> float:
    """Optimiser steps of a run, the mean of several."""
    return statistics.fmean(number(run.info.get("optimizer_steps")) or 0 for run in runs)


def notes_on_steps(steps: Sequence[float]) -> list[str]:
    """A sentence where methods took clearly different numbers of optimiser steps."""
    if max(steps) - min(steps) <= 0.01 * max(steps):
        return []
    return [f"The methods took different numbers of optimiser steps ({min(steps):.0f} to {max(steps):.0f})."]


def median_rounds(reached: Iterable[int | None]) -> float | None:
    """Median of the rounds that runs needed, None standing for never; None where the median run never got there."""
    middle = statistics.median(float("inf") if done is None else done for done in reached)
    return None if middle == float("inf") else middle


def _what_it_does(run: Run) -> str:
    """The settings that make two runs of one scheme different methods, as a key."""
    keys = ["preprocessing", "rounds", "starting_weights"]
    # Centralised training takes the hospitals' steps together, so they differ from fold to fold; nothing is averaged.
    keys += [] if run.method == CENTRAL else ["training"]
    keys += ["aggregation"] if run.federated else []
    values = {key: run.settings.get(key) for key in keys} | {"common": training_settings(run)}
    return json.dumps(values, sort_keys=True)


def _check_folds(methods: Methods) -> None:
    first, *others = methods.values()
    expected = {tested_patients(run) for run in first}
    for group in others:
        if {tested_patients(run) for run in group} != expected:
            raise UsageError(
                f"{first[0].folder.root} and {group[0].folder.root} were tested on different patients or folds: "
                "compare runs of the same folds of the same data"
            )
    if sum(len(fold) for fold in expected) != len(frozenset().union(*expected)):
        raise UsageError("some patients are tested in two of the folds given: compare runs of one partition's folds")


def _check_seeds(group: list[Run]) -> None:
    seen: dict[tuple[object, object], Run] = {}
    for run in group:
        key = (tested_patients(run), run.info.get("seed"))
        if key in seen:
            raise UsageError(
                f"{seen[key].folder.root} and {run.folder.root} are the same method, fold and seed: leave one out"
            )
        seen[key] = run
