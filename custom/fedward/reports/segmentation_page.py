"""What the report of a segmentation run says: Dice and IoU, pooled and by patient, with outlines on test images."""

from base64 import b64encode

from rich.filesize import decimal

from fedward.reports import segmentation_charts as charts
from fedward.reports.formats import show
from fedward.reports.headline import before_test, who_reaches
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
from fedward.reports.run_data import Run
from fedward.reports.segmentation_template import TEMPLATES
from fedward.reports.task_page import HOSPITALS, REMARKS, SETTINGS, WEIGHTS, Section, TaskPage
from fedward.rounds.record import global_curve

SECTIONS = (
    Section("results", "Final result", "Final result"),
    Section("overlays", "Test images", "Test images"),
    Section("curves", "Curves", "Curves"),
    WEIGHTS,
    HOSPITALS,
    REMARKS,
    SETTINGS,
)


def make_page(run: Run) -> TaskPage:
    """The part of the page that is about segmentation."""
    models = (run.test or {}).get("models") or {}
    results = [(name, final_metrics(models[name])) for name in sorted(models)]
    chosen = models.get("best") or next(iter(models.values()), None)
    curve = global_curve(run.records)
    last = curve[-1][1] if curve else {}
    sites = run.partition.get("sites") or {}
    dice = patient_dice(chosen) if chosen else {}
    pictures = read_overlays(run.folder.root / "overlays")
    values = {
        "results": [{"name": name, "m": metrics} for name, metrics in results],
        "definitions": DEFINITIONS,
        "dots": charts.patient_dots(dice, institutions(chosen)) if chosen and dice else "",
        "dots_model": "best" if "best" in models else next(iter(models), ""),
        "test_patients": len(dice),
        "overlays": [(label, "data:image/png;base64," + b64encode(data).decode()) for label, data in pictures],
        "truth": TRUTH,
        "prediction": PREDICTION,
        "curves": charts.curves(run.records, run.shown_best, run.rounds) if run.records else "",
        "validation_patients": show(last.get("patients")),
        "validation_images": show(last.get("images")),
        "holdings": charts.holdings(sites, held_for_test(run)) if sites else "",
    }
    found = dict(results)
    # the shares keep their names: the quality of a segmentation is called so in the settings of every scheme
    return TaskPage(headline(run, found), tiles(run, found), SECTIONS, TEMPLATES, values, quality="quality")


def headline(run: Run, results: dict[str, FinalMetrics]) -> str:
    """The one sentence to take away, with the number of patients it rests on."""
    chosen = results.get("best") or next(iter(results.values()), None)
    if chosen and chosen.dice is not None:
        return (
            f"On {chosen.patients} test patients no hospital trained on, {who_reaches(run, chosen.round)} "
            f"a pooled tumour Dice of {show(chosen.dice)} and an IoU of {show(chosen.iou)}."
        )
    return before_test(run, "a pooled tumour Dice")


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
