"""Charts that every task has, and what all charts are drawn with: each gives a `data:` address holding an SVG.

Colours are those of Okabe and Ito (distinct in every common form of colour blindness); the heat map uses cividis.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedward.reports.metrics import number
from fedward.rounds.record import Record, training_records
from fedward.rounds.run_folder import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
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
    with figure_of(9.6, 0.9 + 0.26 * len(sites)) as (figure, axes):
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
        axes.set_yticks(range(len(sites)), [short(s) for s in sites])
        axes.tick_params(length=0)
        axes.invert_yaxis()
        axes.set_xlabel("round")
        axes.xaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(mesh, ax=axes, label="weight, %", pad=0.015, fraction=0.03)
        return data_address(figure)


def last_shares(record: Record, sites: Sequence[str], quality: str = "quality") -> str:
    """Each share (dots) and the final weight (bars) of one round, by hospital; `quality` is what the task calls it."""
    weights = record.get("weights") or {}
    shares = record.get("shares") or {}
    with figure_of(9.6, 1.0 + 0.28 * len(sites)) as (figure, axes):
        rows = range(len(sites))
        axes.barh(
            rows,
            [100 * (number(weights.get(s)) or 0) for s in sites],
            color=PALE,
            height=0.66,
            label="final weight",
        )
        styles = zip(MARKERS, COLOURS, strict=True)
        for (name, values), (marker, colour) in zip(sorted(shares.items()), styles, strict=False):
            points = [(100 * v, row) for row, s in enumerate(sites) if (v := number(values.get(s))) is not None]
            axes.plot(*zip(*points, strict=True), marker, color=colour, ms=5.5, ls="", label=share_name(name, quality))
        axes.set_yticks(rows, [short(s) for s in sites])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"% of the average, round {record['round']}")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return data_address(figure)


def share_name(name: str, quality: str) -> str:
    """A share of the weighting scheme as people write it."""
    return name.replace("quality", quality).replace("_", " ")


def line(axes: "Axes", points: Sequence[tuple[int, float | None]], label: str, colour: str, style: str = "-") -> None:
    known = [(x, y) for x, y in points if y is not None]
    if not known:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)
        return
    marker = "o" if len(known) < 40 else ""
    axes.plot(*zip(*known, strict=True), style, marker=marker, ms=3, lw=1.6, color=colour, label=label)


def look(place: int) -> tuple[str, str]:
    """Marker and colour of the n-th of several things: neighbours differ in both, and all of the first 36 in one."""
    return MARKERS[(place + place // len(COLOURS)) % len(MARKERS)], COLOURS[place % len(COLOURS)]


def short(site: str) -> str:
    return site if len(site) <= 18 else site[:17] + "…"


@contextmanager
def figure_of(width: float, height: float, columns: int = 1, **layout: Any) -> "Iterator[tuple[Figure, Any]]":
    """A figure (size in inches) and its axes, side by side. Text is laid out when it is saved: do so in the block."""
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot: no window system and no state shared between threads

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(1, columns, **layout)


def data_address(figure: "Figure") -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return "data:image/svg+xml;base64," + b64encode(buffer.getvalue()).decode()


def save_png(figure: "Figure", path: Path) -> None:
    """Write the figure to a file of its own, atomically."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_bytes(path, buffer.getvalue())
