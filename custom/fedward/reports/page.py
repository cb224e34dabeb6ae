"""One self-contained HTML page about a run, whatever state the run is in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from fedward import __version__
from fedward.errors import FedwardError
from fedward.reports import charts, formats, template
from fedward.reports.formats import duration, plain
from fedward.reports.hospitals import hospital_rows, remarks, round_ranges
from fedward.reports.metrics import number
from fedward.reports.run_data import Run, load_run
from fedward.reports.task_page import task_page
from fedward.rounds.record import training_records
from fedward.rounds.run_folder import write_bytes

STATES = ("finished", "running", "interrupted", "failed")


def write_report(run_root: Path | str, sites_folder: Path | str | None = None) -> Path:
    """Write RUN/report.html and return its path.

    Works on a finished, failed, interrupted or running run with any number of rounds. `sites_folder` is where
    partition.json is looked for if the run has none.

    Raises FedwardError where `run_root` is no run folder, one of its files is damaged, or the report cannot be written.
    """
    run = load_run(run_root, sites_folder)
    page = render(run)
    try:
        write_bytes(run.folder.report, page.encode())
    except OSError as error:
        raise FedwardError(
            f"{run.folder.report} cannot be written ({error.strerror}): free space or change permissions"
        ) from error
    return run.folder.report


def render(run: Run) -> str:
    """The page as text. Everything that comes from files is escaped."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    task = task_page(run)
    templates = {"page": template.PAGE, **template.COMMON, **task.templates}
    environment = Environment(
        loader=DictLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    filters: dict[str, Callable[..., str]] = {
        "show": formats.show,
        "percent": formats.percent,
        "thousands": formats.thousands,
        "finding": formats.finding_name,
        "size": decimal,
        "duration": duration,
        "ranges": round_ranges,
    }
    environment.filters.update(filters)
    training = training_records(run.records)
    weighted = [r for r in training if r.get("weights")]
    state = str(run.info.get("state"))
    common: dict[str, Any] = {
        "run": run,
        "style": template.STYLE,
        "version": __version__,
        "sections": task.sections,
        "state": state if state in STATES else "running",
        "subtitle": subtitle(run, task.about),
        "problem": problem(run),
        "headline": task.headline,
        "tiles": task.tiles,
        "weights": charts.weight_map(training, run.sites, run.rounds) if weighted else "",
        "shares": charts.last_shares(weighted[-1], run.sites, task.quality) if weighted else "",
        "hospitals": hospital_rows(run),
        "remarks": remarks(run.records, run.partition.get("warnings") or ()),
        "settings": settings_groups(run),
    }
    return environment.get_template("page").render(common | task.values)


def subtitle(run: Run, about: list[str]) -> str:
    """Mode, scheme, what the task says `about` it, sites, rounds and times in one line."""
    info = run.info
    what = {"central": "centralised training", "local": "each hospital alone"}.get(
        run.method, f"federated training, {run.method}"
    )
    if run.federated and len(run.sites) == 1:
        what = f"training at {run.sites[0]} alone"
    parts = [what, *about, str(run.partition.get("data_set") or (run.test or {}).get("data_set") or "")]
    parts += [f"{len(run.sites)} hospitals" if len(run.sites) > 1 else "", f"{run.rounds_done} of {run.rounds} rounds"]
    parts += [str(info.get("started") or "")[:16].replace("T", " "), duration(number(info.get("seconds")))]
    return " · ".join(part for part in parts if part and part != "–")


def problem(run: Run) -> str:
    """Why the page does not show a finished run; empty for a finished one."""
    state = run.info.get("state")
    done = f"{run.rounds_done} of {run.rounds} rounds are complete and shown here."
    if state == "finished":
        return ""
    error = run.info.get("error")
    error = error if isinstance(error, dict) else {"message": error}
    message = str(error.get("message") or "no reason was recorded").rstrip(".")
    site = f" at {error['site']}" if error.get("site") and str(error["site"]) not in message else ""
    if state == "failed":
        return f"The run failed{site}: {message}. {done}"
    if state == "interrupted":
        return f"The run was interrupted{site}: {message}. {done}"
    return f"The run had not ended when this page was written. {done}"


def settings_groups(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """[(title, [(name, value)])]: the run, each nested part of the settings, where its weights began, and on what."""
    about = ("mode", "environment", "scheme", "seed", "started", "ended", "optimizer_steps")
    groups = {"run": {key: run.info.get(key) for key in about if run.info.get(key) not in (None, "")}}
    for key, value in run.settings.items():
        if isinstance(value, dict):
            groups[key] = value
        elif key not in ("name", "sites", "seed"):
            groups["run"][key] = value
    groups["partition"] = {**(run.partition.get("settings") or {}), "seed": run.partition.get("seed")}
    for key in ("starting_weights", "versions", "machine"):
        if isinstance(run.info.get(key), dict):
            groups[key] = run.info[key]
    rows = {
        title: [(name.replace("_", " "), plain(v)) for name, v in g.items() if v is not None]
        for title, g in groups.items()
    }
    return [(title.replace("_", " "), values) for title, values in rows.items() if values]
