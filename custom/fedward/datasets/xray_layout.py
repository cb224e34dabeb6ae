"""A partition of X-rays on disk: each hospital's images in the data set's own layout, by links, never by copies.

SITES/hospital-01/...               its rows of the original table and its images, for the data set's own reader:
    chestxray14   the table under its own name (Data_Entry_2017.csv), images/<file>
    chexpert      train.csv (without the archive's name in its paths), train/<patient>/<study>/<file>; rows of valid.csv
                  and test.csv too, with the columns of train.csv
    image_folder  the images, in the folders in which they were
SITES/hospital-01/split.json        {"train": [patient, ...], "validation": [patient, ...]}
SITES/test/..., SITES/server/...    test patients and the server's validation patients, where there are some
SITES/plan.csv                      instead of all these, where only labels are given: patient, site, use
SITES/partition.json                who holds how much (no paths, no names of patients):
    data_set, seed
    settings    sites, by, alpha, no_finding, fold, folds, official_test, server_patients
    sites       hospital -> {institution: "", patients, images: each {train, validation},
                             findings: {train, validation}: each finding -> images with it, and No Finding}
    test, server  {patients, images, findings}; null where there is none
    warnings    [sentence, ...]
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedward.datasets import chestxray14, chexpert
from fedward.datasets.csv_table import read_csv
from fedward.datasets.image_table import ImageTable, finding_counts
from fedward.datasets.layout import link_file
from fedward.datasets.partition import Plan
from fedward.datasets.xray_partition import NO_FINDING, XrayPartitionSettings
from fedward.progress import map_in_processes
from fedward.rounds.run_folder import write_json


@dataclass(frozen=True)
class OriginalTable:
    """The original table: its file's name, its columns, and each image's cells by the image's place below a site."""

    name: str
    header: Sequence[str]
    row_of: Mapping[Path, Sequence[str]]


def lay_out_images(data_set: str, root: Path, table: ImageTable, plan: Plan, folder: Path, quiet: bool = False) -> None:
    """Link each patient's images to its place under `folder`, beside their rows and each hospital's split.json.

    `table` was read from `root` as the set named `data_set`.
    """
    rows = rows_by_patient(table)
    target_of = {path: image_target(data_set, root, path) for path in table.paths}
    original = original_table(data_set, root)
    links: list[tuple[Path, Path]] = []
    for place, patients in places(plan).items():
        images = [table.paths[row] for row in sorted(row for patient in patients for row in rows[patient])]
        targets = [target_of[path] for path in images]
        for parent in {(folder / place / target).parent for target in targets}:
            parent.mkdir(parents=True, exist_ok=True)
        if original is not None:
            write_csv(folder / place / original.name, original.header, (original.row_of[target] for target in targets))
        links += [(path, folder / place / target) for path, target in zip(images, targets, strict=True)]
    for site, split in plan.sites.items():
        write_json(folder / site / "split.json", {"train": split.train, "validation": split.validation})
    # In this process: making links waits for the file system, where others would only queue.
    for _ in map_in_processes(_link, links, "Linking images", workers=1, quiet=quiet):
        pass


def image_target(data_set: str, root: Path, path: Path) -> Path:
    """Where an image lies below a site's folder, e.g. images/00000001_000.png."""
    return Path("images", path.name) if data_set == "chestxray14" else path.relative_to(root)


def original_table(data_set: str, root: Path) -> OriginalTable | None:
    """The rows of the table under `root` as they stand there; None where the data set has none."""
    if data_set == "chestxray14":
        return _nih_table(root)
    return _chexpert_table(root) if data_set == "chexpert" else None


def _nih_table(root: Path) -> OriginalTable:
    table = read_csv(chestxray14.table_path(root))
    (column,) = table.require([chestxray14.IMAGE])
    rows = {Path("images", name): row for name, row in zip(table.column(column), table.rows, strict=True)}
    return OriginalTable(table.path.name, table.header, rows)


def _chexpert_table(root: Path) -> OriginalTable:
    tables = [read_csv(path) for path in chexpert.table_paths(root)]
    header = tables[0].header
    rows: dict[Path, Sequence[str]] = {}
    for table in tables:
        (path_column,) = table.require([chexpert.PATH])
        inner = ["/".join(chexpert.below_root(text)) for text in table.column(path_column)]
        found = [table.find(name) for name in header]
        columns = [
            inner if place == path_column else [""] * len(inner) if place is None else table.column(place)
            for place in found
        ]
        rows |= {Path(name): row for name, row in zip(inner, zip(*columns, strict=True), strict=True)}
    return OriginalTable(chexpert.TRAIN_TABLE, header, rows)


def _link(link: tuple[Path, Path]) -> None:
    link_file(*link)


def places(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Hospital, test or server -> its patients; no test or server where nobody is set apart."""
    hospitals = {site: (*split.train, *split.validation) for site, split in plan.sites.items()}
    apart = {"test": plan.test, "server": plan.server}
    return hospitals | {name: patients for name, patients in apart.items() if patients}


def rows_by_patient(table: ImageTable) -> dict[str, list[int]]:
    """Patient -> its rows in the table, from 0, in order."""
    rows: dict[str, list[int]] = {}
    for row, patient in enumerate(table.patients):
        rows.setdefault(patient, []).append(row)
    return rows


def write_plan(plan: Plan, path: Path) -> None:
    """The plan as a table (CSV): patient, site, use (train, validation, test or server), sorted by patient."""
    rows = [
        (p, site, use) for site, s in plan.sites.items() for use in ("train", "validation") for p in getattr(s, use)
    ]
    rows += [(p, name, name) for name in ("test", "server") for p in getattr(plan, name)]
    write_csv(path, ("patient", "site", "use"), sorted(rows))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of comma separated values in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def describe_images(data_set: str, table: ImageTable, plan: Plan, settings: XrayPartitionSettings) -> dict[str, Any]:
    """The content of partition.json."""
    rows = rows_by_patient(table)

    def totals(patients: tuple[str, ...]) -> dict[str, Any]:
        held = table.select([row for patient in patients for row in rows[patient]])
        return {"patients": len(patients), "images": len(held), "findings": finding_counts(held)}

    sites = {}
    for name, split in plan.sites.items():
        train, validation = totals(split.train), totals(split.validation)
        both = {key: {"train": train[key], "validation": validation[key]} for key in train}
        sites[name] = {"institution": "", **both}
    values = asdict(settings)
    return {
        "data_set": data_set,
        "seed": values.pop("seed"),
        "settings": values,
        "sites": sites,
        "test": totals(plan.test) if plan.test else None,
        "server": totals(plan.server) if plan.server else None,
        "warnings": [*plan.warnings, *(label_warnings(sites) if table.findings else ())],
    }


def label_warnings(sites: dict[str, Any]) -> list[str]:
    """A sentence for each hospital that sees no finding in training, or could compute no AUC in validation."""
    warnings = []
    for name, site in sites.items():
        positives = {use: {f: n for f, n in site["findings"][use].items() if f != NO_FINDING} for use in site["images"]}
        images = site["images"]
        if not any(positives["train"].values()):
            warnings.append(f"{name}: none of its {images['train']} training images shows a finding")
        elif one_class(positives["train"], images["train"]):
            warnings.append(f"{name}: all its {images['train']} training images have the same labels")
        if images["validation"] and one_class(positives["validation"], images["validation"]):
            warnings.append(
                f"{name}: no finding is both present and absent in its {images['validation']} validation images, "
                "so its AUC stays blank"
            )
    return warnings


def one_class(positives: dict[str, int], images: int) -> bool:
    """Whether each finding is in all of the images or in none."""
    return all(count in (0, images) for count in positives.values())
