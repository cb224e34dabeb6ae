"""X-rays whose costs the server measures itself, and a hospital whose training images are of one class."""

import csv
import json

import pytest
from click.testing import CliRunner
from rich.console import Console
from xray_run import classification

from fedward.commands.partition import command
from fedward.datasets.xray_phantom_sets import write_chestxray14
from fedward.errors import UsageError
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder
from fedward.running import run_and_report
from fedward.settings import AggregationSettings
from fedward.training.classification_task import ONE_CLASS

POOR = "hospital-02"
SERVER = AggregationSettings(scheme="dcew", cost_source="server_validation")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("xrays") / "images"
    folder.mkdir()
    write_chestxray14(folder, 45, size=48, institutions=3, seed=1, workers=1, quiet=True)
    return folder


def partition(images, out):
    options = ["--sites", "3", "--seed", "1", "--server-patients", "6", "--out", str(out)]
    result = CliRunner().invoke(command, ["chestxray14", str(images), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out


def records(settings, sites, folder):
    run_and_report(settings, "federated", "loop", sites, RunFolder(folder), 1, "cpu", False, Console(quiet=True))
    return read_records(RunFolder(folder).rounds)


def test_costs_and_auc_that_the_server_measures_are_not_the_sites_claims(images, tmp_path):
    sites = partition(images, tmp_path / "sites")
    first, second, _ = records(classification(sites, aggregation=SERVER), sites, tmp_path / "run")
    assert set(second["shares"]) == {"samples", "cost_ratio", "quality_ratio"}
    ended = {site: (first["answers"][site]["end"], answer["end"]) for site, answer in second["answers"].items()}
    claimed = {site: before["cost"] / after["cost"] for site, (before, after) in ended.items()}
    shares = {site: ratio / sum(claimed.values()) for site, ratio in claimed.items()}
    assert sum(second["shares"]["cost_ratio"].values()) == pytest.approx(1)
    assert second["shares"]["cost_ratio"] != pytest.approx(shares, abs=1e-5)  # what the sites' own costs would give


def test_the_server_cannot_measure_a_classifier_that_comes_alone(images, tmp_path):
    sites = partition(images, tmp_path / "sites")
    with pytest.raises(UsageError, match="server_validation"):
        classification(sites, {"mode": "linear"}, aggregation=SERVER)


@pytest.mark.parametrize("mode", ["fine_tune", "linear"])
def test_a_hospital_of_one_class_trains_has_no_auc_and_is_warned_about(images, tmp_path, mode):
    sites = partition(images, tmp_path / "sites")
    (table,) = (sites / POOR).glob("Data_Entry*.csv")
    with table.open(newline="") as file:
        header, *rows = csv.reader(file)
    labels = header.index("Finding Labels")
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([header, *([*row[:labels], "No Finding", *row[labels + 1 :]] for row in rows)])
    first, *_, final = records(classification(sites, {"mode": mode}), sites, tmp_path / "run")
    answer = first["answers"][POOR]
    assert answer["steps"] > 0
    assert 0 < first["weights"][POOR] < 1
    for measured in (answer["start"], answer["end"], final["answers"][POOR]["start"]):
        assert measured["quality"] is None
        assert not any(name.startswith("auc.") for name in measured["details"])
    assert {warning["message"] for warning in first["warnings"] if warning["site"] == POOR} == {ONE_CLASS["validation"]}
    assert json.dumps(final["received"])  # the others' AUC is the run's
    assert final["received"]["quality"] is not None
