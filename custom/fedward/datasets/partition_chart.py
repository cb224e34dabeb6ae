"""Who holds what, as a picture: patients and slices of each hospital, and what is set apart."""

from pathlib import Path
from textwrap import fill
from typing import Any

TRAIN, VALIDATION, APART = "#2a6f97", "#89c2d9", "#adb5bd"
LETTERS_PER_INCH = 11


def draw_partition(partition: dict[str, Any], path: Path) -> None:
    """Write a bar chart of `partition` (the content of partition.json) as PNG."""
    from matplotlib.figure import Figure

    sites = partition["sites"]
    apart = {name: partition[name] for name in ("test", "server") if partition[name]}
    labels = [f"{name}\n{site['institution']}" for name, site in sites.items()] + [f"{name}\n" for name in apart]
    width = max(4.0, 1.0 * len(labels) + 1)
    figure = Figure(figsize=(width, 6.4), layout="constrained")
    for axes, unit in zip(figure.subplots(2, 1, sharex=True), ("patients", "slices"), strict=True):
        train = [site[unit]["train"] for site in sites.values()]
        validation = [site[unit]["validation"] for site in sites.values()]
        places = range(len(sites))
        axes.bar(places, train, color=TRAIN, label="training")
        axes.bar(places, validation, bottom=train, color=VALIDATION, label="validation")
        if apart:
            heights = [totals[unit] for totals in apart.values()]
            axes.bar(range(len(sites), len(labels)), heights, color=APART, label="set apart")
        totals = [a + b for a, b in zip(train, validation, strict=True)] + [t[unit] for t in apart.values()]
        for place, total in enumerate(totals):
            axes.annotate(str(total), (place, total), (0, 2), textcoords="offset points", ha="center", fontsize=9)
        axes.set_ylabel(unit)
        axes.margins(y=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, ncols=3, loc="outside lower right", fontsize=9)
    figure.suptitle(wrapped(title(partition), width), x=0.01, ha="left", fontsize=11)
    figure.axes[1].set_xticks(range(len(labels)), labels, fontsize=8, rotation=45, ha="right")
    figure.savefig(path, dpi=110)


def wrapped(text: str, width: float) -> str:
    """`text` of 11 points in lines that fit into `width` inches."""
    return fill(text, int(width * LETTERS_PER_INCH))


def title(partition: dict[str, Any]) -> str:
    """One line: data set, number of hospitals, how they were dealt, fold and seed."""
    settings = partition["settings"]
    hospitals = "hospital" if settings["sites"] == 1 else "hospitals"
    by = settings["by"] + (f" (alpha {settings['alpha']:g})" if settings["alpha"] is not None else "")
    fold = f", fold {settings['fold']} of {settings['folds']}" if settings["fold"] is not None else ""
    return f"{partition['data_set']}: {settings['sites']} {hospitals} by {by}{fold}, seed {partition['seed']}"
