"""A site's list of what may leave (local/privacy.json) against the template: what it adds, and what it keeps."""

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fedward.kits.finding import Finding, ok, problem
from fedward.kits.kit import Kit
from fedward.kits.leaving_list import Rules
from fedward.kits.leaving_plan import scope_of
from fedward.kits.leaving_words import features
from fedward.kits.templates import template
from fedward.rounds.run_folder import read_json, write_json

NAME = "privacy.json"
MOST_FEATURES = 4096  # rows; the template lets none out, and a hospital agrees to exchange them by its own rule
CORRECT = "correct local/privacy.json, or restore it from the kit as it was handed out"


def check_leaving(kit: Kit, privacy_problems: Callable[[Path], list[str]]) -> list[Finding]:
    """Faults of the file, or else what it lets out beyond the template, and less. Any scope counts: a job names one."""
    path = kit.local / NAME
    if wrong := privacy_problems(path):
        return [problem(NAME, text, CORRECT) for text in wrong]
    values = read_json(path)
    looser, stricter = compare_with_template(values)
    found = [problem(NAME, f"looser than the template: {text}", CORRECT) for text in looser]
    found += [ok(NAME, f"stricter than the template: {text}") for text in stricter]
    found += [ok(NAME, f"also: {text}") for text in (*_agreed_features(values), *_other_filters(values))]
    return found or [ok(NAME, "as in the template")]


def compare_with_template(values: Any) -> tuple[list[str], list[str]]:
    """What leaves with this privacy.json and not with the template, and the reverse. The file must be without fault."""
    _, wanted, _ = scope_of(json.loads(template("hospital", NAME).read_text(encoding="utf-8")))
    looser: list[str] = []
    stricter: list[str] = []
    for scope in values["scopes"]:
        name, rules, _ = scope_of(values, scope["name"])
        more, less = _compare(wanted, rules)
        looser += [f"scope {name}: {text}" for text in more]
        stricter += [f"scope {name}: {text}" for text in less]
    return looser, stricter


def _agreed_features(values: Any) -> list[str]:
    rules = {name: scope_of(values, name)[1] for name in (scope["name"] for scope in values["scopes"])}
    return [f"scope {name}: features leave: {features(r)}" for name, r in rules.items() if r.features is not None]


def _other_filters(values: Any) -> list[str]:
    found = []
    for scope in values["scopes"]:
        name, _, others = scope_of(values, scope["name"])
        for entry in others:
            arguments = entry.get("args", {})
            entry = arguments["filter"] if isinstance(arguments.get("filter"), dict) else entry
            short = str(entry["path"]).rpartition(".")[2]
            found.append(f"scope {name}: {short} {json.dumps(entry.get('args', {}))} before the list")
    return found


def agree_to_features(path: Path) -> None:
    """Let features leave with a privacy.json as handed out, as many as may; for hospitals tried out on one machine."""
    values = read_json(path)
    for scope in values["scopes"]:
        scope["task_result_filters"][-1]["args"]["features"] = {"max_rows": MOST_FEATURES, "min_noise": 0}
    write_json(path, values)


def _compare(old: Rules, new: Rules) -> tuple[list[str], list[str]]:
    more: list[str] = []
    less: list[str] = []
    for task in sorted(old.parameters.keys() | new.parameters.keys()):
        _compare_layers(task, old, new, more, less)
    more += [f"metric {name} leaves" for name in sorted(new.metrics - old.metrics)]
    less += [f"metric {name} stays" for name in sorted(old.metrics - new.metrics)]
    _compare_counts(old.counts, new.counts, more, less)
    if new.warnings != old.warnings:
        (more if new.warnings else less).append("warnings leave" if new.warnings else "warnings stay")
    if new.features is not None and new.features.max_rows > MOST_FEATURES:
        more.append(f"{new.features.max_rows:,} features leave, and {MOST_FEATURES:,} are the most")
    if new.errors != old.errors:
        full = new.errors == "full"
        (more if full else less).append(
            "of an error the full text leaves" if full else "of an error its kind alone leaves"
        )
    return more, less


def _compare_layers(task: str, old: Rules, new: Rules, more: list[str], less: list[str]) -> None:
    before, now = old.parameters.get(task), new.parameters.get(task)
    if before is None or now is None:
        (more if now else less).append(f"parameters of task {task} {'leave' if now else 'stay'}")
        return
    more += [f"layers {one} of task {task} leave" for one in now.layers if not _covered(one, before.layers)]
    less += [f"layers {one} of task {task} stay" for one in before.layers if not _covered(one, now.layers)]
    if now.max_bytes != before.max_bytes:
        text = f"{now.max_bytes} bytes of task {task} may leave, not {before.max_bytes}"
        (more if now.max_bytes > before.max_bytes else less).append(text)


def _covered(pattern: str, patterns: tuple[str, ...]) -> bool:
    """Whether each layer that `pattern` names is named by one of `patterns`: a star covers whatever stands there."""
    return any(one == pattern or (not set("?[") & set(one) and fnmatchcase(pattern, one)) for one in patterns)


def _compare_counts(old: Mapping[str, int], new: Mapping[str, int], more: list[str], less: list[str]) -> None:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            more.append(f"count {name} leaves")
        elif name not in new:
            less.append(f"count {name} stays")
        elif new[name] < old[name]:
            more.append(f"count {name} is rounded to {new[name]}, not to {old[name]}")
        elif new[name] > old[name]:
            less.append(f"count {name} is rounded to {new[name]}")
