"""What the report of a contrastive pretraining says: its encoder, what it learnt, and what was given away."""

from base64 import b64encode
from typing import Any

from rich.filesize import decimal

from fedward.contrast.settings import ContrastSettings
from fedward.networks.registry import DEFAULTS, UNET_ENCODER
from fedward.pretext.agreed_warnings import COLLAPSED
from fedward.reports import contrast_charts as charts
from fedward.reports.contrast_template import TEMPLATES
from fedward.reports.exchanged import ExchangeRow, exchange_rows
from fedward.reports.features import read_projection
from fedward.reports.formats import interval, show
from fedward.reports.hospitals import held, hospital_rows
from fedward.reports.image_charts import holdings
from fedward.reports.metrics import bytes_received, detail, number
from fedward.reports.pretext_charts import Bounds, Probe, curves
from fedward.reports.pretext_page import ENCODER, measured, weights_name
from fedward.reports.run_data import Run
from fedward.reports.task_page import HOSPITALS, REMARKS, SETTINGS, WEIGHTS, Section, TaskPage
from fedward.rounds.exchange import WIDTH
from fedward.rounds.record import global_curve

SECTIONS = (
    ENCODER,
    Section("curves", "Curves", "Curves"),
    Section("features", "Features", "Features of the slices"),
    Section("given", "What is given away", "What is given away"),
    Section("views", "Views", "What the network saw"),
    WEIGHTS,
    HOSPITALS,
    REMARKS,
    SETTINGS,
)
METHODS = {"fcl": "federated contrastive learning", "simclr": "SimCLR", "rotation": "predicting rotations"}
DEFINITIONS = {
    "loss": "of the method; losses of different methods, and with and without exchange, do not compare",
    "same partition": "share of the validation slices whose nearest neighbour in another patient, by the encoder's "
    "features, lies in the same partition of its volume; about one by the number of partitions is chance. Labels play "
    "no part in it. The others are a hospital's training patients and, of several, its other validation patients",
    "feature std": "standard deviation of each dimension of the encoder's features over the validation slices, each "
    "slice's features scaled to length 1, mean over the dimensions. 1/√d where they spread evenly, 0 where all slices "
    "look alike (collapse)",
    "effective rank": "exp of the entropy of the features' singular values: along how many directions they spread",
    "membership AUC": "how often an outsider who is shown a volume that was trained on and one that was not picks the "
    "right one: 0.5 by guessing, 1 always. The interval is of 1,000 draws of patients, all volumes of one together",
}
ATTACKS = {
    "alignment": "from the final encoder alone: two views of a volume that it was trained on lie nearer to each other",
    "exchanged": "from the exchanged features too: a volume that took part has some of them near its own",
}


def make_page(run: Run) -> TaskPage:
    """The part of the page that is about a contrastive pretraining."""
    from fedward.contrast.trainer import LOWEST_RANK, LOWEST_SPREAD

    contrast = contrast_settings(run)
    curve = global_curve(run.records)
    sites = run.partition.get("sites") or {}
    size = dimensions(run)
    bounds = Bounds(size**-0.5, LOWEST_SPREAD / size**0.5, LOWEST_RANK)
    probe = Probe("knn.partition", "Same partition", 1 / contrast.partitions, whole=True)
    encoder = (run.test or {}).get("encoder")
    name = weights_name(run)
    pictures = run.folder.root / "views.png"
    shown = read_projection(run)
    rows = exchange_rows(run.records)
    test = run.partition.get("test")
    values: dict[str, Any] = {
        "encoder": {key: str(encoder.get(key) or "–") for key in ("file", "sha256")}
        if isinstance(encoder, dict)
        else None,
        "network": f"{UNET_ENCODER}, {size:,} features",
        "weights_name": name,
        "register": f"fedward register-weights {name} RUN --sites SITES",
        "measured": [_measured(*point) for point in ((curve[0], curve[-1]) if len(curve) > 1 else curve)],
        "bounds": bounds,
        "definitions": DEFINITIONS,
        "contrast": contrast,
        "width": WIDTH,
        "projection": charts.projection(shown, contrast.partitions) if shown else "",
        "shown": shown,
        "exchange": rows,
        "exchange_map": charts.exchange_map(run.records, [row.site for row in rows], run.rounds) if rows else "",
        "stale": [row for row in rows if row.stale],
        "attacks": attacks(run),
        "views": "data:image/png;base64," + b64encode(pictures.read_bytes()).decode() if pictures.is_file() else "",
        "curves": curves(run.records, run.rounds, bounds, probe, run.sites) if run.records else "",
        "validation_images": number(curve[-1][1].get("images")) if curve else None,
        "holdings": holdings(sites, test if isinstance(test, dict) else None, "slices") if sites else "",
    }
    left_out = () if len(run.sites) > 1 else (WEIGHTS,)
    sections = tuple(section for section in SECTIONS if section not in left_out)
    return TaskPage(headline(run), tiles(run, rows), sections, TEMPLATES, values, "nearest-neighbour", [about(run)])


def contrast_settings(run: Run) -> ContrastSettings:
    """The run's own; the defaults where the run has none."""
    found = run.settings.get("contrast")
    return ContrastSettings(**found) if isinstance(found, dict) else ContrastSettings()


def about(run: Run) -> str:
    """Method and exchange in a few words."""
    contrast = contrast_settings(run)
    how = "with exchange of features" if contrast.exchange else "without exchange"
    return (
        f"{METHODS[contrast.method]}, {contrast.formula}, {how}"
        if contrast.method == "fcl"
        else METHODS[contrast.method]
    )


def dimensions(run: Run) -> int:
    """Number of the encoder's features: the channels of its deepest map."""
    given = run.training.get("network_args")
    known = {**DEFAULTS[UNET_ENCODER], **(given if isinstance(given, dict) else {})}
    return int(known["features"] * 2 ** known["depth"])


def _measured(done: int, evaluation: dict[str, Any]) -> dict[str, Any]:
    return {**measured(done, evaluation), "partition": detail(evaluation, "knn.partition")}


def headline(run: Run) -> str:
    """The one sentence to take away, and a second one where features have collapsed."""
    curve = global_curve(run.records)
    if not curve:
        return "No model has been measured yet."
    done, (first, last) = curve[-1][0], (curve[0][1], curve[-1][1])
    method = METHODS[contrast_settings(run).method]
    told = f"{done} round{'s' if done != 1 else ''} of {method} on {_trained_on(run)} without labels: "
    chance = f"chance is about {1 / contrast_settings(run).partitions:.2f}"
    facts = []
    for what, name, style in (
        ("slices whose nearest neighbour in another patient lies in the same partition", "knn.partition", "{:.3f}"),
        ("effective rank of the features", "features.rank", "{:.1f}"),
    ):
        before, after = detail(first, name), detail(last, name)
        if after is not None:
            then = f"{style.format(before)} before training, " if before is not None and done else ""
            facts.append(f"{what}: {then}{style.format(after)} now" + (f" ({chance})" if name[0] == "k" else ""))
    if not facts and (cost := number(last.get("cost"))) is not None:
        facts = [f"validation loss {cost:.3f}"]
    told += ("; ".join(facts) if facts else "nothing was measured") + "."
    gone = _collapsed(run)
    return told + (f" The features had collapsed at {gone} of {len(run.sites)} sites." if gone else "")


def _trained_on(run: Run) -> str:
    """How much was trained on; without the partition what the sites say, who count cells."""
    sites = (run.partition.get("sites") or {}).values()
    slices, scans = (sum(held(site, what, "train") or 0 for site in sites) for what in ("slices", "scans"))
    if slices:
        return f"{slices:,} slices of {scans:,} volumes"
    return f"{sum(row.samples or 0 for row in hospital_rows(run)):,} parts of volumes"


def _collapsed(run: Run) -> int:
    """Sites that told so in the last round that was trained."""
    last = next((r for r in reversed(run.records) if r["kind"] == "training"), {})
    return len({w.get("site") for w in last.get("warnings") or () if w.get("message") == COLLAPSED})


def attacks(run: Run) -> list[dict[str, Any]]:
    """How well an outsider tells who took part: one row an attack that was measured, with what it means."""
    found = (run.test or {}).get("membership")
    rows = []
    for name, how in ATTACKS.items():
        entry = found.get(name) if isinstance(found, dict) else None
        if isinstance(entry, dict):
            auc, low, high = (number(entry.get(key)) for key in ("auc", "low", "high"))
            counts = {key: int(number(entry.get(key)) or 0) for key in ("members", "others")}
            about = {"how": how, "auc": auc, "interval": interval(low, high), "means": meaning(auc, low, high)}
            rows.append({"name": name, **counts, **about})
    return rows


def meaning(auc: float | None, low: float | None, high: float | None) -> str:
    """A membership AUC and its interval in plain words."""
    if auc is None:
        return "not measured: there are only volumes that took part, or only others"
    picked = f"picks the right one of two volumes in {100 * auc:.0f} of 100 cases"
    if low is None or high is None:
        return f"{picked}; too few patients for an interval"
    if low > 0.5:
        return f"{picked}: an outsider can tell better than by guessing"
    if high < 0.5:
        return f"{picked}: the other volumes look more like trained ones, so that this attack misleads"
    return f"{picked}: not to be told from guessing with so many volumes"


def tiles(run: Run, rows: list[ExchangeRow]) -> list[tuple[str, str]]:
    """(value, what it is) of the figures on top."""
    found: list[tuple[str, str]] = []
    curve = global_curve(run.records)
    if curve:
        done, last = curve[-1]
        if (value := detail(last, "knn.partition")) is not None:
            found.append((show(value), f"nearest neighbour in the same partition, round {done}"))
        if (cost := number(last.get("cost"))) is not None:
            found.append((show(cost), f"validation loss, {number(last.get('images')) or 0:,.0f} slices"))
        if (rank := detail(last, "features.rank")) is not None:
            found.append((f"{rank:.1f}", f"effective rank of {dimensions(run):,} features"))
    for row in attacks(run):
        if row["auc"] is not None:
            found.append((show(row["auc"]), f"membership AUC ({row['interval']}) {row['how'].partition(':')[0]}"))
    if rows:
        found.append((decimal(sum(row.bytes for row in rows)), "of features reached the server"))
    if len(run.sites) > 1 and run.federated and run.rounds_done:
        found.append((decimal(bytes_received(run.records)), "of updates reached the server"))
    return found
