import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fedward.datasets.layout import describe, lay_out, link_file, new_folder, read_partition, read_split
from fedward.datasets.lgg import find_cases, read_case
from fedward.datasets.partition import PartitionSettings, default_split, make_plan
from fedward.errors import DataError, FedwardError, UsageError


@pytest.fixture
def sites(phantoms, tmp_path) -> Path:
    """The phantoms dealt to three hospitals, one test and one server patient."""
    cases = find_cases(phantoms)
    plan = make_plan(
        {c.patient: c.institution for c in cases}, PartitionSettings(3, fold=1, folds=6, server_patients=1)
    )
    with new_folder(tmp_path / "sites") as folder:
        lay_out(cases, plan, folder)
    return tmp_path / "sites"


def names(cases):
    return [case.patient for case in cases]


def test_every_file_is_in_one_place_and_is_the_original(sites, phantoms):
    originals = {p.name: p.stat().st_ino for p in phantoms.rglob("*.tif")}
    laid_out = list(sites.rglob("*.tif"))
    assert sorted(p.name for p in laid_out) == sorted(originals)
    assert all(p.stat().st_ino == originals[p.name] for p in laid_out)  # hard links, no copies
    assert sorted(p.name for p in sites.iterdir()) == ["hospital-01", "hospital-02", "hospital-03", "server", "test"]


def test_one_reader_serves_every_place(sites, phantoms):
    cases = {case.patient: case for case in find_cases(phantoms)}
    for place in sites.iterdir():
        for case in find_cases(place):
            assert case.slices == cases[case.patient].slices
            assert (read_case(case).image == read_case(cases[case.patient]).image).all()


def test_the_split_is_read_back_and_covers_the_hospital(sites):
    for site in sites.glob("hospital-*"):
        cases = find_cases(site)
        split = read_split(site, names(cases), seed=99)
        assert sorted((*split.train, *split.validation)) == [case.patient for case in cases]
        assert json.loads((site / "split.json").read_text()) == {
            "train": list(split.train),
            "validation": list(split.validation),
        }
        assert split == default_split([case.patient for case in cases], seed=0)


def test_a_hospital_without_split_file_gets_the_default_split(phantoms):
    cases = find_cases(phantoms)
    expected = default_split([case.patient for case in cases], seed=5)
    assert read_split(phantoms, names(cases), seed=5) == expected
    assert read_split(phantoms, names(cases[::-1]), seed=5) == expected
    with pytest.raises(DataError, match="holds no patient"):
        read_split(phantoms, [], seed=5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "does not hold the lists"),
        ('{"train": []}', "does not hold the lists"),
        ('{"train": "a", "validation": []}', "does not hold the lists"),
        ('{"train": [1], "validation": []}', "does not hold the lists"),
        ('{"train": ["a", "b"], "validation": ["b"]}', "names b twice"),
        ('{"train": ["a", "b", "x"], "validation": []}', "names x, not in this folder"),
        ('{"train": ["a"], "validation": []}', "does not name b, in this folder"),
        ('{"train": [], "validation": ["a", "b"]}', "names no training patient"),
    ],
)
def test_a_split_file_that_is_wrong_is_refused(tmp_path, phantoms, content, reason):
    one, two, *_ = find_cases(phantoms)
    cases = [replace(one, patient="a"), replace(two, patient="b")]
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(DataError, match=reason):
        read_split(tmp_path, names(cases), seed=0)


def test_of_many_patients_only_the_first_are_named(tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": [f"p{i:04d}" for i in range(2000)], "validation": []}))
    with pytest.raises(DataError, match="names p0000, p0001, p0002, p0003, p0004 and 1,994 more, not in this folder"):
        read_split(tmp_path, ["p1999"], seed=0)
    with pytest.raises(DataError, match="does not name a, b, in this folder"):
        read_split(tmp_path, [*"ab", *(f"p{i:04d}" for i in range(2000))], seed=0)


def test_symbolic_links_where_hard_links_are_impossible(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"x")

    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    link_file(source, tmp_path / "target")
    assert (tmp_path / "target").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_a_full_disk_is_no_reason_for_a_symbolic_link(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(b"x")

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="No space"):
        link_file(tmp_path / "source", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_link_to_a_link_leads_to_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "deep").mkdir()
    link_file(tmp_path / "link", tmp_path / "deep" / "target")
    assert not (tmp_path / "deep" / "target").is_symlink()
    assert (tmp_path / "deep" / "target").samefile(tmp_path / "file")


def test_only_a_new_or_empty_folder_is_written(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    for name in ("full", "full/kept"):
        with pytest.raises(UsageError, match="not an empty folder"), new_folder(tmp_path / name):
            pass
    with new_folder(tmp_path / "empty") as folder:
        (folder / "new").write_bytes(b"y")
    with new_folder(tmp_path / "a" / "b") as folder:
        pass
    assert (tmp_path / "empty" / "new").read_bytes() == b"y"
    assert (tmp_path / "full" / "kept").read_bytes() == b"x"
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_failure_half_way_leaves_nothing_behind(tmp_path, failure):
    def lay_out_until_it_fails() -> None:
        with new_folder(tmp_path / "sites") as folder:
            (folder / "hospital-01").mkdir()
            raise failure

    with pytest.raises(type(failure)):
        lay_out_until_it_fails()
    assert list(tmp_path.iterdir()) == []


def test_the_description_counts_slices_and_names_no_patient_and_no_path(phantoms):
    cases = find_cases(phantoms)
    institution_of = {c.patient: c.institution for c in cases}
    chosen = PartitionSettings(3, seed=7)
    plan = make_plan(institution_of, chosen)
    found = describe("lgg", institution_of, {c.patient: (4, 2) for c in cases}, plan, chosen)
    assert found["sites"]["hospital-01"] == {
        "institution": "PA",
        "patients": {"train": 2, "validation": 1},
        "slices": {"train": 8, "validation": 4},
        "slices_with_tumour": {"train": 4, "validation": 2},
    }
    assert found["sites"]["hospital-03"]["patients"] == {"train": 1, "validation": 0}
    assert (found["data_set"], found["seed"], found["test"], found["server"]) == ("lgg", 7, None, None)
    assert found["settings"] == {
        "sites": 3, "by": "institution", "alpha": None, "fold": None, "folds": 5, "server_patients": 0,
    }  # fmt: skip
    assert "TCGA" not in json.dumps(found)


def test_a_folder_that_is_no_partition_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError, match="make one with `fedward partition`"):
        read_partition(tmp_path)
    (tmp_path / "partition.json").write_text("{")
    with pytest.raises(FedwardError, match="not valid JSON"):
        read_partition(tmp_path)
    (tmp_path / "partition.json").write_text('{"sites": {}}')
    with pytest.raises(DataError, match="names no sites"):
        read_partition(tmp_path)
    (tmp_path / "partition.json").write_text('{"sites": {"hospital-01": {}}}')
    assert read_partition(tmp_path) == {"sites": {"hospital-01": {}}}


def test_what_is_no_file_is_not_linked(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone.png")
    for name in ("folder.png", "loop.png", "nowhere.png"):
        with pytest.raises(DataError, match=rf"{name}: wrong file: .* remove it"):
            link_file(tmp_path / name, tmp_path / "target.png")
    assert not (tmp_path / "target.png").is_symlink()
