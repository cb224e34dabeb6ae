"""Charts of a classification run: each function returns a `data:` address holding an SVG."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from fedward.reports.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW, data_address, figure_of, line, short
from fedward.reports.formats import finding_name
from fedward.reports.metrics import mean_loss, number
from fedward.rounds.record import Record, global_curve, training_records

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOWEST_SHOWN, CHANCE = 0.4, 0.5  # AUCs below the first have the first one's colour
ONE_CLASS = "one class only"
BLANK = "#eef1f4"


def curves(records: Sequence[Record], best: int | None, rounds: int) -> str:
    """Training loss, cost, and mean AUC of the global model over the `rounds` planned; the best one is marked."""
    with figure_of(9.6, 2.9, columns=3) as (figure, (loss_axes, cost_axes, auc_axes)):
        loss = [(r["round"], mean_loss(r)) for r in training_records(list(records))]
        line(loss_axes, loss, "training loss", ORANGE)
        loss_axes.set_title("Training loss")
        evaluated = global_curve(list(records))
        line(cost_axes, [(done, number(e.get("cost"))) for done, e in evaluated], "cost", PURPLE)
        cost_axes.set_title("Validation cost")
        line(auc_axes, [(done, number(e.get("quality"))) for done, e in evaluated], "mean AUC", BLUE)
        auc_axes.axhline(CHANCE, color=GREY, lw=1, label="chance")
        auc_axes.set_title("Validation mean AUC")
        if best is not None:
            auc_axes.axvline(best, color=GREY, lw=1, ls=":", label=f"best round {best}")
        for axes in (loss_axes, cost_axes, auc_axes):
            axes.set_xlabel("rounds completed")
            axes.set_xlim(-0.03 * rounds, 1.03 * rounds)
            axes.xaxis.get_major_locator().set_params(integer=True)
        for axes in (loss_axes, cost_axes):
            if axes.lines:  # a flat curve would else touch the top
                axes.set_ylim(0, 1.08 * max(float(axes.dataLim.y1), 1e-6))
        auc_axes.set_ylim(min(LOWEST_SHOWN, auc_axes.get_ylim()[0]), 1)
        auc_axes.legend(loc="upper left", ncols=2, columnspacing=1, handlelength=1.4)
        return data_address(figure)


@contextmanager
def auc_curves(
    methods: Mapping[str, Sequence[Sequence[tuple[int, float]]]], target: float | None
) -> "Iterator[Figure]":
    """Validation mean AUC of each method's runs over the rounds: thin each run, thick their mean. Save it inside."""
    looks = product(("-", "--", ":"), (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY))
    with figure_of(8.0, 4.4) as (figure, axes):
        for (title, curves), (style, colour) in zip(methods.items(), looks, strict=False):
            values: dict[int, list[float]] = {}
            for curve in curves:
                if len(curves) > 1 and curve:
                    axes.plot(*zip(*curve, strict=True), style, color=colour, lw=0.7, alpha=0.5)
                for done, auc in curve:
                    values.setdefault(done, []).append(auc)
            means = [(done, fmean(aucs)) for done, aucs in sorted(values.items())]
            if means:
                axes.plot(*zip(*means, strict=True), style, color=colour, lw=2, label=title)
        if target is not None:
            axes.axhline(target, color=GREY, lw=1, ls=":", label=f"target {target:.3f}")
        axes.set_xlabel("rounds completed")
        axes.set_ylabel("validation mean AUC")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        yield figure


def forest(mean: Mapping[str, Any], findings: Mapping[str, Mapping[str, Any]]) -> str:
    """AUC of each finding with its interval and numbers, the mean below; a finding with one class has no dot."""
    names = list(findings)
    with figure_of(9.6, 1.1 + 0.27 * (len(names) + 1)) as (figure, axes):
        axes.axvline(CHANCE, color=GREY, lw=1)
        lows = [v for entry in (mean, *findings.values()) if (v := number(entry.get("low"))) is not None]
        left = max(0.0, min([CHANCE, *lows]) - 0.05)
        for row, name in enumerate(names):
            entry = findings[name]
            _dot(axes, row, entry, "auc", BLUE, "o")
            count = f"{entry.get('positives', 0):,} of {entry.get('positives', 0) + entry.get('negatives', 0):,}"
            axes.annotate(count, (1.0, row), (8, 0), **BESIDE, color=GREY)
        _dot(axes, len(names) + 0.2, mean, "value", ORANGE, "D")
        axes.annotate("positive images", (1.0, -1), (8, 0), **BESIDE, color=GREY)
        axes.set_yticks([*range(len(names)), len(names) + 0.2], [*map(finding_name, names), "mean"])
        axes.set_ylim(len(names) + 0.8, -1.4)
        axes.set_xlim(left, 1)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("AUC with its 95 % interval")
        return data_address(figure)


BESIDE: dict[str, Any] = {
    "xycoords": "data",
    "textcoords": "offset points",
    "va": "center",
    "size": 8.5,
    "annotation_clip": False,
}


def _dot(axes: Any, row: float, entry: Mapping[str, Any], key: str, colour: str, marker: str) -> None:
    value, low, high = (number(entry.get(k)) for k in (key, "low", "high"))
    if value is None:
        axes.annotate(ONE_CLASS, (CHANCE, row), (6, 0), **BESIDE, color=GREY, style="italic")
        return
    if low is not None and high is not None:
        axes.hlines(row, low, high, color=colour, lw=2, alpha=0.45)
    axes.plot([value], [row], marker, color=colour, ms=6, mec="white", mew=0.6, clip_on=False)
    axes.annotate(f"{value:.3f}", (value, row), (0, 9), **{**BESIDE, "size": 7.5}, ha="center", color=colour)


def auc_map(sites: Sequence[str], details: Mapping[str, Mapping[str, Any]], findings: Sequence[str]) -> str:
    """Heat map of the validation AUC of each finding (columns) at each hospital (rows); blank where there is none."""
    grid = np.full((len(sites), len(findings)), np.nan)
    for row, site in enumerate(sites):
        for column, finding in enumerate(findings):
            value = number(details.get(site, {}).get(f"auc.{finding}"))
            grid[row, column] = np.nan if value is None else value
    with figure_of(9.6, 1.5 + 0.27 * len(sites)) as (figure, axes):
        mesh = _annotated(axes, grid, "{:.2f}", LOWEST_SHOWN, 1.0)
        _name_cells(axes, sites, findings)
        figure.colorbar(mesh, ax=axes, label="AUC", pad=0.015, fraction=0.03, extend="min")
        return data_address(figure)


def finding_map(sites: Mapping[str, dict[str, Any]], findings: Sequence[str]) -> str:
    """Heat map of the images with each finding (columns) at each hospital (rows), in % of its images; counts in it."""
    names = sorted(sites)
    counts = np.zeros((len(names), len(findings)))
    images = np.zeros((len(names), 1))
    for row, name in enumerate(names):
        for use in ("train", "validation"):
            held = (sites[name].get("findings") or {}).get(use) or {}
            counts[row] += [number(held.get(finding)) or 0 for finding in findings]
            images[row] += number((sites[name].get("images") or {}).get(use)) or 0
    parts = 100 * counts / np.maximum(images, 1)
    with figure_of(9.6, 1.5 + 0.27 * len(names)) as (figure, axes):
        mesh = _annotated(axes, parts, "{:,.0f}", 0, max(float(parts.max(initial=0)), 1), counts)
        _name_cells(axes, names, findings)
        figure.colorbar(mesh, ax=axes, label="% of its images", pad=0.015, fraction=0.03)
        return data_address(figure)


def _annotated(axes: Any, grid: Any, text: str, low: float, high: float, shown: Any = None) -> Any:
    """A mesh of `grid` with `shown` (the same, unless given) as text in its cells; NaN cells stay empty."""
    from matplotlib import colormaps

    axes.grid(False)
    colours = colormaps["cividis"].with_extremes(bad=BLANK)
    rows, columns = grid.shape
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    cells = np.ma.masked_invalid(grid)
    mesh = axes.pcolormesh(*edges, cells, cmap=colours, vmin=low, vmax=high, edgecolor="white", linewidth=0.6)
    for row, column in zip(*np.nonzero(~np.isnan(grid)), strict=True):
        level = min(max((grid[row, column] - low) / (high - low), 0.0), 1.0)
        bright = sum(c * w for c, w in zip(colours(level), (0.3, 0.59, 0.11), strict=False))
        value = (grid if shown is None else shown)[row, column]
        colour = "#1c2530" if bright > 0.5 else "white"
        axes.annotate(text.format(value), (column, row), ha="center", va="center", size=7.5, color=colour)
    return mesh


def _name_cells(axes: Any, sites: Sequence[str], findings: Sequence[str]) -> None:
    axes.set_yticks(range(len(sites)), [short(s) for s in sites])
    axes.set_xticks(range(len(findings)), [finding_name(f) for f in findings], rotation=35, ha="left")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.invert_yaxis()
    for spine in axes.spines.values():
        spine.set_visible(False)
