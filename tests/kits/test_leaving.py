"""The list of what may leave: what it accepts, and what it lets through of plain values."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedward
from fedward import cardiac_contrastive, cxr_classification, cxr_pretraining
from fedward.errors import FedwardError, UsageError
from fedward.evaluation import detail_names
from fedward.kits.leaving import (
    error_text,
    group,
    layout,
    leaving_features,
    leaving_parameters,
    leaving_report,
    rounded,
    shown,
)
from fedward.kits.leaving_list import AGREED_WARNINGS, COUNTS, ERROR_CLASSES, METRICS, read_rules
from fedward.kits.leaving_plan import job_plan, network_layout, refused_features, reports, scope_of
from fedward.lgg_segmentation import SETTINGS
from fedward.networks.registry import DEFAULTS
from fedward.pretext.settings import METHODS, pretext_settings
from fedward.rounds.site_report import MAX_WARNING_LENGTH, check_report

TEMPLATE = Path(fedward.__file__).parent / "workspace_templates" / "hospital" / "privacy.json"
LIST = json.loads(TEMPLATE.read_text())["scopes"][0]["task_result_filters"][-1]["args"]
RULES = read_rules(LIST)
REPORT = {**reports(SETTINGS)["train"], "warnings": [AGREED_WARNINGS[2]]}
LINEAR = replace(cxr_classification.SETTINGS, training=replace(cxr_classification.SETTINGS.training, mode="linear"))
PROBED = replace(
    cxr_pretraining.SETTINGS, pretext=replace(cxr_pretraining.SETTINGS.pretext, probe_data_set="chestxray14")
)
JOBS = [SETTINGS, cxr_classification.SETTINGS, LINEAR, PROBED]
EVERY_JOB = pytest.mark.parametrize("job", JOBS, ids=lambda job: f"{job.name} {job.training.mode}")
CONTRASTIVE = cardiac_contrastive.SETTINGS
XRAY_REPORT = reports(cxr_classification.SETTINGS)["train"]


def changed(**changes):
    return read_rules({**LIST, **changes})


@EVERY_JOB
@pytest.mark.parametrize("task", ["train", "validate"])
def test_the_kits_list_lets_a_whole_report_through(job, task):
    report = {**reports(job)[task], "warnings": list(AGREED_WARNINGS)}
    kept, removed = leaving_report(report, RULES)
    assert kept == report
    assert removed == []
    check_report(kept, "training" if task == "train" else "validation")


def test_missing_measurements_stay_missing():
    report = {**REPORT, "start": None, "end": {**REPORT["end"], "cost": None, "quality": None}}
    kept, removed = leaving_report(report, RULES)
    assert kept == report
    assert removed == []


@pytest.mark.parametrize(
    ("place", "junk"),
    [
        (("secret",), "Jones"),
        (("start", "secret"), 1.0),
        (("loss",), np.zeros(3)),
        (("loss",), "0.4"),
        (("loss",), True),
        (("loss",), 10**400),
        (("loss",), [0.4]),
        (("samples",), 3.0),
        (("samples",), np.zeros(3, int)),
        (("samples",), -1),
        (("samples",), True),
        (("samples",), 2**60),
        (("end", "patients"), np.float32(3)),
        (("start",), [1, 2]),
        (("start",), "text"),
        (("start",), {}),
        (("start",), {"secret": 1}),
        (("start", "cost"), {"a": 1}),
    ],
)
def test_what_the_list_does_not_name_stays(place, junk):
    report = json.loads(json.dumps(REPORT))
    part = report
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = junk
    kept, removed = leaving_report(report, RULES)
    assert removed == [".".join(place)]
    part = kept
    for key in place[:-1]:
        part = part[key]
    assert part.get(place[-1]) is None


def test_numbers_leave_as_plain_python_numbers():
    kept, removed = leaving_report({**REPORT, "loss": np.float64(0.25), "samples": np.int64(7)}, RULES)
    assert (type(kept["loss"]), kept["loss"], type(kept["samples"]), kept["samples"]) == (float, 0.25, int, 7)
    assert removed == []


def test_a_sentence_that_was_not_agreed_stays():
    texts = [AGREED_WARNINGS[0], "patient Jones has no tumour", 5, AGREED_WARNINGS[0] + " Jones", np.zeros(2)]
    kept, removed = leaving_report({**REPORT, "warnings": texts}, RULES)
    assert kept["warnings"] == [AGREED_WARNINGS[0]]
    assert removed == [f"warnings[{i}]" for i in (1, 2, 3, 4)]
    assert leaving_report(REPORT, changed(warnings=False))[1] == ["warnings"]


def test_the_agreed_sentences_are_those_that_a_site_says():
    torch = pytest.importorskip("torch")
    from fedward.contrast import agreed_warnings as contrast_warnings
    from fedward.pretext import agreed_warnings
    from fedward.training import classification_task, structures_task
    from fedward.training.images import Images
    from fedward.training.segmentation_task import judge
    from fedward.training.task import SiteImages

    empty = Images(
        torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.bool), torch.zeros(1, dtype=torch.long), ("p",)
    )
    said = set()
    for validation in (None, empty):
        for claims in ("training", "validation"):
            said |= set(judge(SiteImages(empty, validation), claims).warnings)
    said |= {*classification_task.WARNINGS, *structures_task.WARNINGS, *agreed_warnings.WARNINGS}
    said |= {*contrast_warnings.WARNINGS}
    assert said == set(AGREED_WARNINGS)
    assert len(set(AGREED_WARNINGS)) == len(AGREED_WARNINGS)
    assert all(len(text) <= MAX_WARNING_LENGTH for text in AGREED_WARNINGS)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*REPORT, "secret", ""]) | st.text(max_size=8), JUNK, max_size=8), JUNK)
def test_whatever_stands_in_a_report_only_listed_numbers_leave(report, other):
    details = {**XRAY_REPORT["start"], "details": {**dict.fromkeys(report, other), "auc.Hernia": other}}
    for value in (report, other, {**REPORT, "start": report}, {**REPORT, "start": details}):
        kept, _ = leaving_report(value, RULES)
        assert set(kept.pop("warnings", [])) <= set(AGREED_WARNINGS)
        for full, number in numbers_of(kept):
            assert (full in METRICS and type(number) is float) or (full in COUNTS and type(number) is int)


def numbers_of(report):
    """Every number of a report, with the name that the list has for it."""
    for name, leaf in report.items():
        for path, number in (leaf or {}).items() if isinstance(leaf, dict) else [("", leaf)]:
            if path == "details":
                assert set(number) <= detail_names()
                yield from ((f"{name}.{group(detail)}", value) for detail, value in number.items())
            elif number is not None:
                yield (f"{name}.{path}" if path else name), number


@pytest.mark.parametrize(
    ("detail", "value", "stays"),
    [
        ("auc.Jones", 0.5, "start.details.auc.Jones"),
        ("auc", 0.5, "start.details.auc"),
        ("auc.Hernia.left", 0.5, "start.details.auc.Hernia.left"),
        (("auc", "Hernia"), 0.5, "start.details.a key of type tuple"),
        ("auc.Hernia", "0.5", "start.auc"),
        ("auc.Hernia", [0.5], "start.auc"),
        ("auc.Hernia", True, "start.auc"),
        ("auc.Hernia", np.zeros(3), "start.auc"),
        ("positives.Hernia", 2.5, "start.positives"),
        ("positives.Hernia", float("nan"), "start.positives"),
        ("positives.Hernia", float("inf"), "start.positives"),
        ("positives.Hernia", -1, "start.positives"),
        ("negatives.Hernia", 2**60, "start.negatives"),
    ],
)
def test_a_detail_that_is_none_stays(detail, value, stays):
    start = {**XRAY_REPORT["start"], "details": {**XRAY_REPORT["start"]["details"], detail: value}}
    kept, removed = leaving_report({**XRAY_REPORT, "start": start}, RULES)
    assert removed == [stays]
    assert kept["start"]["details"] == {n: v for n, v in XRAY_REPORT["start"]["details"].items() if n != detail}
    check_report(kept)


def test_details_that_are_no_mapping_or_not_listed_stay():
    for junk in ("text", [1], np.zeros(2)):
        kept, removed = leaving_report({**XRAY_REPORT, "start": {**XRAY_REPORT["start"], "details": junk}}, RULES)
        assert removed == ["start.details"]
        assert "details" not in kept["start"]
    without = changed(metrics=[name for name in LIST["metrics"] if name != "end.auc"])
    kept, removed = leaving_report(XRAY_REPORT, without)
    assert removed == ["end.auc"]
    assert {group(name) for name in kept["end"]["details"]} == {"positives", "negatives"}
    check_report(kept)


def test_numbers_of_images_with_a_finding_are_rounded():
    values = {"positives.Hernia": 1, "positives.Mass": 22.0, "negatives.Mass": 0.0, "positives.Edema": 23}
    start = {**XRAY_REPORT["start"], "details": values}
    kept, removed = leaving_report({**XRAY_REPORT, "start": start}, RULES)
    assert removed == []
    found = kept["start"]["details"]
    assert found == {"positives.Hernia": 5, "positives.Mass": 20, "negatives.Mass": 0, "positives.Edema": 25}
    assert {type(value) for value in found.values()} == {int}


PARAMETERS = {
    "encoder.0.weight": np.ones((2, 3), np.float32),
    "encoder.0.count": np.array(4, np.int64),
    "head.bias": np.ones(2, np.float32),
}
LAYOUT = layout(PARAMETERS)


def test_layers_leave_untouched():
    kept, removed = leaving_parameters(PARAMETERS, RULES, "train", LAYOUT)
    assert removed == []
    assert all(kept[name] is PARAMETERS[name] for name in PARAMETERS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder.patient_jones", np.ones(2, np.float32)),
        ("head.bias", np.ones(3, np.float32)),
        ("head.bias", np.ones(2, np.float64)),
        ("head.bias", [1.0, 1.0]),
        ("head.bias", np.array(["a", "b"], dtype=object)),
        ("head.bias", np.ma.masked_array(np.ones(2, np.float32))),
        ("head.bias", np.ones(2, np.dtype(np.float32, metadata={"patient": "Jones"}))),
        ("secret", np.ones(2, np.float32)),
        (7, np.ones(2, np.float32)),
    ],
)
def test_arrays_that_the_site_made_up_stay(name, value):
    kept, removed = leaving_parameters({**PARAMETERS, name: value}, RULES, "train", LAYOUT)
    assert removed == [shown(name)]
    assert set(kept) == set(PARAMETERS) - {name}


def test_a_layer_that_the_list_does_not_name_stays():
    rules = changed(parameters={"train": {"layers": ["encoder.*"], "max_bytes": 1000}})
    assert leaving_parameters(PARAMETERS, rules, "train", LAYOUT)[1] == ["head.bias"]


def test_no_parameters_leave_in_other_tasks_or_without_a_received_model():
    for kept, removed in (
        leaving_parameters(PARAMETERS, RULES, "validate", LAYOUT),
        leaving_parameters(PARAMETERS, RULES, "train", None),
    ):
        assert kept == {}
        assert removed == list(PARAMETERS)
    assert leaving_parameters("text", RULES, "train", LAYOUT) == ({}, ["parameters"])


def test_more_bytes_than_allowed_are_an_error():
    rules = changed(parameters={"train": {"layers": ["*"], "max_bytes": 39}})
    with pytest.raises(FedwardError, match="40 bytes of parameters, and 39 may leave in train"):
        leaving_parameters(PARAMETERS, rules, "train", LAYOUT)


@pytest.mark.parametrize(
    ("count", "step", "result"), [(0, 10, 0), (1, 10, 10), (14, 10, 10), (15, 10, 20), (7, 1, 7), (25, 25, 25)]
)
def test_counts_are_rounded(count, step, result):
    assert rounded(count, step) == result


def test_a_rounded_count_leaves():
    kept, removed = leaving_report({**REPORT, "samples": 97}, changed(counts={**LIST["counts"], "samples": 10}))
    assert kept["samples"] == 100
    assert removed == []


def test_features_stay_unless_listed_and_within_the_limits():
    rows = np.eye(5, 128, dtype=np.float32)
    table = {"rows": rows[:4], "partitions": np.arange(4, dtype=np.uint8), "noise": 0.5}
    assert leaving_features(table, RULES, "bank") is None
    rules = changed(features={"max_rows": 4, "min_noise": 0.5})
    kept = leaving_features(table, rules, "bank")
    assert all(kept[name] is table[name] for name in ("rows", "partitions", "noise"))
    assert leaving_features({**table, "rows": rows[:4].astype(np.float16)}, rules, "bank")
    assert leaving_features(table, rules, "train") is None
    secret = np.dtype(np.float32, metadata={"patient": "Jones"})
    for wrong in (
        {**table, "rows": rows, "partitions": np.zeros(5, np.uint8)},
        {**table, "rows": rows[:0], "partitions": np.zeros(0, np.uint8)},
        {**table, "rows": rows[:4, :127]},
        {**table, "rows": rows[0]},
        {**table, "rows": rows[:4].astype(int)},
        {**table, "rows": rows[:4].astype(np.float64)},
        {**table, "rows": rows[:4].astype(secret)},
        {**table, "rows": 2 * rows[:4]},
        {**table, "rows": np.full_like(rows[:4], np.nan)},
        {**table, "rows": np.ma.masked_array(rows[:4])},
        {**table, "rows": rows[:4].tolist()},
        {**table, "partitions": np.arange(4)},
        {**table, "partitions": np.full(4, 200, np.uint8)},
        {**table, "partitions": np.zeros(3, np.uint8)},
        {**table, "partitions": None},
        {**table, "noise": 0.4},
        {**table, "noise": -0.5},
        {**table, "noise": float("nan")},
        {**table, "noise": float("inf")},
        {**table, "noise": np.float64(0.5)},
        {**table, "noise": np.full(9, 0.5)},
        {**table, "noise": True},
        {**table, "patients": ["Jones"]},
        {"rows": table["rows"], "noise": 0.5},
        [table],
        None,
    ):
        assert leaving_features(wrong, rules, "bank") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"secret": 1}, "secret unknown"),
        ({"metrics": ["loss", "train_seconds", "patients"]}, "patients unknown"),
        ({"metrics": "loss"}, "must be a list"),
        ({"metrics": ["train_seconds"]}, "loss must be listed: the server refuses"),
        ({"counts": {"samples": 1, "steps": 1}}, "must be listed too: the server takes all of start or nothing"),
        ({"counts": {**LIST["counts"], "samples": 0}}, "counts.samples must be a whole number of at least 1"),
        ({"counts": {**LIST["counts"], "samples": True}}, "must be a whole number"),
        ({"counts": ["samples"]}, "counts must be a mapping"),
        ({"parameters": ["*"]}, "parameters must be a mapping"),
        ({"parameters": {"train": {"layers": "*", "max_bytes": 1}}}, "layers must be a list of patterns"),
        ({"parameters": {"train": {"layers": [], "max_bytes": 1}}}, "layers must be a list of patterns"),
        ({"parameters": {"train": {"layers": ["*"]}}}, "max_bytes must be a whole number"),
        ({"parameters": {"train": {"layers": ["*"], "max_bytes": 1, "x": 1}}}, "x unknown"),
        ({"features": {"max_rows": 10}}, "min_noise must be a number of at least 0"),
        ({"features": {"max_rows": 10, "min_noise": -0.1}}, "min_noise must be a number of at least 0"),
        ({"features": {"max_rows": 0, "min_noise": 1}}, "max_rows must be a whole number"),
        ({"warnings": "yes"}, "warnings must be true or false"),
        ({"errors": "none"}, '"kind" or "full"'),
    ],
)
def test_a_wrong_list_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        changed(**changes)


def test_a_list_may_leave_out_a_whole_evaluation():
    metrics = [name for name in LIST["metrics"] if not name.startswith("end")]
    counts = {name: step for name, step in LIST["counts"].items() if not name.startswith("end")}
    kept, removed = leaving_report(REPORT, changed(metrics=metrics, counts=counts))
    assert removed == ["end"]
    check_report(kept)  # the server takes it


def test_an_error_is_told_by_its_kind_alone():
    sentence = "no mask in /data/Jones_1961"
    text = error_text("DataError", sentence, "train", "7f3a", RULES)
    assert text == "DataError in train, reference 7f3a: this site's log has the sentence"
    assert "Jones" not in error_text("Jones_1961", sentence, "train", "7f3a", RULES)
    assert error_text("DataError", sentence, "train", "7f3a", changed(errors="full")) == sentence
    assert {"DataError", "FedwardError", "ValueError", "OutOfMemoryError"} <= ERROR_CLASSES


def test_names_in_the_log_are_short_and_printable():
    assert shown("a\nb" + "x" * 500) == ("a\\nb" + "x" * 500)[:100]
    assert shown(("Jones",)) == "a key of type tuple"


@EVERY_JOB
def test_the_plan_of_a_job_is_what_its_network_has(job):
    from fedward.networks.initial import initial_parameters

    training = job.training
    real = initial_parameters(training.network, training.network_args, 1)
    assert network_layout(job) == layout(real)
    plan = job_plan(job, RULES)
    train, validate = plan["tasks"]
    sent = {name: value for name, value in real.items() if training.travels(name)}
    assert train["bytes"] == sum(value.nbytes for value in sent.values())
    assert (train["times"], validate["times"], validate["bytes"]) == (job.rounds, 1, 0)
    assert [layer["name"] for layer in train["layers"]] == list(sent)
    assert not train["refused"]
    assert plan["bytes_in_all"] == train["bytes"] * job.rounds
    assert train["removed"] == validate["removed"] == []
    details = {"segmentation": [], "classification": ["auc"], "pretext": ["features", "knn"]}[training.task]
    names = [f"{part}.{name}" for part in ("start", "end") for name in ("cost", "quality", *details)]
    assert train["metrics"] == ["train_seconds", "loss", *names]
    assert validate["metrics"] == ["train_seconds", *names[: len(names) // 2]]
    counts = ["start.positives", "start.negatives"] if training.task == "classification" else []
    assert [name for name in validate["counts"] if name.endswith("tives")] == counts


def test_a_linear_evaluation_sends_its_classifier_alone():
    layers = job_plan(LINEAR, RULES)["tasks"][0]["layers"]
    assert [layer["name"] for layer in layers] == ["classifier.weight", "classifier.bias"]
    whole = job_plan(cxr_classification.SETTINGS, RULES)["tasks"][0]["bytes"]
    assert sum(layer["bytes"] for layer in layers) < 0.01 * whole


@pytest.mark.parametrize("method", METHODS)
def test_of_a_pretext_its_online_network_alone_leaves(method):
    network = DEFAULTS[method]
    training = replace(cxr_pretraining.SETTINGS.training, network=method, network_args=network)
    job = replace(cxr_pretraining.SETTINGS, training=training, pretext=pretext_settings(method, private_state="keep"))
    plan = job_plan(job, RULES)["tasks"][0]
    assert plan["removed"] == []
    parts = {layer["name"].split(".")[0] for layer in plan["layers"]}
    assert parts <= {"encoder", "projector", "predictor"}
    private = {
        "target.encoder.conv0.weight",
        "momentum_encoder.weight",
        "queue.keys",
        "queue_pointer",
        "online.encoder.x",
    }
    arrays = {name: np.ones(2, np.float32) for name in private}
    assert leaving_parameters(arrays, RULES, "train", layout(arrays))[0] == {}


def test_the_plan_names_what_would_be_removed():
    rules = changed(parameters={"train": {"layers": ["encoder.*"], "max_bytes": 10**9}})
    removed = job_plan(SETTINGS, rules)["tasks"][0]["removed"]
    assert "head.bias" in removed
    assert not [name for name in removed if name.startswith("encoder")]
    too_large = job_plan(SETTINGS, changed(parameters={"train": {"layers": ["*"], "max_bytes": 1000}}))["tasks"][0]
    assert (too_large["too_large"], too_large["bytes"]) == (True, 0)


def test_the_plan_of_a_job_that_exchanges_features():
    plan = job_plan(CONTRASTIVE, changed(features={"max_rows": 4096, "min_noise": 0}))
    bank = plan["tasks"][2]
    assert (bank["task"], bank["times"], bank["bytes"]) == ("bank", CONTRASTIVE.rounds - 1, 0)
    assert (bank["metrics"], bank["counts"], bank["removed"]) == (["train_seconds"], {}, [])
    offered = plan["features"]
    assert (offered["rows"], offered["width"], offered["type"], offered["noise"]) == (4096, 128, "float16", 0.0)
    assert offered["bytes"] == 4096 * (2 * 128 + 1)
    assert offered["bytes_in_all"] == offered["bytes"] * (CONTRASTIVE.rounds - 1)
    assert plan["features_refused"] is None
    alone = replace(CONTRASTIVE, contrast=replace(CONTRASTIVE.contrast, exchange=False))
    assert job_plan(alone, RULES)["features"] is None
    assert [task["task"] for task in job_plan(alone, RULES)["tasks"]] == ["train", "validate"]


@pytest.mark.parametrize(
    ("rule", "change", "sentence"),
    [
        (None, {}, "this site's list of what may leave has no features"),
        (
            {"max_rows": 512, "min_noise": 0},
            {},
            r"up to 4,096 features of a site \(bank_size\), and 512 may leave this one: .* --bank-size 512 or less",
        ),
        (
            {"max_rows": 4096, "min_noise": 0.1},
            {"noise": 0.05},
            "noise of 0.05 on features, .* it must be 0.1 or more",
        ),
        ({"max_rows": 4096, "min_noise": 0.1}, {"noise": 0.1}, None),
        (None, {"exchange": False}, None),
    ],
)
def test_a_job_beyond_the_list_s_rule_for_features_is_refused_with_both_numbers(rule, change, sentence):
    job = replace(CONTRASTIVE, contrast=replace(CONTRASTIVE.contrast, **change))
    reason = refused_features(job, changed(features=rule))
    assert reason is None if sentence is None else re.search(sentence, reason)


def test_a_job_may_name_a_scope_of_the_kit_only():
    privacy = json.loads(TEMPLATE.read_text())
    assert scope_of(privacy)[0] == "fedward"
    with pytest.raises(UsageError, match="no scope 'open': this site refuses the job"):
        scope_of(privacy, "open")
