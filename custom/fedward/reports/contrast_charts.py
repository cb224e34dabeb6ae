"""Charts of a contrastive pretraining: each function returns a `data:` address holding an SVG."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedward.reports.charts import GREY, MARKERS, ORANGE, data_address, figure_of, look, short
from fedward.reports.exchanged import exchanges
from fedward.reports.features import NOWHERE, Projection
from fedward.reports.metrics import number
from fedward.rounds.record import Record

LAST_COLOUR = 0.88  # of viridis: beyond, yellow is too pale on white
MOST_NAMED = 12  # partitions that a legend names


def projection(shown: Projection, partitions: int) -> str:
    """Slices in the plane of their features' main directions: left by partition, right by hospital."""
    with figure_of(9.6, 4.4, columns=2, sharex=True, sharey=True) as (figure, (left, right)):
        _by_partition(left, shown, partitions)
        _by_hospital(right, shown)
        for axes in (left, right):
            axes.set_xlabel(f"first direction, {100 * shown.explained[0]:.0f} % of the variance")
            axes.set_xticks([])
            axes.set_yticks([])
        left.set_ylabel(f"second direction, {100 * shown.explained[1]:.0f} %")
        return data_address(figure)


def _by_partition(axes: Any, shown: Projection, partitions: int) -> None:
    from matplotlib import colormaps

    colours = colormaps["viridis"](np.linspace(0, LAST_COLOUR, max(partitions, 2)))
    step = -(-partitions // MOST_NAMED)
    for part in range(partitions):
        name = f"{part + 1}" if part % step == 0 else None
        _dots(axes, shown, shown.partition == part, name, colours[part], MARKERS[part % len(MARKERS)])
    axes.set_title("By partition")
    _legend(axes, "position in the volume")


def _by_hospital(axes: Any, shown: Projection) -> None:
    if (shown.hospital == NOWHERE).any():
        _dots(axes, shown, shown.hospital == NOWHERE, "test (at none)", GREY, "x")
    for place, name in enumerate(shown.hospitals):
        marker, colour = look(place)
        _dots(axes, shown, shown.hospital == place, short(name), colour, marker)
    axes.set_title("By hospital")
    _legend(axes, None)


def _dots(axes: Any, shown: Projection, chosen: Any, name: str | None, colour: Any, marker: str) -> None:
    edge = {} if marker == "x" else {"mec": "white", "mew": 0.3}
    x, y = shown.points[chosen].T
    axes.plot(x, y, marker, color=colour, ms=4.2, ls="", alpha=0.75, label=name, **edge)


def _legend(axes: Any, title: str | None) -> None:
    names = len(axes.get_legend_handles_labels()[0])
    columns = min(names, 4 if title is None else 8)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=columns, title=title, handletextpad=0.2, columnspacing=1
    )


def exchange_map(records: Sequence[Record], sites: Sequence[str], rounds: int) -> str:
    """Heat map of the features of each site (rows) that were there in each of the `rounds` (columns).

    A number says how many rounds old they were where they were not fresh; × refused, – none.
    """
    grid = np.full((len(sites), rounds), np.nan)
    with figure_of(9.6, 0.9 + 0.26 * len(sites)) as (figure, axes):
        axes.grid(False)
        axes.set_facecolor("#f0f2f4")
        for done, exchange in exchanges(records):
            for row, site in enumerate(sites):
                bank = exchange["banks"].get(site)
                sign = "×" if site in exchange["refused"] else "–" if bank is None else ""
                if bank is not None:
                    value = number(bank.get("rows"))
                    grid[row, done - 1] = np.nan if value is None else value
                    sign += str(bank["age"]) if bank.get("age") else ""
                axes.annotate(sign, (done, row), ha="center", va="center", color=ORANGE, weight="bold", size=11)
        edges = np.arange(rounds + 1) + 0.5, np.arange(len(sites) + 1) - 0.5
        style: dict[str, Any] = {"cmap": "cividis", "vmin": 0, "edgecolor": "white", "linewidth": 0.4}
        mesh = axes.pcolormesh(
            *edges, np.ma.masked_invalid(grid), vmax=max(1.0, float(np.nanmax([0, *grid.flat]))), **style
        )
        axes.set_yticks(range(len(sites)), [short(site) for site in sites])
        axes.tick_params(length=0)
        axes.invert_yaxis()
        axes.set_xlabel("round")
        axes.xaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(mesh, ax=axes, label="features", pad=0.015, fraction=0.03)
        return data_address(figure)
