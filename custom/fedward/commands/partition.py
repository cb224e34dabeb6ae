"""`fedward partition`: deal a data set's patients to hospitals, test and server, by links."""

from functools import partial
from pathlib import Path
from typing import Any

import click


@click.command(
    "partition",
    epilog="Examples: fedward partition lgg kaggle_3m --out sites; "
    "fedward partition lgg kaggle_3m --by dirichlet --alpha 0.3 --fold 1 --out sites-fold-1",
)
@click.argument("data_set")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for the sites.")
@click.option("--sites", default=10, show_default=True, help="Number of hospitals.")
@click.option(
    "--by",
    type=click.Choice(["institution", "iid", "dirichlet"]),
    default="institution",
    show_default=True,
    help="One institution a hospital; shuffled; or mixed by a Dirichlet draw.",
)
@click.option("--alpha", type=float, help="Concentration for dirichlet: small keeps institutions together.")
@click.option("--fold", type=int, help="Set this fold's test patients apart (1 to FOLDS).")
@click.option("--folds", default=5, show_default=True, help="Number of folds; each patient is tested in one.")
@click.option("--server-patients", default=0, show_default=True, help="Patients for validation on the server.")
@click.option("--seed", default=0, show_default=True, help="The same seed deals the same patients.")
@click.option("--workers", default=0, type=click.IntRange(0), help="Processes that read the masks; 0: one a core.")
def command(data_set: str, folder: Path, out: Path, workers: int, **options: Any) -> None:
    """Split DATA_SET in DIR by patient into OUT/hospital-01, OUT/hospital-02, ...

    Files are linked, not copied. OUT/test and OUT/server hold what is set apart. Each hospital's split.json names its
    training and validation patients; OUT/partition.json and OUT/partition.png say who holds how much.
    """
    from rich.console import Console

    from fedward.datasets.layout import describe, lay_out, new_folder
    from fedward.datasets.partition import PartitionSettings, make_plan
    from fedward.datasets.partition_chart import draw_partition
    from fedward.datasets.registry import get_data_set
    from fedward.progress import map_in_processes
    from fedward.rounds.run_folder import write_json

    source = get_data_set(data_set)
    settings = PartitionSettings(**options)
    with new_folder(out, outside=folder) as temporary:
        cases = source.find_cases(folder)
        institution_of = {case.patient: case.institution for case in cases}
        plan = make_plan(institution_of, settings)
        counts = map_in_processes(partial(count_slices, source.read_case), cases, "Reading masks", workers)
        slices = dict(zip(institution_of, counts, strict=True))
        partition = describe(data_set, institution_of, slices, plan, settings)
        lay_out(cases, plan, temporary)
        write_json(temporary / "partition.json", partition)
        draw_partition(partition, temporary / "partition.png")
    console = Console()
    console.print(table(partition))
    for warning in partition["warnings"]:
        console.print(f"Warning: {warning}", style="yellow", soft_wrap=True)
    console.print(f"Laid out by links in {out}; chart: {out / 'partition.png'}", soft_wrap=True)


def count_slices(read_case: Any, case: Any) -> tuple[int, int]:
    """(slices, slices with tumour) of a patient."""
    mask = read_case(case).mask
    return len(mask), int(mask.any(axis=(1, 2)).sum())


def table(partition: dict[str, Any]) -> Any:
    """A rich table: one row for each hospital and for what is set apart, with a bar of its slices."""
    from rich import box
    from rich.table import Table

    from fedward.datasets.partition_chart import title

    rows = [
        (name, site["institution"], *(f"{site['patients'][part]}" for part in ("train", "validation")), *_totals(site))
        for name, site in partition["sites"].items()
    ]
    for name in ("test", "server"):
        if part := partition[name]:
            rows.append((name, "", "", "", part["slices"], part["slices_with_tumour"], part["patients"]))
    shown = Table(title=title(partition), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("site", no_wrap=True)
    shown.add_column("institution")
    for column in ("patients", "train", "valid.", "slices", "tumour"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    most = max(row[4] for row in rows)
    for name, institution, train, validation, slices, tumour, patients in rows:
        bar = "█" * max(1, round(10 * slices / most))
        shown.add_row(name, institution, str(patients), train, validation, str(slices), str(tumour), bar)
    return shown


def _totals(site: dict[str, Any]) -> tuple[int, int, int]:
    slices, tumour, patients = (sum(site[key].values()) for key in ("slices", "slices_with_tumour", "patients"))
    return slices, tumour, patients
