"""Who holds how many images, for tasks on images and scans, as a `data:` address holding an SVG."""

from collections.abc import Mapping
from typing import Any

from fedward.reports.charts import BLUE, GREY, YELLOW, data_address, figure_of, short
from fedward.reports.hospitals import held
from fedward.reports.metrics import number


def holdings(sites: Mapping[str, dict[str, Any]], test: Mapping[str, Any] | None, unit: str = "images") -> str:
    """Patients and images by use, one bar a site, and those set apart for the test; scans have slices as `unit`."""
    names = sorted(sites)
    bars = len(names) + bool(test)
    with figure_of(9.6, 1.1 + 0.28 * bars, columns=2, sharey=True) as (figure, panels):
        rows = range(len(names))
        for axes, what in zip(panels, ("patients", unit), strict=True):
            train, validation = ([held(sites[n], what, use) or 0 for n in names] for use in ("train", "validation"))
            axes.barh(rows, train, color=BLUE, height=0.66, label="training")
            axes.barh(rows, validation, left=train, color=YELLOW, height=0.66, label="validation")
            if test:
                count = number(test.get(what)) or 0
                axes.barh([len(names)], [count], color=GREY, height=0.66, label="test (at no site)")
            axes.set_title(what.capitalize())
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
        panels[0].set_yticks(range(bars), [short(n) for n in names] + ["test"] * bool(test))
        panels[0].set_ylim(bars - 0.4, -0.6)
        return data_address(figure)
