"""Charts of a segmentation run: each function returns a `data:` address holding an SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedward.reports.charts import BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, YELLOW, data_address, figure_of, line, short
from fedward.reports.hospitals import held
from fedward.reports.metrics import evaluation_iou, mean_loss, number
from fedward.rounds.record import Record, global_curve, training_records


def curves(records: Sequence[Record], best: int | None, rounds: int) -> str:
    """Training loss, cost, and Dice and IoU of the global model over the `rounds` planned; the best one is marked."""
    with figure_of(9.6, 2.9, columns=3) as (figure, (loss_axes, cost_axes, dice_axes)):
        loss = [(r["round"], mean_loss(r)) for r in training_records(list(records))]
        line(loss_axes, loss, "training loss", ORANGE)
        loss_axes.set_title("Training loss")
        evaluated = global_curve(list(records))
        line(cost_axes, [(done, number(e.get("cost"))) for done, e in evaluated], "cost", PURPLE)
        cost_axes.set_title("Validation cost")
        line(dice_axes, [(done, number(e.get("quality"))) for done, e in evaluated], "Dice", BLUE)
        line(dice_axes, [(done, evaluation_iou(e)) for done, e in evaluated], "IoU", GREEN, "--")
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
        return data_address(figure)


def holdings(sites: Mapping[str, dict[str, Any]], test_patients: int) -> str:
    """Who holds what: patients by use and slices with and without tumour, one bar a hospital."""
    names = sorted(sites)
    labels = [f"{short(n)}  {sites[n].get('institution') or ''}".rstrip() for n in names]
    bars = len(names) + bool(test_patients)
    with figure_of(9.6, 1.1 + 0.28 * bars, columns=2) as (figure, (patients, slices)):
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
        return data_address(figure)


def patient_dots(dice: Mapping[str, float], institution: Mapping[str, str]) -> str:
    """Volume Dice of every test patient, one column of dots an institution, with its mean."""
    groups: dict[str, list[float]] = {}
    for patient in sorted(dice):
        groups.setdefault(institution[patient], []).append(dice[patient])
    names = sorted(groups)
    with figure_of(9.6, 3.0) as (figure, axes):
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
        return data_address(figure)
