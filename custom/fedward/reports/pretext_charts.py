"""Charts of a pretraining without labels: each function returns a `data:` address holding an SVG."""

from collections.abc import Sequence
from typing import Any

from fedward.reports.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, data_address, figure_of, line
from fedward.reports.metrics import detail, mean_loss, number
from fedward.rounds.record import Record, global_curve, training_records


def curves(records: Sequence[Record], rounds: int, dimensions: int) -> str:
    """Loss, standard deviation and effective rank of the features, and AUC of the k-NN probe over the rounds.

    `dimensions` of the features give the bound below which they count as collapsed.
    """
    from fedward.pretext.feature_statistics import LOWEST_RANK, LOWEST_SPREAD

    evaluated = global_curve(list(records))
    with figure_of(9.6, 2.9, columns=4) as (figure, (loss_axes, std_axes, rank_axes, knn_axes)):
        line(loss_axes, [(r["round"], mean_loss(r)) for r in training_records(list(records))], "training", ORANGE)
        line(loss_axes, [(done, number(e.get("cost"))) for done, e in evaluated], "validation", PURPLE, "--")
        loss_axes.set_title("Loss")
        loss_axes.set_ylim(bottom=0)
        if _curve(std_axes, evaluated, "features.std", "Feature std", BLUE):
            _bound(std_axes, LOWEST_SPREAD / dimensions**0.5)
            std_axes.axhline(dimensions**-0.5, color=GREY, lw=1, label="evenly spread")
        if _curve(rank_axes, evaluated, "features.rank", "Effective rank", GREEN):
            _bound(rank_axes, LOWEST_RANK)
        if _curve(knn_axes, evaluated, "knn.auc", "k-NN probe, AUC", BLUE):
            knn_axes.axhline(0.5, color=GREY, lw=1)
        for axes in (std_axes, rank_axes):
            axes.set_ylim(bottom=0)
        for axes in (loss_axes, std_axes, rank_axes):
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=1.4, columnspacing=1)
        for axes in (loss_axes, std_axes, rank_axes, knn_axes):
            axes.set_xlabel("rounds completed")
            axes.set_xlim(-0.03 * rounds, 1.03 * rounds)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
        return data_address(figure)


def _curve(axes: Any, evaluated: Sequence[tuple[int, Record]], name: str, title: str, colour: str) -> bool:
    """Draws a detail of the evaluations; whether there was any."""
    points = [(done, detail(e, name)) for done, e in evaluated]
    line(axes, points, "model", colour)
    axes.set_title(title)
    return any(value is not None for _, value in points)


def _bound(axes: Any, value: float) -> None:
    axes.axhline(value, color=ORANGE, lw=1.2, ls=":", label="collapsed below")
