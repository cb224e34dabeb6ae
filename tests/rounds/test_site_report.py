"""A site's report is a claim from outside: known parts with plain types, or a refusal."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.errors import RefusedUpdate
from fedward.evaluation import Evaluation
from fedward.rounds.site_report import check_report, claim_of, for_record

EVALUATION = {
    "cost": 0.5,
    "quality": 0.8,
    "images": 10,
    "patients": 2,
    "true_positive": 8,
    "false_positive": 2,
    "false_negative": 2,
}
REPORT = {
    "samples": 100,
    "steps": 7,
    "train_seconds": 1.5,
    "loss": 0.9,
    "start": EVALUATION,
    "end": {**EVALUATION, "cost": 0.4},
    "warnings": ["one patient only"],
}
HUGE = 10**5000  # too long for Python to print, too large for a float


def with_end(**changes):
    return {**REPORT, "end": {**EVALUATION, **changes}}


def test_a_good_report_comes_back_checked():
    report = check_report(REPORT)
    assert report["end"] == Evaluation(0.4, 0.8, 10, 2, 8, 2, 2)
    assert report["samples"] == 100
    assert report["warnings"] == ["one patient only"]


def test_keys_nobody_knows_are_dropped():
    report = check_report({**REPORT, "patients": ["TCGA_CS_4941"], "__class__": "x"})
    assert set(report) == {"samples", "steps", "train_seconds", "loss", "start", "end", "warnings"}


def test_of_a_validation_only_the_received_model_counts():
    report = check_report({"start": None, "train_seconds": 1, "end": "ignored"}, "validation")
    assert report == {"start": None, "train_seconds": 1.0, "warnings": []}


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (None, "NoneType"),
        ([], "list"),
        ("report", "str"),
        ({}, "train_seconds"),
        ({**REPORT, "samples": -1}, "samples"),
        ({**REPORT, "samples": 1.0}, "samples"),
        ({**REPORT, "samples": True}, "samples"),
        ({**REPORT, "samples": None}, "samples"),
        ({**REPORT, "samples": "7"}, "samples"),
        ({**REPORT, "samples": float("nan")}, "samples"),
        ({**REPORT, "samples": 2**53 + 1}, "samples"),
        ({**REPORT, "samples": HUGE}, "samples"),
        ({**REPORT, "steps": -3}, "steps"),
        ({**REPORT, "loss": "low"}, "loss"),
        ({**REPORT, "loss": None}, "loss"),
        ({**REPORT, "loss": HUGE}, "loss"),
        ({**REPORT, "train_seconds": -HUGE}, "train_seconds"),
        ({**REPORT, "train_seconds": 1j}, "train_seconds"),
        ({**REPORT, "start": 0.5}, "start"),
        ({**REPORT, "start": {}}, "start"),
        ({**REPORT, "end": {**EVALUATION, "auc": 1.0}}, "end"),
        (with_end(images=-1), "images"),
        (with_end(true_positive=0.5), "true_positive"),
        (with_end(false_negative=HUGE), "false_negative"),
        (with_end(cost="x" * 10**6), "cost"),
        (with_end(cost=HUGE), "cost"),
        (with_end(quality=True), "quality"),
        (with_end(quality=[0.5]), "quality"),
        ({**REPORT, "warnings": "text"}, "warnings"),
        ({**REPORT, "warnings": [1]}, "warnings"),
        ({**REPORT, "warnings": {"a": "b"}}, "warnings"),
    ],
)
def test_hostile_reports_are_refused_with_a_short_sentence(hostile, named):
    with pytest.raises(RefusedUpdate) as caught:
        check_report(hostile)
    assert named in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_flood_of_warnings_is_cut():
    report = check_report({**REPORT, "warnings": ["x" * 10_000] * 1000})
    assert len(report["warnings"]) == 8
    assert {len(text) for text in report["warnings"]} == {200}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0, 1e308])
def test_a_metric_of_any_size_passes_here_and_the_record_stays_json(value):
    report = check_report({**with_end(cost=value, quality=value), "loss": value})
    recorded = json.loads(json.dumps(for_record(report), allow_nan=False))
    expected = value if math.isfinite(value) else None
    assert recorded["end"]["cost"] == expected
    assert recorded["loss"] == expected
    assert recorded["end"]["images"] == 10
    assert "warnings" not in recorded


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*REPORT, *EVALUATION]), inner),
    max_leaves=8,
)


@given(part=st.sampled_from(sorted(REPORT)), value=JSON)
def test_whatever_comes_is_refused_or_can_be_recorded(part, value):
    try:
        report = check_report({**REPORT, part: value})
    except RefusedUpdate:
        return
    json.dumps(for_record(report), allow_nan=False)
    assert claim_of(report).samples >= 0


def test_the_claim_takes_cost_and_quality_of_the_sites_own_model():
    claim = claim_of(check_report(REPORT))
    assert (claim.samples, claim.cost, claim.start_cost) == (100, 0.4, 0.5)
    nothing = claim_of(check_report({**REPORT, "start": None, "end": None}))
    assert (nothing.cost, nothing.quality, nothing.start_cost, nothing.start_quality) == (None,) * 4


def test_the_servers_own_measurements_take_the_place_of_the_claims():
    received, own = Evaluation(0.31, 0.61, 5, 1), Evaluation(0.32, 0.62, 5, 1)
    claim = claim_of(check_report(REPORT), received, own)
    assert (claim.start_cost, claim.start_quality, claim.cost, claim.quality) == (0.31, 0.61, 0.32, 0.62)


def with_details(**details):
    return with_end(details={name.replace("__", "."): value for name, value in details.items()})


def test_details_of_structures_come_back_checked():
    given = {"dice.myocardium": 0.5, "true_positive.myocardium": 3.0, "false_positive.myocardium": 2**53}
    assert check_report(with_end(details=given))["end"].details == given
    nothing = check_report(with_details(dice__myocardium=float("nan"), true_positive__myocardium=float("inf")))
    assert nothing["end"].details == {}


@pytest.mark.parametrize(
    ("details", "named"),
    [
        ({"dice__myocardium": 1.01}, "outside 0 to 1"),
        ({"dice__myocardium": -0.1}, "outside 0 to 1"),
        ({"true_positive__myocardium": 0.5}, "no whole number"),
        ({"negatives__Hernia": 1e-9}, "no whole number"),
        ({"false_negative__left_ventricle": -1}, "outside"),
        ({"false_negative__left_ventricle": 2**60}, "outside"),
        ({"dice__patient_jones": 0.5}, "not known"),
        ({"dice__myocardium": "0.5"}, "no number"),
        ({"true_positive__myocardium": True}, "no number"),
    ],
)
def test_hostile_details_are_refused(details, named):
    with pytest.raises(RefusedUpdate, match=named):
        check_report(with_details(**details))
