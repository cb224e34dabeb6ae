"""Who holds which findings, as a picture: one small histogram a hospital (Kong & Kim 2022, Figure 4)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedward.datasets import partition_chart
from fedward.datasets.partition_chart import APART, TRAIN, VALIDATION
from fedward.datasets.xray_partition import NO_FINDING
from fedward.simulation import COORDINATOR

COLUMNS = 5
ALL = "images"


def draw_findings(partition: dict[str, Any], path: Path) -> None:
    """Write a histogram of findings for each hospital, and for what is set apart, as PNG; the rarest finding on top.

    `partition` is the content of partition.json. Hospitals share one scale; what is set apart has its own. A set
    without labels has one bar, that of all images.
    """
    from matplotlib.figure import Figure

    sites = partition["sites"]
    apart = {name: partition[name] for name in ("test", "server") if partition[name]}
    findings = findings_by_number(partition)
    names = findings or [ALL]
    columns = min(COLUMNS, len(sites) + len(apart))
    rows = -(-(len(sites) + len(apart)) // columns)
    width = 2.0 + 2.5 * columns
    figure = Figure(figsize=(width, 1.5 + rows * (0.7 + 0.19 * len(names))), layout="constrained")
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    most = max(sum(_parts(site, name)) for site in sites.values() for name in names)
    for axes, (name, site) in zip(panels, sites.items(), strict=False):
        parts = [_parts(site, finding) for finding in names]
        _bars(axes, [("training", TRAIN), ("validation", VALIDATION)], parts, most)
        axes.set_title(_heading(name, sum(site["images"].values()), sum(site["patients"].values())), fontsize=9)
    for axes, (name, held) in zip(panels[len(sites) :], apart.items(), strict=False):
        counts = [held["images"] if finding == ALL else held["findings"][finding] for finding in names]
        _bars(axes, [("set apart", APART)], [(count,) for count in counts], max(counts))
        axes.set_title(_heading(name, held["images"], held["patients"]), fontsize=9)
    for axes in panels[len(sites) + len(apart) :]:
        axes.set_visible(False)
    panels[0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    panels[0].invert_yaxis()  # for all, as they share it
    shown = [panels[0], *(panels[len(sites)] for _ in apart)][:2]
    handles = [handle for axes in shown for handle in axes.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower right", ncols=3, frameon=False, fontsize=9)
    what = "images with each finding" if findings else "images"
    figure.suptitle(partition_chart.wrapped(f"{title(partition)}: {what}", width), x=0.01, ha="left", fontsize=11)
    figure.savefig(path, dpi=110)


def findings_by_number(partition: dict[str, Any]) -> list[str]:
    """Findings by their number of images in the whole partition, rarest first, No Finding last."""
    total: dict[str, int] = {}
    parts = [part for site in partition["sites"].values() for part in site["findings"].values()]
    parts += [partition[name]["findings"] for name in ("test", "server") if partition[name]]
    for part in parts:
        for finding, count in part.items():
            total[finding] = total.get(finding, 0) + count
    return sorted(total, key=lambda finding: (finding == NO_FINDING, total[finding], finding))


def title(partition: dict[str, Any]) -> str:
    """One line: data set, number of hospitals, how they were dealt, test patients and seed."""
    if list(partition["sites"]) == [COORDINATOR]:
        return f"{partition['data_set']}: all at the coordinator, seed {partition['seed']}"
    settings = partition["settings"]
    literal = ", No Finding literally" if settings["no_finding"] == "literal" else ""
    official = ", official test patients" if settings["official_test"] else ""
    return f"{partition_chart.title(partition)}{literal}{official}"


def _parts(site: dict[str, Any], finding: str) -> tuple[int, int]:
    """Images with a finding in a hospital: (training, validation)."""
    images, found = site["images"], site["findings"]
    if finding == ALL:
        return images["train"], images["validation"]
    return found["train"][finding], found["validation"][finding]


def _heading(name: str, images: int, patients: int) -> str:
    return f"{name}\n{images:,} images, {patients:,} patients"


def _bars(axes: Any, kinds: list[tuple[str, str]], parts: Sequence[tuple[int, ...]], most: int) -> None:
    """Stacked horizontal bars, one for each of `parts`, with the sum beside them; the axis ends past `most`."""
    starts = [0] * len(parts)
    for (label, colour), values in zip(kinds, zip(*parts, strict=True), strict=True):
        axes.barh(range(len(parts)), values, left=starts, color=colour, label=label)
        starts = [start + value for start, value in zip(starts, values, strict=True)]
    for place, total in enumerate(starts):
        axes.annotate(f"{total:,}", (total, place), (2, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xlim(0, 1.18 * max(most, 1))
    axes.tick_params(labelsize=7)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right"]].set_visible(False)
