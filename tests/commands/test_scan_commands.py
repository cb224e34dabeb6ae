"""phantoms, check-data and partition for scans."""

import json

import pytest

from fedward.cli import cli, run
from fedward.datasets import acdc
from fedward.datasets.layout import read_partition


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    arguments = ["phantoms", "acdc", str(folder), "--patients", "12", "--slices", "3", "--size", "24"]
    assert run(cli, [*arguments, "--institutions", "2"]) == 0
    return folder


def test_phantoms_pass_the_check(phantoms, capsys):
    assert run(cli, ["check-data", "acdc", str(phantoms), "--workers", "1"]) == 0
    assert "12 patients, 24 images: no problems. Training can start." in capsys.readouterr().out


def test_check_for_machines(phantoms, tmp_path, capsys):
    (tmp_path / "patient001").mkdir()
    assert run(cli, ["check-data", "acdc", str(tmp_path), "--json", "--workers", "1"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["data_set"], found["errors"]) == ("acdc", 1)
    assert found["problems"][0]["path"].endswith("patient001")


def partition(phantoms, out, *options, data_set="acdc"):
    return run(cli, ["partition", data_set, str(phantoms), "--out", str(out), *options])


def test_partition_lays_out_shows_and_draws(phantoms, tmp_path, capsys):
    out = tmp_path / "sites"
    options = ["--sites", "2", "--test-patients", "2", "--server-patients", "1", "--validation-patients", "1"]
    assert partition(phantoms, out, *options) == 0
    shown = capsys.readouterr().out
    assert "acdc: 2 hospitals by stratified, seed 0" in shown
    for text in ("hospital-01", "hospital-02", "test", "server", "DCM/HCM/MINF/NOR/RV", "1/1/1/1/1"):
        assert text in shown
    assert shown.endswith(f"not read: fedward check-data acdc {phantoms} reads every file\n")
    assert (out / "partition.png").read_bytes().startswith(b"\x89PNG")
    written = read_partition(out)
    assert written["settings"] == {
        **{"sites": 2, "by": "stratified", "alpha": None, "fold": None, "folds": 5},
        **{"test_patients": 2, "server_patients": 1, "validation_patients": 1},
    }
    assert [site["patients"] for site in written["sites"].values()] == [
        {"train": 4, "validation": 1},
        {"train": 3, "validation": 1},
    ]
    assert written["sites"]["hospital-01"]["slices"] == {"train": 24, "validation": 6}
    assert len(acdc.find_scans(out / "hospital-01")) == 10
    assert run(cli, ["check-data", "acdc", str(out / "hospital-01"), "--workers", "1"]) == 0


def test_without_diseases_patients_are_shuffled(phantoms, tmp_path, capsys):
    out = tmp_path / "sites"
    assert partition(phantoms, out, "--sites", "2", data_set="nifti_folder") == 0
    assert read_partition(out)["settings"]["by"] == "iid"
    assert "DCM" not in capsys.readouterr().out
    assert (out / "partition.png").is_file()


def test_dirichlet_has_a_concentration_of_its_own(phantoms, tmp_path):
    assert partition(phantoms, tmp_path / "sites", "--sites", "3", "--by", "dirichlet") == 0
    assert read_partition(tmp_path / "sites")["settings"]["alpha"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--by", "institution"], "--by institution has no meaning for acdc: use stratified, iid or dirichlet"),
        (["--by", "non_iid"], "--by non_iid has no meaning for acdc"),
        (["--official-test"], "--official-test has no meaning for acdc"),
        (["--labels-only"], "--labels-only has no meaning for acdc"),
        (["--probe", "chestxray14=x"], "--probe has no meaning for acdc"),
        (["--fold", "1", "--test-patients", "2"], "exclude each other"),
        (["--sites", "13"], "12 patients are left for 13 hospitals"),
        (["--sites", "4", "--validation-patients", "3"], "nobody would train"),
    ],
)
def test_wrong_wishes_are_refused_and_leave_nothing_behind(phantoms, tmp_path, capsys, options, message):
    assert partition(phantoms, tmp_path / "sites", *options) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--test-patients", "--validation-patients"])
@pytest.mark.parametrize("data_set", ["lgg", "image_folder"])
def test_options_for_scans_are_refused_for_other_sets(tmp_path, capsys, data_set, option):
    root = tmp_path / "root"
    root.mkdir()
    assert partition(root, tmp_path / "sites", option, "1", data_set=data_set) == 2
    assert f"{option} has no meaning for {data_set}: leave it out" in capsys.readouterr().err
