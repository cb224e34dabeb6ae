"""What the report of a classification run says: AUC of each finding with its interval, maps of what moved the model."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.filesize import decimal

from fedward.reports import classification_charts as charts
from fedward.reports.classification_template import TEMPLATES
from fedward.reports.formats import finding_name, interval, show
from fedward.reports.headline import before_test, who_reaches
from fedward.reports.hospitals import hospital_rows
from fedward.reports.image_charts import holdings
from fedward.reports.metrics import best_validation, bytes_received, bytes_sent, number
from fedward.reports.overlays import read_overlays
from fedward.reports.run_data import Run
from fedward.reports.saliency_pictures import legend, map_size
from fedward.reports.task_page import HOSPITALS, REMARKS, SETTINGS, WEIGHTS, Section, TaskPage
from fedward.rounds.record import global_curve

SECTIONS = (
    Section("results", "Final result", "Final result"),
    Section("saliency", "Test images", "Test images"),
    Section("curves", "Curves", "Curves"),
    WEIGHTS,
    HOSPITALS,
    REMARKS,
    SETTINGS,
)
DEFINITIONS = {
    "AUC": "area under the ROC curve of one finding: how often an image with it gets a higher probability than one "
    "without; 0.5 is chance. A finding of which all known labels are alike has none (“one class only”)",
    "mean AUC": "mean over the findings that have both classes",
    "95 % interval": "of 1,000 bootstrap draws of patients, all images of a patient together; the interval of a "
    "finding that few patients have says little",
    "cost": "mean binary cross entropy over all known labels",
    "bytes": "parameters only: updates that reached the server, and what was sent to the hospitals",
}
TRAININGS = {"linear": "linear classifier on a frozen encoder", "fine_tune": "fine-tuning"}


@dataclass(frozen=True)
class Result:
    """One model on the test patients; AUCs are None where they cannot be measured.

    mean      value, low, high;  findings  name -> auc, low, high, positives, negatives
    measured  number of findings that have both classes
    """

    name: str
    round: int | None
    mean: dict[str, float | None]
    findings: dict[str, dict[str, Any]]
    cost: float | None
    patients: int
    images: int

    @property
    def measured(self) -> int:
        return sum(entry["auc"] is not None for entry in self.findings.values())


def test_results(run: Run) -> list[Result]:
    """The entries of test.json, "best" first; none where the run was not tested."""
    models = (run.test or {}).get("models") or {}
    return [_result(name, models[name]) for name in sorted(models)]


def _result(name: str, model: Mapping[str, Any]) -> Result:
    evaluation = model["evaluation"]
    mean = model.get("mean_auc") or {}
    findings = {
        str(finding): {
            **{key: number(entry.get(key)) for key in ("auc", "low", "high")},
            **{key: int(number(entry.get(key)) or 0) for key in ("positives", "negatives")},
        }
        for finding, entry in (model.get("findings") or {}).items()
    }
    return Result(
        name=name,
        round=model.get("round"),
        mean={key: number(mean.get(key)) for key in ("value", "low", "high")},
        findings=findings,
        cost=number(evaluation.get("cost")),
        patients=int(evaluation.get("patients") or 0),
        images=int(evaluation.get("images") or 0),
    )


def make_page(run: Run) -> TaskPage:
    """The part of the page that is about classification."""
    results = test_results(run)
    curve = global_curve(run.records)
    last = curve[-1][1] if curve else {}
    sites = run.partition.get("sites") or {}
    test = run.partition.get("test")
    findings = finding_names(run, results)
    details = {row.site: row.start.details for row in hospital_rows(run)}
    pictures = read_overlays(run.folder.root / "saliency")
    measured = any(name.startswith("auc.") for own in details.values() for name in own)
    labelled = any((site.get("findings") or {}).get("train") for site in sites.values())
    values = {
        "results": results,
        "chosen": results[0].name if results else "",
        "findings": [_by_finding(name, results) for name in findings] if results else [],
        "forest": charts.forest(results[0].mean, results[0].findings) if results else "",
        "definitions": DEFINITIONS,
        "interval": interval,
        "saliency": [(label, "data:image/png;base64," + b64encode(data).decode()) for label, data in pictures],
        "legend": legend(),
        "places": places(run),
        "curves": charts.curves(run.records, run.shown_best, run.rounds) if run.records else "",
        "validation_patients": number(last.get("patients")),
        "validation_images": number(last.get("images")),
        "auc_map": charts.auc_map(run.sites, details, findings) if measured else "",
        "holdings": holdings(sites, test if isinstance(test, dict) else None) if sites else "",
        "finding_map": charts.finding_map(sites, findings) if labelled and findings else "",
    }
    return TaskPage(headline(run, results), tiles(run, results), SECTIONS, TEMPLATES, values, "AUC", about(run))


def finding_names(run: Run, results: list[Result]) -> list[str]:
    """The findings in the data set's order, from the test result or else from what the hospitals measured."""
    if results:
        return list(results[0].findings)
    measured = [e.get("details") or {} for _, e in global_curve(run.records)]
    return sorted({name.partition(".")[2] for own in measured for name in own if name.startswith("positives.")})


def places(run: Run) -> int | None:
    """How many places a side the maps of this run's network have; None where its crop is not known."""
    preprocessing = run.settings.get("preprocessing")
    size = preprocessing.get("image_size") if isinstance(preprocessing, dict) else None
    crop = number(run.training.get("crop_size") or size)
    return map_size(int(crop)) if crop else None


def _by_finding(name: str, results: list[Result]) -> dict[str, Any]:
    nothing = {"auc": None, "low": None, "high": None, "positives": 0, "negatives": 0}
    entries = [result.findings.get(name, nothing) for result in results]
    return {"name": name, **{key: entries[0][key] for key in ("positives", "negatives")}, "models": entries}


def about(run: Run) -> list[str]:
    """What is trained, from which weights, with how many of the labels."""
    start = str(run.settings.get("starting_weights") or "")
    parts = [TRAININGS.get(str(run.training.get("mode")), ""), f"from {start} weights" if start else ""]
    fraction = number((run.settings.get("selection") or {}).get("label_fraction"))
    parts.append(f"{100 * fraction:g} % of the patients" if fraction not in (None, 1) else "")
    return parts


def headline(run: Run, results: list[Result]) -> str:
    """The one sentence to take away, with the number of patients it rests on."""
    chosen = results[0] if results else None
    if chosen and chosen.mean["value"] is not None:
        return (
            f"On {chosen.patients:,} test patients no hospital trained on, {who_reaches(run, chosen.round)} "
            f"a mean AUC of {show(chosen.mean['value'])} "
            f"(95 % interval {interval(chosen.mean['low'], chosen.mean['high'])}) over {chosen.measured} of "
            f"{len(chosen.findings)} findings."
        )
    return before_test(run, "a mean AUC", "No test finding has both classes." if chosen else None)


def tiles(run: Run, results: list[Result]) -> list[tuple[str, str]]:
    """(value, what it is) of the figures on top."""
    rows: list[tuple[str, str]] = []
    best = best_validation(run.records)
    if results:
        mean, n = results[0].mean, f"{results[0].patients:,} test patients"
        if mean["value"] is not None:
            rows.append((show(mean["value"]), f"mean AUC ({interval(mean['low'], mean['high'])}), {n}"))
        known = {name: entry for name, entry in results[0].findings.items() if entry["auc"] is not None}
        for what, choose in (("highest", max), ("lowest", min)) if known else ():
            name = choose(known, key=lambda finding: (known[finding]["auc"], finding))
            positives = known[name]["positives"]
            images = "1 positive image" if positives == 1 else f"{positives:,} positive images"
            rows.append((show(known[name]["auc"]), f"{what}: {finding_name(name)}, {images}"))
        rows.append((f"{results[0].measured} of {len(results[0].findings)}", "findings have both classes in the test"))
    elif best:
        rows.append((show(best[1]), f"mean validation AUC, round {best[0]}"))
    if run.federated and run.rounds_done:
        rows.append((decimal(bytes_received(run.records)), "of updates reached the server"))
        rows.append((decimal(bytes_sent(run.records)), "of parameters sent to the hospitals"))
    return rows
