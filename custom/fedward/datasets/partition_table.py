"""Who holds what, as a table for the console: one row for each hospital and for what is set apart."""

from typing import Any


def volume_table(partition: dict[str, Any]) -> Any:
    """A rich table: one row for each hospital and for what is set apart, with a bar of its slices."""
    from fedward.datasets.partition_chart import title

    rows: list[tuple[Any, ...]] = [
        (name, site["institution"], *_totals(site, "patients"), _sum(site["slices"]), _sum(site["slices_with_tumour"]))
        for name, site in partition["sites"].items()
    ]
    for name in ("test", "server"):
        if part := partition[name]:
            rows.append((name, "", part["patients"], "", "", part["slices"], part["slices_with_tumour"]))
    columns = ("site", "institution", "patients", "train", "valid.", "slices", "tumour")
    return table(title(partition), columns, rows, bar="slices")


def image_table(partition: dict[str, Any]) -> Any:
    """A rich table: one row for each hospital and for what is set apart, with a bar of its images."""
    from fedward.datasets.xray_chart import title
    from fedward.datasets.xray_partition import NO_FINDING

    def present(*parts: dict[str, int]) -> str:
        names = [name for name in parts[0] if name != NO_FINDING]
        return f"{sum(any(part[name] for part in parts) for name in names)} of {len(names)}" if names else ""

    rows: list[tuple[Any, ...]] = [
        (name, *_totals(site, "patients"), _sum(site["images"]), present(*site["findings"].values()))
        for name, site in partition["sites"].items()
    ]
    for name in ("test", "server"):
        if part := partition[name]:
            rows.append((name, part["patients"], "", "", part["images"], present(part["findings"])))
    columns: tuple[str, ...] = ("site", "patients", "train", "valid.", "images", "findings")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return table(title(partition), columns, rows, bar="images")


def scan_table(partition: dict[str, Any]) -> Any:
    """A rich table: one row for each hospital and for what is set apart, with a bar of its slices."""
    from fedward.datasets.partition_chart import title
    from fedward.datasets.scan_chart import groups_of

    rows: list[tuple[Any, ...]] = [
        (
            name,
            *_totals(site, "patients"),
            _sum(site["scans"]),
            _sum(site["slices"]),
            _mix(groups_of(*site["groups"].values())),
        )
        for name, site in partition["sites"].items()
    ]
    for name in ("test", "server"):
        if part := partition[name]:
            rows.append((name, part["patients"], "", "", part["scans"], part["slices"], _mix(part["groups"])))
    columns: tuple[str, ...] = ("site", "patients", "train", "valid.", "scans", "slices", "diseases")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return table(title(partition), columns, rows, bar="slices")


def _mix(groups: dict[str, int]) -> str:
    """Patients by disease, e.g. DCM 2, HCM 1; "" where none is known."""
    return ", ".join(f"{name or 'unknown'} {count}" for name, count in sorted(groups.items())) if any(groups) else ""


def table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], bar: str) -> Any:
    """A rich table: names to the left, numbers to the right, and a bar as long as the number in the column `bar`."""
    from rich import box
    from rich.table import Table

    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        text = column in ("site", "institution", "diseases")
        shown.add_column(column, justify="left" if text else "right", no_wrap=column not in ("institution", "diseases"))
    shown.add_column("", no_wrap=True)
    place = columns.index(bar)
    most = max(row[place] for row in rows)
    for row in rows:
        shown.add_row(*(str(value) for value in row), "█" * max(1, round(10 * row[place] / most)))
    return shown


def _totals(site: dict[str, Any], what: str) -> tuple[int, int, int]:
    return _sum(site[what]), site[what]["train"], site[what]["validation"]


def _sum(counts: dict[str, int]) -> int:
    return sum(counts.values())
