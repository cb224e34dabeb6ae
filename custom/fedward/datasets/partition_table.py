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
    """A rich table: one row for each hospital and for what is set apart, with its patients by disease.

    Where no disease is known, a bar of its slices stands there instead.
    """
    from fedward.datasets.partition_chart import title
    from fedward.datasets.scan_chart import groups_of

    held: list[tuple[Any, ...]] = []
    for name, site in partition["sites"].items():
        counts = (_sum(site[what]) for what in ("patients", "scans", "slices"))
        held.append((name, *counts, site["patients"]["validation"], groups_of(*site["groups"].values())))
    for name in ("test", "server"):
        if part := partition[name]:
            held.append((name, part["patients"], part["scans"], part["slices"], "", part["groups"]))
    diseases = sorted({disease for *_, groups in held for disease in groups})
    columns: tuple[str, ...] = ("site", "patients", "valid.", "scans", "slices")
    rows: list[tuple[Any, ...]] = [
        (name, patients, validation, scans, slices) for name, patients, scans, slices, validation, _ in held
    ]
    if not any(diseases):
        return table(title(partition), columns, rows, bar="slices")
    mixes = ["/".join(str(groups.get(disease, 0)) for disease in diseases) for *_, groups in held]
    columns += ("/".join(disease or "unknown" for disease in diseases),)
    return table(title(partition), columns, [(*row, mix) for row, mix in zip(rows, mixes, strict=True)], bar=None)


def table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], bar: str | None) -> Any:
    """A rich table: names to the left, numbers to the right, and a bar as long as the number in the column `bar`."""
    from rich import box
    from rich.table import Table

    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        text = column in ("site", "institution")
        shown.add_column(column, justify="left" if text else "right", no_wrap=column != "institution")
    bars = [""] * len(rows)
    if bar is not None:
        shown.add_column("", no_wrap=True)
        numbers = [row[columns.index(bar)] for row in rows]
        bars = ["█" * max(1, round(10 * number / max(numbers))) for number in numbers]
    for row, drawn in zip(rows, bars, strict=True):
        shown.add_row(*(str(value) for value in row), *([drawn] if drawn else []))
    return shown


def _totals(site: dict[str, Any], what: str) -> tuple[int, int, int]:
    return _sum(site[what]), site[what]["train"], site[what]["validation"]


def _sum(counts: dict[str, int]) -> int:
    return sum(counts.values())
