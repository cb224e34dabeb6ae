import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedward.datasets import chestxray14, chexpert, image_folder
from fedward.datasets.image_table import ImageTable
from fedward.datasets.layout import new_folder, read_split
from fedward.datasets.partition import Plan
from fedward.datasets.selection import SelectionSettings
from fedward.datasets.xray_chart import draw_findings, findings_by_number
from fedward.datasets.xray_layout import describe_images, label_warnings, lay_out_images, places, write_plan
from fedward.datasets.xray_partition import XrayPartitionSettings, cohort, make_xray_plan

ALL = SelectionSettings(views="all")
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
TEXTS = ("No Finding", "Mass|Edema", "No Finding", "Hernia", "Edema", "Mass", "No Finding", "Edema|Infiltration")


@pytest.fixture(scope="module")
def nih(tmp_path_factory) -> Path:
    """Sixteen patients of one to three images in two folders of the archive. Files hold their own name."""
    root = tmp_path_factory.mktemp("nih")
    lines = [NIH_HEADER]
    for patient in range(16):
        for number in range(1 + patient % 3):
            name = f"{patient:08d}_{number:03d}.png"
            text = TEXTS[(patient + number) % len(TEXTS)]
            lines.append(f"{name},{text},{number},{patient},058Y,M,PA,2500,2048,0.168,0.168,")
            folder = root / f"images_{1 + patient % 2:03d}" / "images"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    (root / "Data_Entry_2017.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def stanford(tmp_path_factory) -> Path:
    """Eight training patients with a frontal and a lateral image each, and two of the validation table."""
    root = tmp_path_factory.mktemp("stanford")
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *chexpert.FINDINGS]
    for part, numbers, columns in (("train", range(1, 9), header), ("valid", (90, 91), ["Path", *chexpert.FINDINGS])):
        rows = []
        for number in numbers:
            for view in ("frontal", "lateral"):
                inner = f"{part}/patient{number:05d}/study1/view1_{view}.jpg"
                (root / inner).parent.mkdir(parents=True, exist_ok=True)
                (root / inner).write_text(inner)
                labels = {"Edema": "1.0", "Fracture": "-1.0"} if number % 2 else {"No Finding": "1.0"}
                row = {"Path": f"CheXpert-v1.0-small/{inner}", "Sex": "Female", "Age": 61, "AP/PA": "AP"}
                rows.append({**row, "Frontal/Lateral": view.title(), **labels})
        with (root / f"{part}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    return root


def laid_out(
    data_set: str, root: Path, table: ImageTable, out: Path, chosen: XrayPartitionSettings, official=()
) -> Plan:
    plan = make_xray_plan(cohort(table), chosen, official)
    with new_folder(out) as folder:
        lay_out_images(data_set, root, table, plan, folder)
    return plan


def rows_of(table: ImageTable, root: Path) -> dict[str, tuple]:
    """File's name below `root` -> patient and labels."""
    labels = [tuple(row) for row in np.nan_to_num(table.labels, nan=-1).tolist()]
    names = (path.relative_to(root).as_posix() for path in table.paths)
    return dict(zip(names, zip(table.patients, labels, strict=True), strict=True))


def test_chestxray14_is_read_back_by_its_reader_from_every_place(nih, tmp_path):
    table = chestxray14.read_table(nih, ALL)
    chosen = XrayPartitionSettings(3, fold=1, folds=4, server_patients=2)
    plan = laid_out("chestxray14", nih, table, tmp_path / "sites", chosen)
    assert sorted(path.name for path in (tmp_path / "sites").iterdir()) == sorted(places(plan))
    original = {Path(name).name: row for name, row in rows_of(table, nih).items()}
    found: dict[str, tuple] = {}
    for place, patients in places(plan).items():
        folder = tmp_path / "sites" / place
        part = chestxray14.read_table(folder, ALL)
        assert set(part.patients) == set(patients)
        assert all(path.read_text() == path.name and path.parent == folder / "images" for path in part.paths)
        found |= {Path(name).name: row for name, row in rows_of(part, folder).items()}
        if place in plan.sites:
            assert read_split(folder, part.patients, seed=99) == plan.sites[place]
    assert found == original


def test_the_rows_stand_in_the_site_as_in_the_original(nih, tmp_path):
    table = chestxray14.read_table(nih, ALL)
    laid_out("chestxray14", nih, table, tmp_path / "sites", XrayPartitionSettings(3))
    lines = (nih / "Data_Entry_2017.csv").read_text().splitlines()
    parts = [path.read_text().splitlines() for path in (tmp_path / "sites").glob("*/Data_Entry_2017.csv")]
    assert all(part[0] == lines[0] for part in parts)
    assert sorted(line for part in parts for line in part[1:]) == sorted(lines[1:])


def test_images_are_links_to_the_originals(nih, tmp_path):
    table = chestxray14.read_table(nih, ALL)
    laid_out("chestxray14", nih, table, tmp_path / "sites", XrayPartitionSettings(2))
    originals = {path.name: path for path in table.paths}
    linked = list((tmp_path / "sites").rglob("*.png"))
    assert sorted(path.name for path in linked) == sorted(originals)
    assert all(path.samefile(originals[path.name]) for path in linked)


def test_chexpert_is_read_back_with_every_view_and_the_held_back_patients_as_test(stanford, tmp_path):
    table = chexpert.read_table(stanford, ALL)
    official = chexpert.official_test(stanford)
    chosen = XrayPartitionSettings(2, official_test=True)
    plan = laid_out("chexpert", stanford, table, tmp_path / "sites", chosen, official or ())
    assert plan.test == ("patient00090", "patient00091")
    found: dict[str, tuple] = {}
    for place in places(plan):
        folder = tmp_path / "sites" / place
        assert [path.name for path in folder.glob("*.csv")] == ["train.csv"]
        part = chexpert.read_table(folder, ALL)
        assert all(path.read_text() == path.relative_to(folder).as_posix() for path in part.paths)
        found |= rows_of(part, folder)
    assert found == rows_of(table, stanford)
    with (tmp_path / "sites" / "hospital-01" / "train.csv").open() as file:
        row = next(csv.DictReader(file))
    assert row["Path"].startswith("train/patient")
    assert (row["Sex"], row["Age"]) == ("Female", "61")
    assert len(chexpert.read_table(tmp_path / "sites" / "test", SelectionSettings())) == 2  # frontal ones


def test_a_plain_folder_keeps_its_tree(tmp_path):
    names = ["a.png", "deep/a.png", "deep/b.jpeg", "deep/er/a.JPG", "deep/er/c.JPG", "d.png"]
    for name in names:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    table = image_folder.read_table(tmp_path / "data", ALL)
    assert len(set(table.patients)) == len(names)
    chosen = XrayPartitionSettings(2, by="iid")
    plan = laid_out("image_folder", tmp_path / "data", table, tmp_path / "sites", chosen)
    found = []
    for site in plan.sites:
        part = image_folder.read_table(tmp_path / "sites" / site, ALL)
        assert read_split(tmp_path / "sites" / site, part.patients, seed=0) == plan.sites[site]
        found += [path.relative_to(tmp_path / "sites" / site).as_posix() for path in part.paths]
    assert sorted(found) == sorted(names)
    partition = describe_images("image_folder", table, plan, chosen)
    assert partition["sites"]["hospital-01"]["findings"] == {"train": {}, "validation": {}}
    assert partition["warnings"] == []
    widths = []
    for sites in (["hospital-01"], ["hospital-01", "hospital-02"]):
        draw_findings(partition | {"sites": {s: partition["sites"][s] for s in sites}}, tmp_path / "chart.png")
        with Image.open(tmp_path / "chart.png") as chart:
            widths.append(chart.width)
            ink = np.flatnonzero((np.asarray(chart.convert("L")) < 250).any(axis=0))
            assert ink[-1] > 0.9 * chart.width  # no empty place for hospitals that are not there
    assert widths[0] < widths[1]


def test_the_description_counts_images_and_findings_and_names_no_patient_and_no_path(nih, tmp_path):
    table = chestxray14.read_table(nih, ALL)
    chosen = XrayPartitionSettings(2, fold=2, folds=4, server_patients=1, seed=5)
    plan = make_xray_plan(cohort(table), chosen)
    found = describe_images("chestxray14", table, plan, chosen)
    assert (found["data_set"], found["seed"]) == ("chestxray14", 5)
    assert found["settings"] == {
        "sites": 2, "by": "non_iid", "alpha": None, "no_finding": "proportional", "fold": 2, "folds": 4,
        "official_test": False, "server_patients": 1,
    }  # fmt: skip
    for site, split in plan.sites.items():
        held = found["sites"][site]
        assert (held["institution"], held["patients"]) == (
            "", {"train": len(split.train), "validation": len(split.validation)},
        )  # fmt: skip
        for use in ("train", "validation"):
            rows = [row for row, patient in enumerate(table.patients) if patient in getattr(split, use)]
            mass = chestxray14.FINDINGS.index("Mass")
            assert held["images"][use] == len(rows)
            assert held["findings"][use]["Mass"] == sum(table.labels[row, mass] == 1 for row in rows)
            assert held["findings"][use]["No Finding"] == sum(not table.labels[row].any() for row in rows)
    assert found["server"]["patients"] == 1
    total = [*(part for site in found["sites"].values() for part in site["findings"].values())]
    total += [found["test"]["findings"], found["server"]["findings"]]
    assert sum(part["Hernia"] for part in total) == int(table.labels[:, chestxray14.FINDINGS.index("Hernia")].sum())
    text = json.dumps(found)
    assert str(tmp_path) not in text
    assert ".png" not in text


def site_with(train: dict[str, int], validation: dict[str, int], images: tuple[int, int] = (9, 4)) -> dict:
    return {
        "images": {"train": images[0], "validation": images[1]},
        "findings": {"train": train, "validation": validation},
    }


@pytest.mark.parametrize(
    ("site", "reasons"),
    [
        (site_with({"Mass": 3, "No Finding": 6}, {"Mass": 1, "No Finding": 3}), []),
        (site_with({"Mass": 0, "No Finding": 9}, {"Mass": 1, "No Finding": 3}), ["none of its 9 training images"]),
        (site_with({"Mass": 9, "No Finding": 0}, {"Mass": 1, "No Finding": 3}), ["all its 9 training images have"]),
        (site_with({"Mass": 3, "No Finding": 6}, {"Mass": 0, "No Finding": 4}), ["present and absent in its 4"]),
        (site_with({"Mass": 3, "No Finding": 6}, {"Mass": 4, "No Finding": 0}), ["present and absent in its 4"]),
        (site_with({"Mass": 3, "No Finding": 6}, {"Mass": 0, "No Finding": 0}, (9, 0)), []),
        (
            site_with({"Mass": 0, "No Finding": 9}, {"Mass": 0, "No Finding": 4}),
            ["none of its 9 training images", "present and absent in its 4"],
        ),
    ],
)
def test_a_hospital_with_one_class_only_is_a_warning(site, reasons):
    warnings = label_warnings({"hospital-03": site})
    assert len(warnings) == len(reasons)
    for warning, reason in zip(warnings, reasons, strict=True):
        assert warning.startswith("hospital-03: ")
        assert reason in warning


def test_the_plan_as_a_table(tmp_path, nih):
    table = chestxray14.read_labels(nih, ALL)
    plan = make_xray_plan(cohort(table), XrayPartitionSettings(3, fold=1, folds=4, server_patients=2))
    write_plan(plan, tmp_path / "plan.csv")
    with (tmp_path / "plan.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["patient"] for row in rows] == sorted(set(table.patients))
    for row in rows:
        held = getattr(plan.sites[row["site"]], row["use"]) if row["site"] in plan.sites else getattr(plan, row["use"])
        assert row["patient"] in held
    assert {row["site"] for row in rows} == {"hospital-01", "hospital-02", "hospital-03", "test", "server"}


def test_findings_are_drawn_rarest_first(nih):
    table = chestxray14.read_labels(nih, ALL)
    chosen = XrayPartitionSettings(2, fold=1)
    found = describe_images("chestxray14", table, make_xray_plan(cohort(table), chosen), chosen)
    order = findings_by_number(found)
    numbers = {name: int(table.labels[:, i].sum()) for i, name in enumerate(chestxray14.FINDINGS)}
    assert order == [*sorted(numbers, key=lambda name: (numbers[name], name)), "No Finding"]
