"""Charts of a segmentation into structures: each function returns a `data:` address holding an SVG."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fedward.evaluation import DICE
from fedward.reports.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    YELLOW,
    data_address,
    figure_of,
    line,
    look,
)
from fedward.reports.formats import finding_name
from fedward.reports.metrics import detail, mean_loss, number
from fedward.rounds.record import Record, global_curve, training_records

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fedward.reports.compare_auc import Estimate

COLOURS = (SKY, YELLOW, ORANGE, GREEN, PURPLE, GREY)  # of the structures, as in the pictures as far as white allows
STYLES = ("--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = {"ED": "o", "ES": "D"}  # of the frames of a heart: at its largest and at its smallest


def curves(records: Sequence[Record], structures: Sequence[str], best: int | None, rounds: int) -> str:
    """Training loss, cost, and Dice of the global model, mean and of each structure; the best round is marked."""
    evaluated = global_curve(list(records))
    with figure_of(9.6, 3.2, columns=3, width_ratios=(1, 1, 1.5)) as (figure, (loss_axes, cost_axes, dice_axes)):
        loss = [(r["round"], mean_loss(r)) for r in training_records(list(records))]
        line(loss_axes, loss, "training loss", ORANGE)
        loss_axes.set_title("Training loss")
        line(cost_axes, [(done, number(e.get("cost"))) for done, e in evaluated], "cost", PURPLE)
        cost_axes.set_title("Validation cost")
        for place, name in enumerate(structures):
            points = [(done, value) for done, e in evaluated if (value := detail(e, DICE + name)) is not None]
            style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "ls": STYLES[place % len(STYLES)]}
            if points:
                dice_axes.plot(*zip(*points, strict=True), lw=1.5, label=finding_name(name), **style)
        line(dice_axes, [(done, number(e.get("quality"))) for done, e in evaluated], "mean", BLUE)
        dice_axes.set_title("Validation Dice")
        dice_axes.set_ylim(0, 1)
        if best is not None:
            dice_axes.axvline(best, color=GREY, lw=1, ls=":", label=f"best round {best}")
        for axes in (loss_axes, cost_axes, dice_axes):
            axes.set_xlabel("rounds completed")
            axes.set_xlim(-0.03 * rounds, 1.03 * rounds)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
        for axes in (loss_axes, cost_axes):
            if axes.lines:  # a flat curve would else touch the top
                axes.set_ylim(0, 1.08 * max(float(axes.dataLim.y1), 1e-6))
        dice_axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.2)
        return data_address(figure)


def structure_bars(model: Mapping[str, Any], structures: Sequence[str]) -> str:
    """Mean Dice of each structure and over all, with its interval, and a dot for each scan of a test patient."""
    groups = [(finding_name(name), model["structures"][name]["dice"], _values(model, name)) for name in structures]
    groups.append(("mean", model["mean_dice"], _values(model, None)))
    frames = sorted({frame for *_, values in groups for frame, _ in values})
    with figure_of(9.6, 3.4) as (figure, axes):
        for column, (_, mean, values) in enumerate(groups):
            height, low, high = (number(mean.get(key)) for key in ("value", "low", "high"))
            if height is not None:
                axes.bar(column, height, width=0.62, color=PALE, zorder=1)
                axes.annotate(f"{height:.3f}", (column, 0), (0, 4), textcoords="offset points", ha="center")
            if low is not None and high is not None:
                axes.vlines(column, low, high, color=ORANGE, lw=2.2, zorder=4)
            for place, frame in enumerate(frames):
                dice = sorted(value for own, value in values if own == frame)
                at = column + (place + 0.5) / len(frames) * 0.5 - 0.25
                width = 0.4 / len(frames)
                spread = [at + width * (((i * 7) % 11) / 10 - 0.5) for i in range(len(dice))]
                style: dict[str, Any] = {"color": (BLUE, GREEN)[place % 2], "mec": "white", "mew": 0.4, "alpha": 0.75}
                label = None if column else frame or "a scan"
                axes.plot(spread, dice, MARKERS.get(frame, "os"[place % 2]), ms=4.2, label=label, zorder=3, **style)
        axes.plot([], [], color=ORANGE, lw=2.2, label="95 % interval")
        axes.set_xticks(range(len(groups)), [name for name, *_ in groups])
        axes.set_ylim(0, 1.03)
        axes.set_ylabel("volume Dice")
        axes.grid(axis="x", visible=False)
        axes.tick_params(axis="x", length=0)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return data_address(figure)


def _values(model: Mapping[str, Any], structure: str | None) -> list[tuple[str, float]]:
    """(frame, Dice) of each scan that has one, of a structure or their mean."""
    found = []
    for scan in model["per_scan"]:
        dice = number((scan if structure is None else scan["structures"][structure]).get("dice"))
        if dice is not None:
            found.append((str(scan.get("frame") or ""), dice))
    return found


@contextmanager
def by_method(groups: Sequence[str], methods: "Mapping[str, Sequence[Estimate | None]]") -> "Iterator[Figure]":
    """Estimates of each method for each of the groups (rows), with their intervals. Save the figure inside."""
    with figure_of(8.0, 1.2 + (0.35 + 0.16 * len(methods)) * len(groups)) as (figure, axes):
        for place, (title, estimates) in enumerate(methods.items()):
            marker, colour = look(place)
            shift = (place + 0.5) / len(methods) * 0.7 - 0.35
            known = [(row + shift, e) for row, e in enumerate(estimates) if e is not None]
            for row, e in known:
                if e.low is not None and e.high is not None:
                    axes.hlines(row, e.low, e.high, color=colour, lw=2, alpha=0.5)
            rows, values = [row for row, _ in known], [e.value for _, e in known]
            axes.plot(values, rows, marker, color=colour, ms=6, mec="white", mew=0.6, label=title)
        axes.set_yticks(range(len(groups)), groups)
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("Dice on the test patients, with its 95 % interval")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        yield figure
