"""Which runs are one method where starting weights and the number of labels are what is compared."""

import json
from collections.abc import Sequence

from fedward.errors import UsageError
from fedward.reports.compare import TITLES
from fedward.reports.methods import training_settings
from fedward.reports.metrics import number
from fedward.reports.run_data import Run


def group_by_initialisation(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by what they do, titled by what tells them apart; a method's runs differ in seed or draw of labels.

    UsageError where two are the same in these too.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_what_it_does(run), []).append(run)
    words = {key: _words(group[0]) for key, group in groups.items()}
    telling = [i for i, values in enumerate(zip(*words.values(), strict=True)) if len(set(values)) > 1] or [0]
    titled: dict[str, list[Run]] = {}
    for key, group in groups.items():
        title = ", ".join(words[key][i] for i in telling)
        names = (title, f"{title}: {group[0].name}", f"{title}: {group[0].folder.root}")
        titled[next(name for name in names if name not in titled)] = group
        _check_seeds(group)
    return titled


def _words(run: Run) -> tuple[str, ...]:
    """What a method may be called by: scheme, starting weights, mode, part of the labels or labelled patients."""
    patients = _selection(run).get("labelled_patients")
    labelled = "all labelled patients" if patients is None else f"{patients} labelled patient{'s'[: patients != 1]}"
    fraction = number(_selection(run).get("label_fraction"))
    mode = "linear" if run.training.get("mode") == "linear" else "fine-tuning"
    weights = str(run.settings.get("starting_weights") or "random")
    part = f"{100 * (fraction or 1):g} % of the patients"
    return TITLES.get(run.method, run.method), f"{weights} start", mode, part, labelled


def _selection(run: Run) -> dict[str, object]:
    found = run.settings.get("selection")
    return found if isinstance(found, dict) else {}


def _what_it_does(run: Run) -> str:
    """The settings that make two runs different methods, as a key: all but the seed and the draw of labels."""
    selection = {key: value for key, value in _selection(run).items() if key != "draw"}
    keys = ["preprocessing", "rounds", "starting_weights"]
    # centralised and local runs take a number of steps of their own, and average nothing
    keys += ["training", "aggregation"] if run.federated else []
    values = {key: run.settings.get(key) for key in keys}
    return json.dumps([run.method, selection, training_settings(run), values], sort_keys=True)


def _check_seeds(group: Sequence[Run]) -> None:
    seen: dict[tuple[object, object], Run] = {}
    for run in group:
        key = (run.info.get("seed"), _selection(run).get("draw"))
        if key in seen:
            raise UsageError(
                f"{seen[key].folder.root} and {run.folder.root} are the same method, seed and draw: leave one out"
            )
        seen[key] = run
