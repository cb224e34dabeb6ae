"""Charts of a pretraining without labels: each function returns a `data:` address holding an SVG."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from fedward.reports.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, data_address, figure_of, line
from fedward.reports.metrics import detail, mean_loss, number
from fedward.rounds.record import Record, global_curve, training_records


class Probe(NamedTuple):
    """What a probe of the features is called in an evaluation's details and on a chart, and its value by chance.

    `whole` shows the axis from 0 to 1, so that a small change looks small.
    """

    detail: str
    title: str
    chance: float
    whole: bool = False


class Bounds(NamedTuple):
    """Standard deviation of features that spread evenly, and what collapsed features stay below."""

    even: float
    lowest_std: float
    lowest_rank: float


def curves(records: Sequence[Record], rounds: int, bounds: Bounds, probe: Probe, sites: Sequence[str] = ()) -> str:
    """Loss, standard deviation and effective rank of the features, and the probe's value over the rounds.

    `sites` have a thin line each for their own training loss.
    """
    evaluated, training = global_curve(list(records)), training_records(list(records))
    with figure_of(9.6, 2.9, columns=4) as (figure, (loss_axes, std_axes, rank_axes, probe_axes)):
        _site_losses(loss_axes, training, sites)
        line(loss_axes, [(r["round"], mean_loss(r)) for r in training], "training", ORANGE)
        line(loss_axes, [(done, number(e.get("cost"))) for done, e in evaluated], "validation", PURPLE, "--")
        loss_axes.set_title("Loss")
        loss_axes.set_ylim(bottom=0)
        if _curve(std_axes, evaluated, "features.std", "Feature std", BLUE):
            _bound(std_axes, bounds.lowest_std)
            std_axes.axhline(bounds.even, color=GREY, lw=1, label="evenly spread")
        if _curve(rank_axes, evaluated, "features.rank", "Effective rank", GREEN):
            _bound(rank_axes, bounds.lowest_rank)
        if _curve(probe_axes, evaluated, probe.detail, probe.title, BLUE):
            probe_axes.axhline(probe.chance, color=GREY, lw=1, label="chance")
        if probe.whole:
            probe_axes.set_ylim(0, 1)
        for axes in (std_axes, rank_axes):
            axes.set_ylim(bottom=0)
        for axes in (loss_axes, std_axes, rank_axes, probe_axes):
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=1.4, columnspacing=1)
            axes.set_xlabel("rounds completed")
            axes.set_xlim(-0.03 * rounds, 1.03 * rounds)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
        return data_address(figure)


def _site_losses(axes: Any, training: Sequence[Record], sites: Sequence[str]) -> None:
    for place, site in enumerate(sites):
        losses = [(r["round"], number(r["answers"].get(site, {}).get("loss"))) for r in training]
        known = [point for point in losses if point[1] is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=GREY, lw=0.8, alpha=0.5, label=None if place else "each site")


def _curve(axes: Any, evaluated: Sequence[tuple[int, Record]], name: str, title: str, colour: str) -> bool:
    """Draws a detail of the evaluations; whether there was any."""
    points = [(done, detail(e, name)) for done, e in evaluated]
    line(axes, points, "model", colour)
    axes.set_title(title)
    return any(value is not None for _, value in points)


def _bound(axes: Any, value: float) -> None:
    axes.axhline(value, color=ORANGE, lw=1.2, ls=":", label="collapsed below")
