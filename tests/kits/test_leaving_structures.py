"""A segmentation of structures under the kit's own list: its numbers leave, and nothing made up in their names."""

import json
from pathlib import Path

import pytest

import fedward
from fedward.cardiac_segmentation import SETTINGS
from fedward.errors import UsageError
from fedward.kits.leaving import leaving_report
from fedward.kits.leaving_list import COUNTS, METRICS, read_rules
from fedward.kits.leaving_plan import job_plan, reports
from fedward.kits.leaving_words import number
from fedward.rounds.site_report import check_report
from fedward.training.structures_task import WARNINGS

TEMPLATE = Path(fedward.__file__).parent / "workspace_templates" / "hospital" / "privacy.json"
LIST = json.loads(TEMPLATE.read_text())["scopes"][0]["task_result_filters"][-1]["args"]
RULES = read_rules(LIST)


@pytest.mark.parametrize("task", ["train", "validate"])
def test_a_whole_report_passes_the_kits_list_and_the_server(task):
    report = {**reports(SETTINGS)[task], "warnings": list(WARNINGS)}
    kept, removed = leaving_report(report, RULES)
    assert (kept, removed) == (report, [])
    details = check_report(kept, "training" if task == "train" else "validation")["start"].details
    assert len(details) == 4 * 3


def test_counts_of_pixels_are_rounded_as_those_of_a_tumour():
    counts = {**LIST["counts"], "start.true_positive": 100, "start.false_positive": 100}
    report = reports(SETTINGS)["train"]
    report["start"]["details"] |= {"true_positive.myocardium": 1234.0, "false_positive.myocardium": 3}
    kept, _ = leaving_report(report, read_rules({**LIST, "counts": counts}))
    details = kept["start"]["details"]
    assert (details["true_positive.myocardium"], details["false_positive.myocardium"]) == (1200, 100)
    assert type(details["true_positive.myocardium"]) is int


def test_dice_stays_where_the_list_does_not_name_it():
    fewer = read_rules({**LIST, "metrics": [name for name in LIST["metrics"] if name != "start.dice"]})
    kept, removed = leaving_report(reports(SETTINGS)["train"], fewer)
    assert removed == ["start.dice"]
    assert not any(name.startswith("dice.") for name in kept["start"]["details"])
    assert any(name.startswith("dice.") for name in kept["end"]["details"])


def test_a_dice_by_patient_stays():
    report = {**reports(SETTINGS)["train"], "start": None}
    report["end"]["details"] |= {"dice.patient_jones": 0.5, "true_positive.jones": 7, "dice.myocardium.jones": 0.1}
    kept, removed = leaving_report(report, RULES)
    assert not any("jones" in name for name in kept["end"]["details"])
    assert len(removed) == 3


def test_the_plan_of_a_job_names_dice_and_pixels():
    train, validate = job_plan(SETTINGS, RULES)["tasks"]
    assert {"start.dice", "end.dice", "start.cost"} <= set(train["metrics"])
    assert {"start.true_positive", "end.false_negative"} <= train["counts"].keys()
    assert "start.dice" in validate["metrics"]
    assert (train["removed"], train["refused"], validate["removed"]) == ([], False, [])
    assert all(number(name) for name in (*METRICS, *COUNTS))


def test_dice_is_a_metric_and_no_count():
    with pytest.raises(UsageError, match=r"start\.dice unknown"):
        read_rules({**LIST, "counts": {**LIST["counts"], "start.dice": 1}})
