"""What the report of a segmentation into structures says: Dice and distances of each, with pictures of test scans."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from rich.filesize import decimal

from fedward.evaluation import DICE
from fedward.reports import structures_charts as charts
from fedward.reports.formats import finding_name, interval, show
from fedward.reports.headline import before_test, who_reaches
from fedward.reports.image_charts import holdings
from fedward.reports.metrics import best_validation, bytes_received, number
from fedward.reports.overlays import read_overlays
from fedward.reports.run_data import Run
from fedward.reports.structures_template import TEMPLATES
from fedward.reports.task_page import HOSPITALS, REMARKS, SETTINGS, WEIGHTS, Section, TaskPage
from fedward.rounds.record import global_curve

SECTIONS = (
    Section("results", "Final result", "Final result"),
    Section("overlays", "Test scans", "Test scans"),
    Section("curves", "Curves", "Curves"),
    WEIGHTS,
    HOSPITALS,
    REMARKS,
    SETTINGS,
)
DEFINITIONS = {
    "Dice": "2 TP / (2 TP + FP + FN) of a structure's voxels in one scan; none where neither truth nor prediction "
    "has any",
    "mean Dice": "mean over the structures of a scan, then over a patient's scans, then over the patients",
    "pooled Dice": "of the voxels of all scans counted together; on validation images the mean over the structures "
    "chooses the best model",
    "HD95": "of the distances from each point of one surface to the other, in mm and in 3-D, the 95 % percentile, the "
    "larger of the two directions. None where the spacing is unknown, or truth or prediction lacks the structure",
    "95 % interval": "of 1,000 draws of patients with replacement, all scans of a patient together",
    "cost": "mean cross entropy over all pixels",
}


def make_page(run: Run) -> TaskPage:
    """The part of the page that is about structures."""
    models = (run.test or {}).get("models") or {}
    names = structures(run)
    results = [_result(name, models[name], names) for name in sorted(models)]
    chosen = models[results[0]["name"]] if results else None
    curve = global_curve(run.records)
    last = curve[-1][1] if curve else {}
    sites, test = run.partition.get("sites") or {}, run.partition.get("test")
    pictures = read_overlays(run.folder.root / "overlays")
    values = {
        "results": results,
        "structures": names,
        "bars": charts.structure_bars(chosen, names) if chosen and chosen.get("per_scan") else "",
        "missing": missing_distances(chosen, names) if chosen else [],
        "own": sorted((chosen or {}).get("hospitals", {}).items()),
        "unlabelled": number((run.test or {}).get("unlabelled")),
        "definitions": DEFINITIONS,
        "interval": interval,
        "overlays": [(label, "data:image/png;base64," + b64encode(data).decode()) for label, data in pictures],
        "curves": charts.curves(run.records, names, run.shown_best, run.rounds) if run.records else "",
        "validation_patients": show(last.get("patients")),
        "validation_images": show(last.get("images")),
        "holdings": holdings(sites, test if isinstance(test, dict) else None, "slices") if sites else "",
    }
    return TaskPage(headline(run, results), tiles(run, results), SECTIONS, TEMPLATES, values, "Dice", about(run))


def structures(run: Run) -> list[str]:
    """The structures in the data set's order, from the test result or else from what the hospitals measured."""
    if run.test:
        return [str(name) for name in run.test.get("structures") or ()]
    measured = [e.get("details") or {} for _, e in global_curve(run.records)]
    return sorted({name.removeprefix(DICE) for own in measured for name in own if name.startswith(DICE)})


def _result(name: str, model: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """What the tables show of one model of test.json; values are None where they are not known."""
    evaluation = model["evaluation"]
    own = model.get("structures") or {}
    return {
        "name": name,
        "round": model.get("round"),
        "mean": estimate(model.get("mean_dice")),
        "hd95": estimate(model.get("hd95")),
        "pooled": number(evaluation.get("quality")),
        "cost": number(evaluation.get("cost")),
        "patients": len(model["per_patient"]) or int(evaluation.get("patients") or 0),
        "scans": len(model.get("per_scan") or ()),
        "structures": [
            {
                "name": structure,
                "pooled": number(own.get(structure, {}).get("pooled_dice")),
                **{key: estimate(own.get(structure, {}).get(key)) for key in ("dice", "hd95")},
            }
            for structure in names
        ],
    }


def estimate(entry: Any) -> dict[str, float | None]:
    """A value of test.json with its limits; None each where it has none."""
    given = entry if isinstance(entry, dict) else {}
    return {key: number(given.get(key)) for key in ("value", "low", "high")}


def missing_distances(model: Mapping[str, Any], names: list[str]) -> list[str]:
    """Why some distances are missing: a sentence for each structure and reason."""
    found = []
    for name in names:
        reasons = ((model.get("structures") or {}).get(name, {}).get("hd95") or {}).get("missing") or {}
        for why, count in sorted(reasons.items()):
            scans = f"{count} scan{'s' if count != 1 else ''}"
            found.append(f"{finding_name(name)}: {why} in {scans}")
    return found


def about(run: Run) -> list[str]:
    """From which weights, with how many labelled patients."""
    start = str(run.settings.get("starting_weights") or "")
    selection = run.settings.get("selection")
    count = selection.get("labelled_patients") if isinstance(selection, dict) else None
    labelled = f"{count} labelled patient{'s' if count != 1 else ''} a hospital" if count is not None else ""
    return [f"from {start} weights" if start else "", labelled]


def headline(run: Run, results: list[dict[str, Any]]) -> str:
    """The one sentence to take away, with the number of patients it rests on."""
    chosen = results[0] if results else None
    if chosen and chosen["mean"]["value"] is not None:
        names = [finding_name(entry["name"]) for entry in chosen["structures"]]
        over = " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
        patients = f"{chosen['patients']:,} test patient{'s' if chosen['patients'] != 1 else ''}"
        return (
            f"On {patients} no hospital trained on, {who_reaches(run, chosen['round'])} "
            f"a mean Dice of {show(chosen['mean']['value'])} "
            f"(95 % interval {interval(chosen['mean']['low'], chosen['mean']['high'])}) over {over}."
        )
    return before_test(run, "a mean Dice", "No test scan has a structure." if chosen else None)


def tiles(run: Run, results: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(value, what it is) of the figures on top."""
    rows: list[tuple[str, str]] = []
    best = best_validation(run.records)
    if results:
        chosen = results[0]
        mean, distance = chosen["mean"], chosen["hd95"]
        about_mean = f"mean Dice ({interval(mean['low'], mean['high'])}), {chosen['patients']:,} test patients"
        rows.append((show(mean["value"]), about_mean))
        rows += [(show(s["dice"]["value"]), f"Dice, {finding_name(s['name'])}") for s in chosen["structures"]]
        if distance["value"] is not None:
            rows.append((f"{distance['value']:.1f} mm", "mean HD95 over the structures"))
        else:
            rows.append(("–", "HD95: spacing unknown, or a structure is absent"))
    elif best:
        rows.append((show(best[1]), f"mean validation Dice, round {best[0]}"))
    if run.federated and run.rounds_done:
        rows.append((decimal(bytes_received(run.records)), "of updates reached the server"))
    return rows
