"""Who holds which scans, as a picture: each hospital's patients by disease, and its slices."""

from pathlib import Path
from typing import Any

from fedward.datasets.partition_chart import APART, TRAIN, VALIDATION, title

COLOURS = ("#2a6f97", "#e07a5f", "#81b29a", "#f2cc8f", "#8e7dbe", "#c08497", "#6c757d")
UNKNOWN = "disease unknown"


def draw_scans(partition: dict[str, Any], path: Path) -> None:
    """Write `partition` (the content of partition.json) as PNG: above patients by disease, below slices by use."""
    from matplotlib.figure import Figure

    sites = partition["sites"]
    apart = {name: partition[name] for name in ("test", "server") if partition[name]}
    labels = [*sites, *apart]
    places = range(len(labels))
    figure = Figure(figsize=(3.4 + 0.6 * len(labels), 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)

    mixes = [groups_of(site["groups"]["train"], site["groups"]["validation"]) for site in sites.values()]
    mixes += [groups_of(held["groups"]) for held in apart.values()]
    names = sorted({name for mix in mixes for name in mix}, key=lambda name: (name == "", name))
    totals = [0] * len(labels)
    for number, name in enumerate(names):
        counts = [mix.get(name, 0) for mix in mixes]
        colour = COLOURS[-1] if name == "" else COLOURS[number % (len(COLOURS) - 1)]
        above.bar(places, counts, bottom=totals, color=colour, label=name or UNKNOWN)
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
    _numbers(above, totals)

    train = [site["slices"]["train"] for site in sites.values()]
    validation = [site["slices"]["validation"] for site in sites.values()]
    below.bar(range(len(sites)), train, color=TRAIN, label="training")
    if any(validation):
        below.bar(range(len(sites)), validation, bottom=train, color=VALIDATION, label="validation")
    if apart:
        heights = [held["slices"] for held in apart.values()]
        below.bar(range(len(sites), len(labels)), heights, color=APART, label="set apart")
    slices = [a + b for a, b in zip(train, validation, strict=True)] + [held["slices"] for held in apart.values()]
    _numbers(below, slices)

    for axes, unit in ((above, "patients"), (below, "slices")):
        axes.set_ylabel(unit)
        axes.margins(y=0.14)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    below.set_xticks(places, labels, fontsize=9, rotation=45, ha="right")
    figure.suptitle(title(partition), x=0.01, ha="left", fontsize=11)
    figure.savefig(path, dpi=110)


def groups_of(*parts: dict[str, int]) -> dict[str, int]:
    """Patients by disease, added up."""
    return {name: sum(part.get(name, 0) for part in parts) for part in parts for name in part}


def _numbers(axes: Any, totals: list[int]) -> None:
    for place, total in enumerate(totals):
        axes.annotate(str(total), (place, total), (0, 2), textcoords="offset points", ha="center", fontsize=9)
