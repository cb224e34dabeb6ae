"""A partition of scans on disk: each hospital's patients in the data set's own layout, by links, never by copies.

SITES/hospital-01/...               for the data set's own reader:
    acdc          <patient>/ with Info.cfg where there is one, the frames and their labels (not the whole cine, _4d)
    nifti_folder  the volumes and their labels, in the folders in which they were
SITES/hospital-01/split.json        {"train": [patient, ...], "validation": [patient, ...]}
SITES/test/..., SITES/server/...    test patients and the server's validation patients, where there are some
SITES/partition.json                who holds how much (no paths, no names of patients):
    data_set, seed
    settings    sites, by, alpha, fold, folds, test_patients, server_patients, validation_patients
    sites       hospital -> {institution: "", patients, scans, slices: each {train, validation},
                             groups: {train, validation}: each disease -> patients with it, "" where it is unknown}
    test, server  {patients, scans, slices, groups}; null where there is none
    warnings    [sentence, ...]
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedward.datasets import acdc
from fedward.datasets.layout import link_file
from fedward.datasets.partition import Plan
from fedward.datasets.scan import Scan
from fedward.datasets.scan_partition import ScanPartitionSettings
from fedward.datasets.xray_layout import places
from fedward.rounds.run_folder import write_json


def lay_out_scans(data_set: str, root: Path, scans: Sequence[Scan], plan: Plan, folder: Path) -> None:
    """Link each patient's files to their place under `folder`, and write each hospital's split.json.

    `scans` were found in `root` by the set named `data_set`.
    """
    base = acdc.data_folder(root) if data_set == "acdc" else Path(root)
    files: dict[str, set[Path]] = {}
    for scan in scans:
        held = files.setdefault(scan.patient, set())
        held |= {scan.image} if scan.labels is None else {scan.image, scan.labels}
        if data_set == "acdc" and (info := scan.image.with_name(acdc.INFO)).is_file():
            held.add(info)
    for place, patients in places(plan).items():
        for path in sorted(path for patient in patients for path in files[patient]):
            target = folder / place / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            link_file(path, target)
    for site, split in plan.sites.items():
        write_json(folder / site / "split.json", {"train": split.train, "validation": split.validation})


def describe_scans(
    data_set: str, scans: Sequence[Scan], slices: Mapping[Path, int], plan: Plan, settings: ScanPartitionSettings
) -> dict[str, Any]:
    """The content of partition.json; `slices` is the image's file -> number of its slices."""
    scans_of: dict[str, list[Scan]] = {}
    for scan in scans:
        scans_of.setdefault(scan.patient, []).append(scan)

    def totals(patients: tuple[str, ...]) -> dict[str, Any]:
        held = [scan for patient in patients for scan in scans_of[patient]]
        groups = Counter(scans_of[patient][0].group for patient in patients)
        return {
            "patients": len(patients),
            "scans": len(held),
            "slices": sum(slices[scan.image] for scan in held),
            "groups": dict(sorted(groups.items())),
        }

    sites = {}
    for name, split in plan.sites.items():
        train, validation = totals(split.train), totals(split.validation)
        sites[name] = {
            "institution": "",
            **{key: {"train": train[key], "validation": validation[key]} for key in train},
        }
    values = asdict(settings)
    return {
        "data_set": data_set,
        "seed": values.pop("seed"),
        "settings": values,
        "sites": sites,
        "test": totals(plan.test) if plan.test else None,
        "server": totals(plan.server) if plan.server else None,
        "warnings": [*plan.warnings, *lonely_warnings(sites)],
    }


def lonely_warnings(sites: Mapping[str, Any]) -> list[str]:
    """A sentence for each hospital with one training patient, whose slices have no other patient's to resemble."""
    return [
        f"{name} has one training patient: contrastive pretraining finds its positives in one patient's scans only"
        for name, site in sites.items()
        if site["patients"]["train"] == 1
    ]
