import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from fedward.cli import cli, run
from fedward.datasets.layout import read_partition, read_split
from fedward.datasets.registry import get_data_set

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
TEXTS = ("No Finding", "Mass", "Edema|Mass", "No Finding", "Hernia")


@pytest.fixture
def nih(tmp_path) -> Path:
    """The table of twenty patients with two images each, without any image."""
    root = tmp_path / "nih"
    root.mkdir()
    names = [(f"{patient:08d}_{n:03d}.png", patient) for patient in range(20) for n in range(2)]
    rows = [f"{name},{TEXTS[patient % 5]},0,{patient},58,F,AP" for name, patient in names]
    (root / "Data_Entry_2017.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return root


def add_images(root: Path) -> None:
    (root / "images").mkdir()
    for row in csv.DictReader((root / "Data_Entry_2017.csv").open()):
        (root / "images" / row["Image Index"]).write_bytes(b"x")


def add_lists(root: Path, test: range) -> None:
    rows = list(csv.DictReader((root / "Data_Entry_2017.csv").open()))
    for name, tested in (("test_list.txt", True), ("train_val_list.txt", False)):
        images = [row["Image Index"] for row in rows if (int(row["Patient ID"]) in test) == tested]
        (root / name).write_text("\n".join(images))


def test_it_lays_out_shows_and_draws(nih, tmp_path, capsys):
    add_images(nih)
    out = tmp_path / "sites"
    arguments = ["partition", "chestxray14", str(nih), "--sites", "3", "--fold", "2", "--server-patients", "1"]
    assert run(cli, [*arguments, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "chestxray14: 3 hospitals by non_iid, fold 2 of 5, seed 0" in shown
    assert all(name in shown for name in ("hospital-01", "hospital-03", "test", "server", "of 14", "Laid out by links"))
    assert f"not read: fedward check-data chestxray14 {nih} reads every file\n" in shown
    assert (out / "partition.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "plan.csv").exists()
    partition = read_partition(out)
    patients = [n for site in partition["sites"].values() for n in site["patients"].values()]
    assert sum(patients) + partition["test"]["patients"] + partition["server"]["patients"] == 20
    assert str(tmp_path) not in (out / "partition.json").read_text()
    for site in partition["sites"]:
        found = get_data_set("chestxray14").find_patients(out / site)
        assert set(read_split(out / site, found, seed=0).train) <= set(found)
    assert run(cli, [*arguments, "--out", str(out)]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_labels_alone_give_a_plan_and_no_links(nih, tmp_path, capsys):
    out = tmp_path / "plan"
    arguments = ["partition", "chestxray14", str(nih), "--sites", "4", "--out", str(out)]
    assert run(cli, arguments) == 1  # no image is there
    assert "image missing" in capsys.readouterr().err
    assert not out.exists()
    assert run(cli, [*arguments, "--labels-only", "--by", "dirichlet"]) == 0
    shown = capsys.readouterr().out
    assert "Planned in" in shown
    assert "check-data" not in shown
    assert sorted(path.name for path in out.iterdir()) == ["partition.json", "partition.png", "plan.csv"]
    assert read_partition(out)["settings"]["alpha"] == 0.5
    rows = list(csv.DictReader((out / "plan.csv").open()))
    assert sorted(int(row["patient"]) for row in rows) == list(range(20))
    held = Counter((row["site"], row["use"]) for row in rows)
    for site, counts in read_partition(out)["sites"].items():
        assert {use: held[site, use] for use in ("train", "validation")} == counts["patients"]


def test_the_plan_from_labels_is_the_one_that_is_laid_out(nih, tmp_path):
    arguments = ["partition", "chestxray14", str(nih), "--sites", "3", "--seed", "7"]
    assert run(cli, [*arguments, "--labels-only", "--out", str(tmp_path / "plan")]) == 0
    add_images(nih)
    assert run(cli, [*arguments, "--out", str(tmp_path / "sites")]) == 0
    assert read_partition(tmp_path / "plan") == read_partition(tmp_path / "sites")


def test_the_official_list_is_the_default_and_a_fold_takes_its_place(nih, tmp_path, capsys):
    arguments = ["partition", "chestxray14", str(nih), "--sites", "2", "--labels-only"]
    assert run(cli, [*arguments, "--official-test", "--out", str(tmp_path / "a")]) == 2
    assert "names no official test patients: give the publishers' lists, or use a fold" in capsys.readouterr().err
    assert run(cli, [*arguments, "--out", str(tmp_path / "b")]) == 0
    assert read_partition(tmp_path / "b")["test"] is None
    add_lists(nih, range(3, 9))
    tested = {}
    for name, options in (("c", []), ("d", ["--official-test"]), ("e", ["--fold", "1"])):
        assert run(cli, [*arguments, *options, "--out", str(tmp_path / name)]) == 0
        rows = csv.DictReader((tmp_path / name / "plan.csv").open())
        tested[name] = {int(row["patient"]) for row in rows if row["use"] == "test"}
    assert tested["c"] == tested["d"] == set(range(3, 9))
    assert len(tested["e"]) == 4
    assert "official test patients" in capsys.readouterr().out
    settings = [read_partition(tmp_path / name)["settings"] for name in "cde"]
    assert [s["official_test"] for s in settings] == [True, True, False]


def test_a_lost_test_list_is_no_reason_to_set_nobody_apart(nih, tmp_path, capsys):
    add_lists(nih, range(3, 9))
    (nih / "test_list.txt").unlink()
    arguments = ["partition", "chestxray14", str(nih), "--sites", "2", "--labels-only"]
    assert run(cli, [*arguments, "--out", str(tmp_path / "a")]) == 1
    assert "bring test_list.txt back, or give --fold" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "a").exists()
    assert run(cli, [*arguments, "--fold", "1", "--out", str(tmp_path / "b")]) == 0


def test_literally_dealt_hospitals_without_finding_are_warned_of(nih, tmp_path, capsys):
    arguments = ["partition", "chestxray14", str(nih), "--sites", "5", "--no-finding", "literal", "--labels-only"]
    assert run(cli, [*arguments, "--out", str(tmp_path / "plan")]) == 0
    assert "hospital-05: none of its" in capsys.readouterr().out
    assert any("hospital-05: none of its" in text for text in read_partition(tmp_path / "plan")["warnings"])


def test_a_plain_folder_is_dealt_by_iid(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    for number in range(9):
        (data / f"{number}.png").write_bytes(b"x")
    assert run(cli, ["partition", "image_folder", str(data), "--sites", "3", "--out", str(tmp_path / "s")]) == 0
    assert "image_folder: 3 hospitals by iid" in capsys.readouterr().out
    assert [len(list((tmp_path / "s" / f"hospital-0{i}").glob("*.png"))) for i in (1, 2, 3)] == [3, 3, 3]
    again = ["partition", "image_folder", str(data), "--by", "non_iid", "--sites", "3", "--out", str(tmp_path / "t")]
    assert run(cli, again) == 2
    assert "--by non_iid has no meaning for image_folder: use iid" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["chestxray14", "--by", "institution"],
            "--by institution has no meaning for chestxray14: use iid, non_iid or",
        ),
        (["image_folder", "--by", "institution"], "--by institution has no meaning for image_folder: use iid"),
        (["chestxray14", "--by", "iid", "--alpha", "1"], "alpha has no meaning for iid"),
        (["chestxray14", "--by", "dirichlet", "--alpha", "0"], "alpha is 0"),
        (["chestxray14", "--by", "iid", "--no-finding", "literal"], "no_finding has no meaning for iid"),
        (["chestxray14", "--fold", "1", "--official-test"], "exclude each other"),
        (["chestxray14", "--sites", "50"], "20 patients are left for 50 hospitals"),
        (["lgg", "--by", "non_iid"], "--by non_iid has no meaning for lgg: use institution, iid or dirichlet"),
        (["lgg", "--labels-only"], "--labels-only has no meaning for lgg"),
        (["lgg", "--official-test"], "--official-test has no meaning for lgg"),
        (["lgg", "--no-finding", "literal"], "--no-finding has no meaning for lgg"),
    ],
)
def test_wrong_usage_ends_with_2_and_writes_nothing(arguments, reason, nih, tmp_path, capsys):
    add_images(nih)
    data_set, *options = arguments
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run(cli, ["partition", data_set, str(nih), *options, "--out", str(tmp_path / "out")]) == 2
    assert reason in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


SHARED = Path(os.environ.get("FEDWARD_DATA", "/nonexistent")) / "chestxray14"


@pytest.mark.skipif(not SHARED.is_dir(), reason="FEDWARD_DATA holds no chestxray14")
def test_real_images_are_dealt_to_ten_hospitals_and_read_back(tmp_path):
    assert run(cli, ["partition", "chestxray14", str(SHARED), "--fold", "1", "--out", str(tmp_path / "sites")]) == 0
    partition = read_partition(tmp_path / "sites")
    source = get_data_set("chestxray14")
    places = [*partition["sites"], "test"]
    found = [source.find_patients(tmp_path / "sites" / place) for place in places]
    assert sorted(patient for part in found for patient in part) == source.find_patients(SHARED)
    hernia = [sum(site["findings"][use]["Hernia"] for use in site["images"]) for site in partition["sites"].values()]
    assert hernia[0] > sum(hernia[1:])  # the rarest finding
    assert all(sum(site["images"].values()) > 20 for site in partition["sites"].values())
