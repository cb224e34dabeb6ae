"""Charts of a run as images for an HTML page: each function returns a `data:` address holding an SVG.

Colours are those of Okabe and Ito (distinct in every common form of colour blindness); the heat map uses cividis.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fedward.reports.hospitals import held
from fedward.reports.metrics import evaluation_iou, mean_loss, number
from fedward.rounds.record import Record, global_curve, training_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
GREY, PALE = "#5f6b76", "#cfd8e0"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#aab4bd",
    "axes.labelcolor": "#3a4652",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#3a4652",
    "ytick.color": "#3a4652",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6eaee",
    "legend.frameon": False,
    "svg.hashsalt": "fedward",
    "text.parse_math": False,  # a "$" in a hospital's name is a "$"
}


def curves(records: Sequence[Record], best: int | None, rounds: int) -> str:
    """Training loss, cost, and Dice and IoU of the global model over the `rounds` planned; the best one is marked."""
    with _figure(9.6, 2.9, columns=3) as (figure, (loss_axes, cost_axes, dice_axes)):
        loss = [(r["round"], mean_loss(r)) for r in training_records(list(records))]
        _line(loss_axes, loss, "training loss", ORANGE)
        loss_axes.set_title("Training loss")
        evaluated = global_curve(list(records))
        _line(cost_axes, [(done, number(e.get("cost"))) for done, e in evaluated], "cost", PURPLE)
        cost_axes.set_title("Validation cost")
        _line(dice_axes, [(done, number(e.get("quality"))) for done, e in evaluated], "Dice", BLUE)
        _line(dice_axes, [(done, evaluation_iou(e)) for done, e in evaluated], "IoU", GREEN, "--")
        dice_axes.set_title("Validation Dice and IoU")
        dice_axes.set_ylim(0, 1)
        if best is not None:
            dice_axes.axvline(best, color=GREY, lw=1, ls=":", label=f"best round {best}")
        if dice_axes.get_legend_handles_labels()[0]:
            dice_axes.legend(loc="upper left")  # the curves rise: the corner is free
        for axes in (loss_axes, cost_axes, dice_axes):
            axes.set_xlabel("rounds completed")
            axes.set_xlim(-0.03 * rounds, 1.03 * rounds)
            axes.set_ylim(bottom=0)
            axes.xaxis.get_major_locator().set_params(integer=True)
        return _data_address(figure)


def weight_map(records: Sequence[Record], sites: Sequence[str], rounds: int) -> str:
    """Heat map of the weight of each hospital (rows) in each of the `rounds` planned (columns); × refused, – absent."""
    import numpy as np

    training = training_records(list(records))
    grid = np.full((len(sites), rounds), np.nan)
    for record in training:
        column = record["round"] - 1
        for row, site in enumerate(sites):
            value = number((record.get("weights") or {}).get(site))
            grid[row, column] = np.nan if value is None else 100 * value
    with _figure(9.6, 0.9 + 0.26 * len(sites)) as (figure, axes):
        axes.grid(False)
        axes.set_facecolor("#f0f2f4")
        edges = np.arange(rounds + 1) + 0.5
        mesh = axes.pcolormesh(
            edges, np.arange(len(sites) + 1) - 0.5, grid, cmap="cividis", vmin=0, edgecolor="white", linewidth=0.4
        )
        for record in training:
            for why, sign in (("refused", "×"), ("missing", "–")):
                for site in record.get(why) or {}:
                    if site in sites:
                        where = (record["round"], list(sites).index(site))
                        axes.annotate(sign, where, ha="center", va="center", color=ORANGE, weight="bold", size=11)
        axes.set_yticks(range(len(sites)), [_short(s) for s in sites])
        axes.tick_params(length=0)
        axes.invert_yaxis()
        axes.set_xlabel("round")
        axes.xaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(mesh, ax=axes, label="weight, %", pad=0.015, fraction=0.03)
        return _data_address(figure)


def last_shares(record: Record, sites: Sequence[str]) -> str:
    """Each share (dots) and the final weight (bars) of one round, by hospital."""
    weights = record.get("weights") or {}
    shares = record.get("shares") or {}
    with _figure(9.6, 1.0 + 0.28 * len(sites)) as (figure, axes):
        rows = range(len(sites))
        axes.barh(
            rows,
            [100 * (number(weights.get(s)) or 0) for s in sites],
            color=PALE,
            height=0.66,
            label="final weight",
        )
        styles = zip(("o", "s", "^", "D", "v", "P"), (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY), strict=True)
        for (name, values), (marker, colour) in zip(sorted(shares.items()), styles, strict=False):
            points = [(100 * v, row) for row, s in enumerate(sites) if (v := number(values.get(s))) is not None]
            axes.plot(*zip(*points, strict=True), marker, color=colour, ms=5.5, ls="", label=name.replace("_", " "))
        axes.set_yticks(rows, [_short(s) for s in sites])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"% of the average, round {record['round']}")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return _data_address(figure)


def holdings(sites: Mapping[str, dict[str, Any]], test_patients: int) -> str:
    """Who holds what: patients by use and slices with and without tumour, one bar a hospital."""
    names = sorted(sites)
    labels = [f"{_short(n)}  {sites[n].get('institution') or ''}".rstrip() for n in names]
    bars = len(names) + bool(test_patients)
    with _figure(9.6, 1.1 + 0.28 * bars, columns=2) as (figure, (patients, slices)):
        rows = range(len(names))
        train, validation = ([held(sites[n], "patients", use) or 0 for n in names] for use in ("train", "validation"))
        patients.barh(rows, train, color=BLUE, height=0.66, label="training")
        patients.barh(rows, validation, left=train, color=YELLOW, height=0.66, label="validation")
        if test_patients:
            patients.barh([len(names)], [test_patients], color=GREY, height=0.66, label="test (in no hospital)")
        patients.set_yticks(range(bars), labels + ["test"] * bool(test_patients))
        patients.set_title("Patients")
        tumour = [held(sites[n], "slices_with_tumour") or 0 for n in names]
        empty = [max((held(sites[n], "slices") or 0) - t, 0) for n, t in zip(names, tumour, strict=True)]
        slices.barh(rows, tumour, color=PURPLE, height=0.66, label="with tumour")
        slices.barh(rows, empty, left=tumour, color=PALE, height=0.66, label="without")
        slices.set_yticks(rows, [""] * len(names))
        slices.set_title("Slices")
        for axes in (patients, slices):
            axes.set_ylim(bars - 0.4, -0.6)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
        return _data_address(figure)


def patient_dots(dice: Mapping[str, float], institution: Mapping[str, str]) -> str:
    """Volume Dice of every test patient, one column of dots an institution, with its mean."""
    groups: dict[str, list[float]] = {}
    for patient in sorted(dice):
        groups.setdefault(institution[patient], []).append(dice[patient])
    names = sorted(groups)
    with _figure(9.6, 3.0) as (figure, axes):
        for column, name in enumerate(names):
            values = sorted(groups[name])
            spread = [column + 0.24 * (((i * 7) % 11) / 10 - 0.5) for i in range(len(values))]
            axes.plot(spread, values, "o", color=BLUE, ms=5, alpha=0.7, mec="white", mew=0.5)
            mean = sum(values) / len(values)
            axes.hlines(mean, column - 0.28, column + 0.28, color=ORANGE, lw=2)
            axes.annotate(f"{mean:.2f}", (column + 0.31, mean), va="center", color=ORANGE, size=9)
        axes.set_xticks(
            range(len(names)), [f"{n}\n{len(groups[n])} patient{'s'[: len(groups[n]) != 1]}" for n in names]
        )
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylim(-0.03, 1.03)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("volume Dice")
        return _data_address(figure)


def _line(axes: "Axes", points: Sequence[tuple[int, float | None]], label: str, colour: str, style: str = "-") -> None:
    known = [(x, y) for x, y in points if y is not None]
    if not known:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)
        return
    marker = "o" if len(known) < 40 else ""
    axes.plot(*zip(*known, strict=True), style, marker=marker, ms=3, lw=1.6, color=colour, label=label)


def _short(site: str) -> str:
    return site if len(site) <= 18 else site[:17] + "…"


@contextmanager
def _figure(width: float, height: float, columns: int = 1) -> "Iterator[tuple[Figure, Any]]":
    """A figure (size in inches) and its axes. Text is laid out when it is saved: save it inside the block."""
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot: no window system and no state shared between threads

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(1, columns)


def _data_address(figure: "Figure") -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return "data:image/svg+xml;base64," + b64encode(buffer.getvalue()).decode()
