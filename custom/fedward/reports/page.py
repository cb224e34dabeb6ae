"""One self-contained HTML page about a run, whatever state the run is in."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from fedward import __version__
from fedward.errors import FedwardError
from fedward.reports import charts, template
from fedward.reports.hospitals import hospital_rows, remarks, round_ranges
from fedward.reports.metrics import (
    DEFINITIONS,
    FinalMetrics,
    best_validation,
    bytes_received,
    final_metrics,
    institutions,
    number,
    patient_dice,
)
from fedward.reports.overlays import PREDICTION, TRUTH, read_overlays
from fedward.reports.run_data import Run, load_run
from fedward.rounds.record import global_curve, training_records
from fedward.rounds.run_folder import write_bytes

STATES = ("finished", "running", "interrupted", "failed")
SECTIONS = [
    ("results", "Final result"),
    ("overlays", "Test images"),
    ("curves", "Curves"),
    ("weights", "Weights"),
    ("hospitals", "Hospitals"),
    ("remarks", "Warnings"),
    ("settings", "Settings"),
]


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
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    filters: dict[str, Callable[..., str]] = {
        "show": show,
        "percent": lambda v: "–" if v is None else f"{100 * v:.1f} %",
        "size": decimal,
        "duration": duration,
        "ranges": round_ranges,
    }
    environment.filters.update(filters)
    return environment.from_string(template.PAGE).render(_content(run))


def _content(run: Run) -> dict[str, Any]:
    models = (run.test or {}).get("models") or {}
    results = [(name, final_metrics(models[name])) for name in sorted(models)]
    chosen = models.get("best") or next(iter(models.values()), None)
    training = training_records(run.records)
    weighted = [r for r in training if r.get("weights")]
    validated = best_validation(run.records)
    best = validated[0] if run.best_round is None and validated and run.method != "local" else run.best_round
    curve = global_curve(run.records)
    last = curve[-1][1] if curve else {}
    state = str(run.info.get("state"))
    sites = run.partition.get("sites") or {}
    dice = patient_dice(chosen) if chosen else {}
    pictures = read_overlays(run.folder.root / "overlays")
    return {
        "run": run,
        "style": template.STYLE,
        "version": __version__,
        "sections": SECTIONS,
        "state": state if state in STATES else "running",
        "subtitle": subtitle(run),
        "problem": problem(run),
        "headline": headline(run, dict(results)),
        "tiles": tiles(run, dict(results)),
        "results": [{"name": name, "m": metrics} for name, metrics in results],
        "definitions": DEFINITIONS,
        "dots": charts.patient_dots(dice, institutions(chosen)) if chosen and dice else "",
        "dots_model": "best" if "best" in models else next(iter(models), ""),
        "test_patients": len(dice),
        "overlays": [(label, "data:image/png;base64," + b64encode(data).decode()) for label, data in pictures],
        "truth": TRUTH,
        "prediction": PREDICTION,
        "curves": charts.curves(run.records, best, run.rounds) if run.records else "",
        "validation_patients": show(last.get("patients")),
        "validation_images": show(last.get("images")),
        "weights": charts.weight_map(training, run.sites, run.rounds) if weighted else "",
        "shares": charts.last_shares(weighted[-1], run.sites) if weighted else "",
        "hospitals": hospital_rows(run),
        "holdings": charts.holdings(sites, held_for_test(run)) if sites else "",
        "remarks": remarks(run.records, run.partition.get("warnings") or ()),
        "settings": settings_groups(run),
    }


def subtitle(run: Run) -> str:
    """Mode, scheme, sites, rounds and times in one line."""
    info = run.info
    what = {"central": "centralised training", "local": "each hospital alone"}.get(
        run.method, f"federated training, {run.method}"
    )
    parts = [what, str(run.partition.get("data_set") or (run.test or {}).get("data_set") or "")]
    parts += [f"{len(run.sites)} hospitals" if run.sites else "", f"{run.rounds_done} of {run.rounds} rounds"]
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


def headline(run: Run, results: dict[str, FinalMetrics]) -> str:
    """The one sentence to take away, with the number of patients it rests on."""
    chosen = results.get("best") or next(iter(results.values()), None)
    if chosen and chosen.dice is not None:
        which = f"the model of round {show(chosen.round)} reaches"
        if run.method == "local":
            which = "the hospitals' own models reach on average"
        return (
            f"On {chosen.patients} test patients no hospital trained on, {which} "
            f"a pooled tumour Dice of {show(chosen.dice)} and an IoU of {show(chosen.iou)}."
        )
    best = best_validation(run.records)
    if best:
        evaluation = next(e for done, e in global_curve(run.records) if done == best[0])
        return (
            f"Not tested yet. On {show(evaluation.get('patients'))} validation patients the model of round {best[0]} "
            f"reaches a pooled tumour Dice of {show(best[1])}."
        )
    return "No model has been measured yet."


def tiles(run: Run, results: dict[str, FinalMetrics]) -> list[tuple[str, str]]:
    """(value, what it is) of the figures on top."""
    chosen = results.get("best") or next(iter(results.values()), None)
    best = best_validation(run.records)
    rows: list[tuple[str, str]] = []
    if chosen:
        n = f"{chosen.patients} test patients"
        rows += [(show(chosen.dice), f"pooled Dice, {n}"), (show(chosen.iou), f"pooled IoU, {n}")]
        rows += [(show(chosen.mean), f"mean patient Dice, {n}"), (show(chosen.median), f"median patient Dice, {n}")]
        if chosen.worst:
            rows.append((show(chosen.worst[1]), f"worst hospital: {chosen.worst[0]}, {chosen.worst[2]} patients"))
    elif best:
        rows.append((show(best[1]), f"pooled validation Dice, round {best[0]}"))
    if run.federated and run.rounds_done:
        rows.append((decimal(bytes_received(run.records)), "of updates reached the server"))
    return rows


def held_for_test(run: Run) -> int:
    """Test patients, from the partition or else from the test result."""
    test = run.partition.get("test")
    count = number(test.get("patients")) if isinstance(test, dict) else None
    models = (run.test or {}).get("models") or {}
    return int(count) if count is not None else max((len(m["per_patient"]) for m in models.values()), default=0)


def settings_groups(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """[(title, [(name, value)])]: the run, each nested part of the settings, versions and machine."""
    about = ("mode", "environment", "scheme", "seed", "started", "ended", "optimizer_steps")
    groups = {"run": {key: run.info.get(key) for key in about if run.info.get(key) not in (None, "")}}
    for key, value in run.settings.items():
        if isinstance(value, dict):
            groups[key] = value
        elif key not in ("name", "sites", "seed"):
            groups["run"][key] = value
    groups["partition"] = {**(run.partition.get("settings") or {}), "seed": run.partition.get("seed")}
    for key in ("versions", "machine"):
        if isinstance(run.info.get(key), dict):
            groups[key] = run.info[key]
    rows = {
        title: [(name.replace("_", " "), plain(v)) for name, v in g.items() if v is not None]
        for title, g in groups.items()
    }
    return [(title.replace("_", " "), values) for title, values in rows.items() if values]


def plain(value: Any) -> str:
    """A setting as text: nested values on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) for v in value)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def show(value: Any) -> str:
    """A count as it is, a fraction with three digits, nothing as a dash."""
    known = number(value)
    if known is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{known:.3f}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 42 s, 12 min, 3 h 5 min."""
    if seconds is None:
        return "–"
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
