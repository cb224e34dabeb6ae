"""`fedward partition`: deal a data set's patients to hospitals, test and server, by links."""

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

FOR_IMAGES = ("no_finding", "official_test", "labels_only", "coordinator", "probe")
FOR_SCANS = ("test_patients", "validation_patients")


@click.command(
    "partition",
    epilog="Examples: fedward partition lgg kaggle_3m --out sites; "
    "fedward partition lgg kaggle_3m --by dirichlet --alpha 0.3 --fold 1 --out sites-fold-1; "
    "fedward partition chestxray14 DIR --by non_iid --out sites; "
    "fedward partition chestxray14 DIR --labels-only --out plan; "
    "fedward partition image_folder DIR --coordinator --probe chestxray14=DIR --out public; "
    "fedward partition acdc training --test-patients 11 --validation-patients 0 --out sites",
)
@click.argument("data_set")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for the sites.")
@click.option("--sites", default=10, show_default=True, help="Number of hospitals.")
@click.option(
    "--by",
    type=click.Choice(["institution", "iid", "non_iid", "stratified", "dirichlet"]),
    help="institution (lgg; its default): one institution a hospital. iid: shuffled, equal sizes. non_iid (X-rays; "
    "their default): unequal sizes, rarest finding first. stratified (scans; the default where diseases are known): "
    "each disease spread evenly. dirichlet: institutions, findings or diseases mixed by a draw.",
)
@click.option(
    "--alpha", type=float, help="Concentration for dirichlet: small keeps groups together. X-rays, scans: 0.5."
)
@click.option(
    "--no-finding",
    type=click.Choice(["proportional", "literal"]),
    help="X-rays, non_iid: images without finding go to all by size (default), or last.",
)
@click.option("--fold", type=int, help="Set this fold's test patients apart (1 to FOLDS).")
@click.option("--folds", default=5, show_default=True, help="Number of folds; each patient is tested in one.")
@click.option(
    "--official-test",
    is_flag=True,
    help="X-rays: set the publishers' test patients apart; the default where they are named and no fold is asked for.",
)
@click.option("--test-patients", type=int, help="Scans: set this many test patients apart, instead of a fold.")
@click.option("--validation-patients", type=int, help="Scans: of each hospital; 0: all train. Default: about 15 %.")
@click.option("--server-patients", default=0, show_default=True, help="Patients for validation on the server.")
@click.option("--seed", default=0, show_default=True, help="The same seed deals the same patients.")
@click.option("--labels-only", is_flag=True, help="X-rays: plan from the table alone, into OUT/plan.csv; no links.")
@click.option("--coordinator", is_flag=True, help="X-rays: all to one site, OUT/coordinator, which pretrains on them.")
@click.option("--probe", multiple=True, metavar="NAME=DIR", help="X-rays: labelled images for a pretraining's probe.")
@click.option("--workers", default=0, type=click.IntRange(0), help="Processes that read; 0: one a core.")
def command(data_set: str, folder: Path, out: Path, workers: int, **options: Any) -> None:
    """Split DATA_SET in DIR by patient into OUT/hospital-01, OUT/hospital-02, ...

    Files are linked, not copied. OUT/test and OUT/server hold what is set apart. Each hospital's split.json names its
    training and validation patients; OUT/partition.json and OUT/partition.png say who holds how much.
    """
    from rich.console import Console

    from fedward.datasets.base import ImageDataSet
    from fedward.datasets.partition_table import image_table, scan_table, volume_table
    from fedward.datasets.registry import get_data_set
    from fedward.datasets.scan import ScanDataSet

    source = get_data_set(data_set)
    labels_only = options["labels_only"]
    if isinstance(source, ImageDataSet):
        partition, table = partition_images(source, folder, out, **options), image_table
    elif isinstance(source, ScanDataSet):
        partition, table = partition_scans(source, folder, out, **options), scan_table
    else:
        partition, table = partition_volumes(source, folder, out, workers, **options), volume_table
    console = Console()
    console.print(table(partition))
    for warning in partition["warnings"]:
        console.print(f"Warning: {warning}", style="yellow", soft_wrap=True)
    done = f"Planned in {out / 'plan.csv'}" if labels_only else f"Laid out by links in {out}"
    console.print(f"{done}; chart: {out / 'partition.png'}", soft_wrap=True)
    if not labels_only and table is not volume_table:  # volumes with masks are read: a bad one has ended it
        check = f"fedward check-data {data_set} {shlex.quote(str(folder))}"
        click.echo(f"The images themselves were not read: {check} reads every file")


def partition_volumes(source: Any, folder: Path, out: Path, workers: int, **options: Any) -> dict[str, Any]:
    """Lay out a data set of volumes; the content of partition.json."""
    from fedward.datasets.layout import describe, lay_out, new_folder
    from fedward.datasets.partition import PartitionSettings, make_plan
    from fedward.datasets.partition_chart import draw_partition
    from fedward.progress import map_in_processes
    from fedward.rounds.run_folder import write_json

    refuse_options(source.name, options, (*FOR_IMAGES, *FOR_SCANS))
    refuse_other_ways(source.name, options["by"], ("institution", "iid", "dirichlet"))
    settings = PartitionSettings(**options | {"by": options["by"] or "institution"})
    with new_folder(out, outside=folder) as temporary:
        cases = source.find_cases(folder)
        institution_of = {case.patient: case.institution for case in cases}
        plan = make_plan(institution_of, settings)
        counts = map_in_processes(partial(count_slices, source.read_case), cases, "Reading masks", workers)
        slices = dict(zip(institution_of, counts, strict=True))
        partition = describe(source.name, institution_of, slices, plan, settings)
        lay_out(cases, plan, temporary)
        write_json(temporary / "partition.json", partition)
        draw_partition(partition, temporary / "partition.png")
    return partition


def refuse_options(data_set: str, options: dict[str, Any], names: tuple[str, ...]) -> None:
    """Take `names` out of `options`; UsageError where one of them, of another kind of data set, was given."""
    from fedward.errors import UsageError

    context = click.get_current_context()
    for name in names:
        del options[name]
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} has no meaning for {data_set}: leave it out")


def refuse_other_ways(data_set: str, by: str | None, known: tuple[str, ...]) -> None:
    """UsageError where --by asks for what the data set does not know."""
    from fedward.errors import UsageError

    if by is not None and by not in known:
        *first, last = known
        ways = f"{', '.join(first)} or {last}" if first else last
        raise UsageError(f"--by {by} has no meaning for {data_set}: use {ways}")


def count_slices(read_case: Any, case: Any) -> tuple[int, int]:
    """(slices, slices with tumour) of a patient."""
    mask = read_case(case).mask
    return len(mask), int(mask.any(axis=(1, 2)).sum())


def partition_images(source: Any, folder: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Lay out a data set of X-rays, or plan it from its labels alone; the content of partition.json."""
    from fedward.datasets.coordinator import coordinator_plan, link_probes, parse_probes
    from fedward.datasets.layout import new_folder
    from fedward.datasets.selection import SelectionSettings
    from fedward.datasets.xray_chart import draw_findings
    from fedward.datasets.xray_layout import describe_images, lay_out_images, write_plan
    from fedward.datasets.xray_partition import XrayPartitionSettings, cohort, make_xray_plan
    from fedward.errors import UsageError
    from fedward.rounds.run_folder import write_json

    refuse_options(source.name, options, FOR_SCANS)
    labels_only, coordinator = options.pop("labels_only"), options.pop("coordinator")
    probes = parse_probes(options.pop("probe"))
    if coordinator:
        options |= _coordinator_options(options, labels_only)
    refuse_other_ways(source.name, options["by"], ("iid", "non_iid", "dirichlet") if source.findings else ("iid",))
    by = options["by"] = options["by"] or ("non_iid" if source.findings else "iid")
    options["no_finding"] = options["no_finding"] or "proportional"
    if by == "dirichlet" and options["alpha"] is None:
        options["alpha"] = 0.5
    asked = XrayPartitionSettings(**options)  # before anything is read
    with new_folder(out, outside=folder) as temporary:
        official = source.official_test(folder) if asked.fold is None and not coordinator else None
        if asked.official_test and official is None:
            raise UsageError(f"{folder} names no official test patients: give the publishers' lists, or use a fold")
        settings = XrayPartitionSettings(**options | {"official_test": official is not None})
        read = source.read_labels if labels_only else source.read_table
        table = read(folder, SelectionSettings(views="all"))
        if coordinator:
            plan = coordinator_plan(set(table.patients), settings.seed)
        else:
            plan = make_xray_plan(cohort(table), settings, official or ())
        partition = describe_images(source.name, table, plan, settings)
        if labels_only:
            write_plan(plan, temporary / "plan.csv")
        else:
            lay_out_images(source.name, folder, table, plan, temporary)
            link_probes(probes, temporary)
        write_json(temporary / "partition.json", partition)
        draw_findings(partition, temporary / "partition.png")
    return partition


def partition_scans(source: Any, folder: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Lay out a data set of scans; the content of partition.json."""
    from fedward.datasets.layout import new_folder
    from fedward.datasets.nifti import read_grid
    from fedward.datasets.scan_chart import draw_scans
    from fedward.datasets.scan_layout import describe_scans, lay_out_scans
    from fedward.datasets.scan_partition import ScanPartitionSettings, make_scan_plan
    from fedward.progress import map_in_processes
    from fedward.rounds.run_folder import write_json

    refuse_options(source.name, options, FOR_IMAGES)
    refuse_other_ways(source.name, options["by"], ("stratified", "iid", "dirichlet"))
    options["test_patients"] = options["test_patients"] or 0
    if options["by"] == "dirichlet" and options["alpha"] is None:
        options["alpha"] = 0.5
    ScanPartitionSettings(**options | {"by": options["by"] or "iid"})  # before anything is read
    with new_folder(out, outside=folder) as temporary:
        scans = source.find_scans(folder)
        group_of = {scan.patient: scan.group for scan in scans}
        by = options["by"] or ("stratified" if any(group_of.values()) else "iid")
        settings = ScanPartitionSettings(**options | {"by": by})
        plan = make_scan_plan(group_of, settings)
        paths = [scan.image for scan in scans]
        grids = map_in_processes(read_grid, paths, "Reading headers", workers=1)
        slices = {path: grid.size[0] for path, grid in zip(paths, grids, strict=True)}
        partition = describe_scans(source.name, scans, slices, plan, settings)
        lay_out_scans(source.name, folder, scans, plan, temporary)
        write_json(temporary / "partition.json", partition)
        draw_scans(partition, temporary / "partition.png")
    return partition


def _coordinator_options(options: dict[str, Any], labels_only: bool) -> dict[str, Any]:
    """How a coordinator's images are dealt; UsageError for options that deal to hospitals."""
    from fedward.errors import UsageError

    context = click.get_current_context()
    given = [name for name in options if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    needless = [name for name in given if name != "seed"] + (["labels_only"] if labels_only else [])
    if needless:
        name = needless[0].replace("_", "-")
        raise UsageError(
            f"--{name} has no meaning with --coordinator, which gives all images to one site: leave it out"
        )
    return {"sites": 1, "by": "iid"}
