"""Features on their way out of a hospital: through its kit's filters, and before, whether it takes the job at all."""

import json
from dataclasses import replace

import numpy as np
import pytest
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from test_exchange_controller import GOOD, HOSTILE, SETTINGS
from test_leaving_filter import LAYOUT, TEMPLATE, Site, good_result

from fedward.errors import UsageError
from fedward.flare.app_check import _check_privacy
from fedward.flare.leaving import leaves_outside
from fedward.flare.tasks import BANK, FEATURES, REPORT, TRAIN
from fedward.kits.leaving_list import read_rules
from fedward.kits.leaving_plan import scope_of


@pytest.fixture
def kit(tmp_path):
    """A privacy.json with the given rule for features."""

    def made(features=None):
        values = json.loads(TEMPLATE.read_text())
        values["scopes"][0]["task_result_filters"][-1]["args"]["features"] = features
        path = tmp_path / "privacy.json"
        path.write_text(json.dumps(values))
        return path

    return made


def result(values, **report):
    said = {"train_seconds": 0.5, **report}
    return FLModelUtils.to_shareable(FLModel(metrics={REPORT: said}, meta={FEATURES: values}))


def rules_of(path):
    return scope_of(json.loads(path.read_text()))[1]


def test_features_leave_untouched_where_the_hospital_has_agreed(kit):
    path = kit({"max_rows": 5, "min_noise": 0})
    sent = Site(path)(BANK, result(GOOD))
    assert leaves_outside(sent, rules_of(path), BANK, LAYOUT) == []
    model = FLModelUtils.from_shareable(sent)
    assert model.metrics == {REPORT: {"train_seconds": 0.5}}
    assert {name: model.meta[FEATURES][name] is GOOD[name] for name in GOOD} == dict.fromkeys(GOOD, True)


@pytest.mark.parametrize(
    "rule", [None, {"max_rows": 4, "min_noise": 0}, {"max_rows": 5, "min_noise": 0.1}], ids=["none", "rows", "noise"]
)
def test_without_agreement_or_beyond_it_no_feature_leaves(kit, rule):
    path = kit(rule)
    made = result(GOOD)
    assert leaves_outside(made, rules_of(path), BANK, LAYOUT)
    sent = Site(path)(BANK, made)
    assert FEATURES not in FLModelUtils.from_shareable(sent).meta
    assert leaves_outside(sent, rules_of(path), BANK, LAYOUT) == []


def test_features_leave_in_their_own_task_alone(kit):
    path = kit({"max_rows": 5, "min_noise": 0})
    made = good_result()
    made["DXO"]["meta"][FEATURES] = dict(GOOD)
    assert leaves_outside(made, rules_of(path), TRAIN, LAYOUT)
    sent = Site(path)(TRAIN, made)
    assert FEATURES not in sent["DXO"]["meta"]
    assert leaves_outside(sent, rules_of(path), TRAIN, LAYOUT) == []


@pytest.mark.parametrize("case", [name for name in HOSTILE if name not in ("a constant bank", "nothing")])
def test_a_table_that_is_none_stays(kit, case):
    path = kit({"max_rows": 4096, "min_noise": 0})
    sent = Site(path)(BANK, result(HOSTILE[case]))
    assert "Jones" not in repr(sent)
    assert FEATURES not in FLModelUtils.from_shareable(sent).meta
    assert leaves_outside(sent, rules_of(path), BANK, LAYOUT) == []


@pytest.mark.parametrize(
    "table",
    [
        {**GOOD, "rows": np.zeros((9, 9), np.float32)},
        {**GOOD, "partitions": np.zeros(5)},
        {**GOOD, "noise": "Jones"},
        {**GOOD, "patients": 1},
    ],
)
def test_what_is_no_feature_is_seen_outside_the_list(kit, table):
    outside = leaves_outside(result(table), rules_of(kit({"max_rows": 9, "min_noise": 0})), BANK, LAYOUT)
    assert [name for name in outside if FEATURES in name]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (None, "hospital-01: the job exchanges features of single slices"),
        ({"max_rows": 7, "min_noise": 0}, "up to 8 features of a site .*, and 7 may leave"),
        ({"max_rows": 8, "min_noise": 0.2}, "noise of 0 on features, and at this site it must be 0.2"),
        ({"max_rows": 8, "min_noise": 0}, None),
    ],
)
def test_a_job_beyond_the_hospital_s_rule_is_refused_before_it_starts(kit, rule, sentence):
    path = kit(rule)
    if sentence is None:
        _check_privacy("hospital-01", path, SETTINGS)
        return
    with pytest.raises(UsageError, match=sentence):
        _check_privacy("hospital-01", path, SETTINGS)
    _check_privacy("hospital-01", path, replace(SETTINGS, contrast=replace(SETTINGS.contrast, exchange=False)))


def test_the_template_lets_no_feature_out():
    assert read_rules(json.loads(TEMPLATE.read_text())["scopes"][0]["task_result_filters"][-1]["args"]).features is None
