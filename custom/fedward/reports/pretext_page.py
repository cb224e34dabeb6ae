"""What the report of a pretraining without labels says: the encoder it made, whether it learnt, and what it saw."""

from base64 import b64encode
from typing import Any

from rich.filesize import decimal

from fedward.networks.registry import DEFAULTS
from fedward.reports import pretext_charts as charts
from fedward.reports.formats import plain, show
from fedward.reports.hospitals import hospital_rows
from fedward.reports.image_charts import holdings
from fedward.reports.metrics import bytes_received, detail, number
from fedward.reports.pretext_template import TEMPLATES
from fedward.reports.run_data import Run
from fedward.reports.task_page import HOSPITALS, REMARKS, SETTINGS, WEIGHTS, Section, TaskPage
from fedward.rounds.record import global_curve
from fedward.rounds.run_folder import NAME

ENCODER = Section("results", "Encoder", "Encoder")
VIEWS = Section("views", "Views", "What the network saw")
CURVES = Section("curves", "Curves", "Curves")
SITES = Section(HOSPITALS.id, "Sites", "Sites")
PROBE = charts.Probe("knn.auc", "k-NN probe, AUC", 0.5)
FEATURES_A_GROWTH = 32  # a DenseNet-121 gives so many features for each unit of its growth rate
DEFINITIONS = {
    "loss": "of the pretext; losses of different methods do not compare",
    "feature std": "standard deviation of each dimension of the encoder's features over the validation images, each "
    "image's features scaled to length 1, mean over the dimensions. 1/√d where they spread evenly, 0 where all images "
    "look alike (collapse)",
    "effective rank": "exp of the entropy of the features' singular values: along how many directions they spread",
    "k-NN AUC": "mean AUC over findings of a weighted vote of the 20 nearest labelled images by the encoder's "
    "features; labels serve this probe alone",
}


def make_page(run: Run) -> TaskPage:
    """The part of the page that is about a pretext."""
    from fedward.pretext.feature_statistics import LOWEST_RANK, LOWEST_SPREAD

    curve = global_curve(run.records)
    last = curve[-1] if curve else None
    sites = run.partition.get("sites") or {}
    size = dimensions(run)
    bounds = charts.Bounds(size**-0.5, LOWEST_SPREAD / size**0.5, LOWEST_RANK)
    encoder = (run.test or {}).get("encoder")
    encoder = encoder if isinstance(encoder, dict) else None
    name = weights_name(run)
    pictures = run.folder.root / "views.png"
    values: dict[str, Any] = {
        "encoder": {key: str(encoder.get(key) or "–") for key in ("file", "sha256")} if encoder else None,
        "network": f"densenet121, {size:,} features",
        "weights_name": name,
        "register": f"fedward register-weights {name} RUN --sites SITES",
        "last": measured(*last) if last else None,
        "bounds": bounds,
        "probed": last_probe(run),
        "definitions": DEFINITIONS,
        "views": "data:image/png;base64," + b64encode(pictures.read_bytes()).decode() if pictures.is_file() else "",
        "curves": charts.curves(run.records, run.rounds, bounds, PROBE) if run.records else "",
        "validation_images": number(last[1].get("images")) if last else None,
        "holdings": holdings(sites, None) if sites else "",
    }
    weights = (WEIGHTS,) if len(run.sites) > 1 else ()
    sections = (ENCODER, VIEWS, CURVES, *weights, SITES, REMARKS, SETTINGS)
    return TaskPage(headline(run), tiles(run), sections, TEMPLATES, values, "k-NN AUC", [method(run)])


def method(run: Run) -> str:
    return str(run.training.get("network"))


def dimensions(run: Run) -> int:
    """Number of the encoder's features, which its growth rate gives."""
    given = run.training.get("network_args")
    growth = number(given.get("growth_rate")) if isinstance(given, dict) else None
    return FEATURES_A_GROWTH * int(growth or DEFAULTS[method(run)]["growth_rate"])


def weights_name(run: Run) -> str:
    """The run's name where weights may be called so, or else the method's."""
    return run.name if NAME.fullmatch(run.name) else method(run).replace("_", "-")


def measured(done: int, evaluation: dict[str, Any]) -> dict[str, Any]:
    return {
        "round": done,
        "cost": number(evaluation.get("cost")),
        "std": detail(evaluation, "features.std"),
        "rank": detail(evaluation, "features.rank"),
        "images": number(evaluation.get("images")),
    }


def last_probe(run: Run) -> tuple[int, float] | None:
    """(round, AUC) of the last model that the k-NN probe judged."""
    known = [(done, auc) for done, e in global_curve(run.records) if (auc := detail(e, "knn.auc")) is not None]
    return known[-1] if known else None


def headline(run: Run) -> str:
    """The one sentence to take away."""
    curve = global_curve(run.records)
    if not curve:
        return "No model has been measured yet."
    done, evaluation = curve[-1]
    images = sum(row.samples or 0 for row in hospital_rows(run))
    begun = f"{done} round{'s' if done != 1 else ''} of {method(run)} on {images:,} images without labels: "
    probe = last_probe(run)
    if probe:
        first = detail(curve[0][1], "knn.auc") if curve[0][0] == 0 else None
        before = f", {show(first)} before training" if first is not None and probe[0] > 0 else ""
        return begun + f"a k-NN probe on the encoder's features reaches a mean AUC of {show(probe[1])}{before}."
    facts = [("a validation loss of", number(evaluation.get("cost")), "{:.3f}")]
    facts += [("features of effective rank", detail(evaluation, "features.rank"), "{:.0f}")]
    told = [f"{what} {style.format(value)}" for what, value, style in facts if value is not None]
    return begun + (" and ".join(told) if told else "nothing was measured") + "."


def tiles(run: Run) -> list[tuple[str, str]]:
    """(value, what it is) of the figures on top."""
    rows: list[tuple[str, str]] = []
    probe, curve = last_probe(run), global_curve(run.records)
    if probe:
        rows.append((show(probe[1]), f"AUC of the k-NN probe, round {probe[0]}"))
    if curve:
        last = measured(*curve[-1])
        size = dimensions(run)
        rows += [(show(last["cost"]), f"validation loss, {plain(last['images'] and int(last['images']))} images")]
        if last["std"] is not None:
            rows.append((f"{100 * last['std'] * size**0.5:.0f} %", "feature std, of that of an even spread"))
        if last["rank"] is not None:
            rows.append((f"{last['rank']:.0f}", f"effective rank of {size:,} features"))
    speed = sum(row.speed or 0 for row in hospital_rows(run))
    if speed:
        rows.append((f"{speed:,.0f}", "training images a second" + (", all sites" if len(run.sites) > 1 else "")))
    if len(run.sites) > 1 and run.federated and run.rounds_done:
        rows.append((decimal(bytes_received(run.records)), "of updates reached the server"))
    return rows
