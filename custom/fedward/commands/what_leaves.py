"""`fedward what-leaves`: what may leave a hospital with its kit, and what a job would send, in words."""

import json
from pathlib import Path
from typing import Any

import click

from fedward.errors import UsageError


@click.command(
    "what-leaves",
    epilog="Examples: fedward what-leaves hospital-01; fedward what-leaves hospital-01 jobs/lgg_segmentation/dcew",
)
@click.argument("kit", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("job", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option("--layers", is_flag=True, help="List every layer of the job's network.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
def command(kit: Path, job: Path | None, layers: bool, as_json: bool) -> int:
    """Say what may leave the hospital of KIT, and what JOB (a job folder) would send of it.

    It reads local/privacy.json of the kit, checks it as the start of the site does, and builds the network of the job
    without training anything. Exit code 0: said; 1: the list is wrong, or looser than the template, so the site does
    not start with it (a looser one is said all the same); 2: wrong usage.
    """
    if layers and job is None:
        raise UsageError("--layers lists the layers of a job's network: give the job folder as well")
    said = what_leaves(kit, job)
    if as_json:
        click.echo(json.dumps(said, indent=1))
    else:
        show(said, layers)
    return 1 if said["looser"] else 0


def what_leaves(kit: Path, job: Path | None) -> dict[str, Any]:
    """Everything the command says, as plain values; FedwardError where the kit's list is wrong."""
    from fedward.errors import FedwardError
    from fedward.flare.privacy_check import check_privacy
    from fedward.kits.job_app import read_app
    from fedward.kits.kit import open_kit
    from fedward.kits.leaving_list import COUNTS, METRICS
    from fedward.kits.leaving_plan import job_plan, scope_of
    from fedward.kits.leaving_policy import compare_with_template
    from fedward.kits.leaving_words import (
        CONNECTION,
        NEVER,
        TO_KNOW,
        errors,
        features,
        filter_words,
        number,
        precision,
    )
    from fedward.rounds.run_folder import read_json

    opened = open_kit(kit)
    if opened.role != "hospital":
        raise UsageError(f"{kit} is the kit of the {opened.role}: only a hospital's kit holds patient data to leave")
    path = opened.local / "privacy.json"
    problems = check_privacy(path)
    if problems:
        raise FedwardError("\n".join([*problems, "This site does not start with that list; put it right first."]))
    if job is not None:
        _check_job_folder(job)
    settings = None if job is None else read_app(job / "app", signed=False)
    meta = read_json(job / "meta.json") if job is not None else {}
    if not isinstance(meta, dict):
        raise UsageError(f"{job}/meta.json must be a mapping: export the job again")
    privacy = read_json(path)
    scope, rules, filters = scope_of(privacy, meta.get("scope"))
    may_leave: dict[str, Any] = {
        "parameters": {task: vars(rule) for task, rule in rules.parameters.items()},
        "metrics": {name: number(name) for name in METRICS if name in rules.metrics},
        "counts": {n: f"{number(n)}, {precision(rules.counts[n])}" for n in COUNTS if n in rules.counts},
        "warnings": rules.warnings,
        "features": features(rules),
        "errors": errors(rules),
    }
    return {
        "site": opened.name,
        "scope": scope,
        "may_leave": may_leave,
        "looser": compare_with_template(privacy)[0],
        "filters": [
            dict(zip(("name", "effect"), filter_words(entry), strict=True)) | {"total": _total(entry, settings)}
            for entry in filters
        ],
        "job": None if settings is None else job_plan(settings, rules) | {"takes_part": opened.name in settings.sites},
        "never": list(NEVER),
        "connection": list(CONNECTION),
        "to_know": list(TO_KNOW),
    }


def _check_job_folder(job: Path) -> None:
    if (job / "meta.json").is_file():
        return
    jobs = sorted(path.parent for path in job.glob("*/meta.json"))
    such = f"; give one of its folders, such as {jobs[0]}" if jobs else ""
    raise UsageError(f"{job} is no job folder (no meta.json){such}")


def _total(entry: dict[str, Any], settings: Any) -> str | None:
    """What differential privacy costs over the whole job."""
    if not str(entry["path"]).endswith(".ClipAndNoise") or settings is None:
        return None
    from fedward.flare.privacy_filters import ClipAndNoise

    return ClipAndNoise(**entry["args"]).promise(settings.rounds)


def show(said: dict[str, Any], layers: bool) -> None:
    """Print it as tables."""
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    console.print(f"[bold]What may leave {said['site']}[/] (scope {said['scope']} of local/privacy.json)")
    console.print(_list_table(said["may_leave"]))
    for text in said["looser"]:
        line = f"looser than the template: {text}: check-kit will not let the site start"
        console.print(line, style="bold red", markup=False, soft_wrap=True)
    if said["filters"]:
        console.print(_table("changed before it leaves", [(f["name"], _effect(f)) for f in said["filters"]]))
    else:
        console.print("No filter changes the parameters before they leave: they are sent as trained.\n")
    if said["job"]:
        _show_job(console, said["job"], said["site"], layers)
    titles = {"never": "Never leaves", "connection": "What the connection itself tells", "to_know": "To know"}
    for key, title in titles.items():
        console.print(f"[bold]{title}[/]")
        for line in said[key]:
            console.print(Padding(f"- {escape(line)}", (0, 0, 0, 2)))


def _effect(entry: dict[str, Any]) -> str:
    return f"{entry['effect']}; over this job: {entry['total']}" if entry["total"] else str(entry["effect"])


def _list_table(may: dict[str, Any]) -> Any:
    rows = [
        (f"layers, task {task}", f"{', '.join(rule['layers'])}; at most {rule['max_bytes']:,} bytes in all")
        for task, rule in may["parameters"].items()
    ]
    rows += [("layers", "none")] if not rows else []
    rows += [("metrics", f"{name}: {words}") for name, words in may["metrics"].items()]
    rows += [("counts", f"{name}: {words}") for name, words in may["counts"].items()]
    rows.append(("warnings", "the agreed sentences (what a site lacks, a collapse)" if may["warnings"] else "none"))
    return _table("kind", [*rows, ("features", may["features"]), ("of an error", may["errors"])])


def _show_job(console: Any, job: dict[str, Any], site: str, layers: bool) -> None:
    from fedward.kits.leaving_words import offered

    console.print(f"[bold]What job {job['name']} would send[/] (study {job['study']}, {job['rounds']} rounds)")
    if not job["takes_part"]:
        console.print(f"{site} is not among the sites of this job: it sends nothing.")
    rows = []
    for task in job["tasks"]:
        name = f"{task['task']}, {'once' if task['times'] == 1 else str(task['times']) + ' times'}"
        leaving = [layer for layer in task["layers"] if layer["leaves"]]
        of = f"{len(leaving)} of {len(task['layers'])} layers, {task['bytes']:,} bytes each time"
        rows.append((name, of if task["layers"] else "no parameters"))
        rows.append((name, f"{len(task['metrics'])} metrics, {len(task['counts'])} counts"))
        if task["task"] == "bank":
            rows.append((name, offered(job["features"])))
        if task["too_large"]:
            rows.append((name, "more bytes than the list allows: no parameters leave, an error is sent instead"))
        if task["removed"]:
            rows.append((name, f"removed: {', '.join(task['removed'])}"))
    rows.append(("in all", f"{job['bytes_in_all']:,} bytes of parameters"))
    if job["features"]:
        rows.append(("in all", f"{job['features']['bytes_in_all']:,} bytes of features at most"))
    console.print(_table("task", rows))
    if job["takes_part"] and job["features_refused"]:
        line = f"This site does not take the job: {job['features_refused']}."
        console.print(line, style="bold red", markup=False, soft_wrap=True)
    if job["takes_part"] and any(task["refused"] for task in job["tasks"]):
        line = "The server refuses every result of this site: it takes all layers that are trained, and not all leave."
        console.print(line, style="bold red", soft_wrap=True)
    if layers:
        train = job["tasks"][0]["layers"]
        table = [(f"{'' if x['leaves'] else 'stays: '}{x['name']}", _layer(x)) for x in train]
        console.print(_table("layer", table))


def _layer(layer: dict[str, Any]) -> str:
    return f"{' x '.join(map(str, layer['shape'])) or 'one number'} {layer['type']}, {layer['bytes']:,} bytes"


def _table(first: str, rows: list[tuple[str, str]]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    table.add_column("what", overflow="fold")
    before = None
    for name, words in rows:
        table.add_row("" if name == before else escape(name), escape(words))
        before = name
    return table
