"""LeavingFilter on what the executor really makes, on junk, and on errors; and privacy.json as a whole."""

import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from fake_network import SITES, FakeNetwork, error_reply, tiny_settings, train_report, works
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.filter import FilterContextKey
from nvflare.apis.fl_constant import FilterKey, FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContextManager
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.utils.task_utils import apply_filters
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.private.fed.app.fl_conf import create_privacy_manager

import fedward
from fedward import cxr_classification, cxr_pretraining
from fedward.datasets.phantoms import write_phantoms
from fedward.errors import UsageError
from fedward.flare.executor import TrainingExecutor
from fedward.flare.leaving import (
    ERROR_KIND,
    LeavingFilter,
    ReceivedModel,
    leaves_outside,
)
from fedward.flare.privacy_check import check_privacy
from fedward.flare.tasks import ERROR, FINGERPRINT, REPORT, TRAIN, VALIDATE
from fedward.kits.leaving import layout
from fedward.kits.leaving_list import read_rules
from fedward.kits.leaving_plan import reports
from fedward.networks.initial import initial_parameters

TEMPLATE = Path(fedward.__file__).parent / "workspace_templates" / "hospital" / "privacy.json"
PRIVACY = json.loads(TEMPLATE.read_text())
LIST = PRIVACY["scopes"][0]["task_result_filters"][-1]["args"]
RULES = read_rules(LIST)
SETTINGS = tiny_settings()
PROBED = replace(cxr_pretraining.SETTINGS.pretext, probe_data_set="chestxray14")
START = initial_parameters(SETTINGS.training.network, SETTINGS.training.network_args, SETTINGS.seed)
LAYOUT = layout(START)


def task_data(**changes) -> Shareable:
    model = {
        "params_type": ParamsType.FULL,
        "params": dict(START),
        "current_round": 1,
        "total_rounds": 2,
        "meta": {FINGERPRINT: SETTINGS.fingerprint()},
        **changes,
    }
    return FLModelUtils.to_shareable(FLModel(**model))


@pytest.fixture
def site(tmp_path):
    """Call `site(task, executor_or_result)` to let one task run as FLARE's client does, with the kit's privacy.json."""
    privacy = tmp_path / "privacy.json"
    privacy.write_text(TEMPLATE.read_text())
    return Site(privacy)


class Site:
    def __init__(self, privacy: Path):
        workspace = SimpleNamespace(get_site_privacy_file_path=lambda: str(privacy))
        scope = create_privacy_manager(workspace, names_only=False).get_scope(None)
        engine = SimpleNamespace(
            get_workspace=lambda: SimpleNamespace(get_site_config_dir=lambda: str(privacy.parent)),
            fire_event=lambda *_: None,
        )
        self.manager = FLContextManager(
            engine, "hospital-01", "job", private_stickers={FLContextKey.SCOPE_OBJECT: scope}
        )

    def __call__(self, task: str, result, **data) -> Shareable:
        with self.manager.new_context() as context:
            context.set_prop(FLContextKey.TASK_NAME, task, private=True, sticky=False)
            received = apply_filters("task_data_filters", task_data(**data), context, {}, task, FilterKey.IN)
            reply = result.execute(task, received, context, Signal()) if hasattr(result, "execute") else result
            return apply_filters("task_result_filters", reply, context, {}, task, FilterKey.OUT)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "hospital-01"
    folder.mkdir()
    write_phantoms(folder, patients=3, slices=3, size=32, institutions=1)
    return folder


@pytest.fixture
def executor(images, tmp_path):
    config = {"data_sets": {"lgg": str(images)}, "cache": str(tmp_path / "cache")}
    (tmp_path / "fedward.yml").write_text(yaml.safe_dump(config))
    return TrainingExecutor(SETTINGS.to_dict())


class Noted:
    """Runs an executor and keeps what it made, untouched by any filter."""

    def __init__(self, executor):
        self.executor = executor

    def execute(self, *args):
        self.made = self.executor.execute(*args)
        self.model = FLModelUtils.from_shareable(self.made)
        return self.made


def good_result(**changes) -> Shareable:
    model = {"params_type": ParamsType.FULL, "params": dict(START), "meta": {REPORT: train_report()}, **changes}
    return FLModelUtils.to_shareable(FLModel(**model))


def test_what_a_site_really_sends_is_what_it_made_and_inside_the_list(site, executor):
    for task in (TRAIN, VALIDATE):
        noted = Noted(executor)
        sent = site(task, noted)
        assert leaves_outside(sent, RULES, task, LAYOUT) == []
        model = FLModelUtils.from_shareable(sent)
        assert model.meta == noted.model.meta
        assert model.metrics == noted.model.metrics
        if task == TRAIN:
            assert list(model.params) == list(START)
            for name, value in noted.model.params.items():
                assert model.params[name].tobytes() == value.tobytes()
            assert any(not np.array_equal(value, START[name]) for name, value in model.params.items())


@pytest.mark.parametrize(
    "job",
    [cxr_classification.SETTINGS, replace(cxr_pretraining.SETTINGS, pretext=PROBED)],
    ids=["classification", "pretraining"],
)
def test_the_details_of_x_rays_leave_by_the_list_alone(site, job):
    for task, made in reports(job).items():
        result = {
            TRAIN: good_result(meta={REPORT: made}),
            VALIDATE: FLModelUtils.to_shareable(FLModel(metrics={REPORT: made})),
        }
        sent = site(task, result[task])
        assert leaves_outside(sent, RULES, task, LAYOUT) == []
        model = FLModelUtils.from_shareable(sent)
        report = model.meta[REPORT] if task == TRAIN else model.metrics[REPORT]
        assert report == made
        assert report["start"]["details"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("auc.Jones", 0.5), ("auc.Hernia", "0.5"), ("auc.Hernia", 1), ("positives.Hernia", 3), ("positives.Hernia", 5.0)],
)
def test_a_detail_beyond_the_list_is_seen_outside_it(name, value):
    made = reports(cxr_classification.SETTINGS)["train"]
    made["end"] = {**made["end"], "details": {**made["end"]["details"], name: value}}
    result = good_result(meta={REPORT: made})
    assert leaves_outside(result, RULES, TRAIN, LAYOUT) == [
        "__headers__/start_round",
        f"DXO/meta/{REPORT}/end/details/{name}",
    ]


def test_the_received_model_is_not_touched_by_training(site, executor):
    before = {name: value.copy() for name, value in START.items()}
    site(TRAIN, executor)
    assert all(np.array_equal(before[name], START[name]) for name in START)


def test_the_global_model_is_bit_identical_with_the_filter_on(tmp_path, site):
    def filtered(network, name, task):
        return site(task.name, works(network, name, task), params=FLModelUtils.from_shareable(task.data).params)

    plain = FakeNetwork(tmp_path / "plain", SETTINGS, dict.fromkeys(SITES, works)).run()
    listed = FakeNetwork(tmp_path / "listed", SETTINGS, dict.fromkeys(SITES, filtered)).run()
    assert listed.state["state"] == "finished"
    for model in ("last", "best"):
        assert listed.run_folder.model(model).read_bytes() == plain.run_folder.model(model).read_bytes()
    assert [r["weights"] for r in listed.records if "weights" in r] == [
        r["weights"] for r in plain.records if "weights" in r
    ]


SECRETS = {
    "header": lambda result: result.set_header("secret", "Jones"),
    "cookie": lambda result: result.set_cookie_jar({"patient": "Jones"}),
    "peer_props": lambda result: result.set_peer_props({"patient": "Jones"}),
    "round header": lambda result: result.set_header("current_round", np.zeros(9)),
    "key": lambda result: result.update(secret=np.zeros(9)),
    "empty key": lambda result: result.update({"Jones 1961": {}}),
    "DXO key": lambda result: result["DXO"].update(secret="Jones"),
    "meta": lambda result: result["DXO"]["meta"].update(patients=["Jones"]),
    "initial_metrics": lambda result: result["DXO"]["meta"].update(initial_metrics={"x": np.zeros(9)}),
    "layer": lambda result: result["DXO"]["data"].update({"encoder.Jones": np.zeros(9, np.float32)}),
    "layer array": lambda result: result["DXO"]["data"].update({"head.bias": np.zeros(999, np.float32)}),
    "report": lambda result: result["DXO"]["meta"][REPORT].update(secret="Jones"),
    "loss": lambda result: result["DXO"]["meta"][REPORT].update(loss=np.zeros(9)),
    "samples": lambda result: result["DXO"]["meta"][REPORT].update(samples=np.zeros(9)),
    "cost": lambda result: result["DXO"]["meta"][REPORT]["end"].update(cost=[0.1] * 9),
    "warnings": lambda result: result["DXO"]["meta"][REPORT]["warnings"].append("Jones"),
    "features": lambda result: result["DXO"]["meta"].update(fedward_features={"rows": np.zeros((9, 9)), "noise": 9.0}),
}


@pytest.mark.parametrize("place", SECRETS)
def test_nothing_else_leaves_and_it_is_logged_once(site, caplog, place):
    for _ in range(2):
        result = good_result()
        SECRETS[place](result)
        assert leaves_outside(result, RULES, TRAIN, LAYOUT) or place == "cookie"  # FLARE's own, later
        with caplog.at_level(logging.WARNING):
            sent = site(TRAIN, result)
        assert leaves_outside(sent, RULES, TRAIN, LAYOUT) == []
        assert set(sent[ReservedHeaderKey.HEADERS]) == {ReservedHeaderKey.CONTENT_TYPE}
        assert "Jones" not in repr(sent)
        assert repr(sent["DXO"]["meta"]).count("array") == 0
        assert sum(np.size(v) for v in sent["DXO"]["data"].values()) <= sum(v.size for v in START.values())
    assert len([r for r in caplog.records if "kept here" in r.getMessage()]) == 1


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=6)
    | st.builds(lambda n: np.arange(float(n)), st.integers(0, 4)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
PLACES = (
    lambda result: result,
    lambda result: result[ReservedHeaderKey.HEADERS],
    lambda result: result["DXO"],
    lambda result: result["DXO"]["meta"],
    lambda result: result["DXO"]["data"],
    lambda result: result["DXO"]["meta"][REPORT],
    lambda result: result["DXO"]["meta"][REPORT]["start"],
)
KNOWN = f"{REPORT} fedward_features DXO kind data meta __headers__ __rc__ __content_type__ loss start samples warnings"
NAMES = st.text(max_size=6) | st.sampled_from(
    [*KNOWN.split(), ERROR, ERROR_KIND, "encoder.0.0.weight", "head.bias", "cost", "patients"]
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(PLACES), NAMES, JUNK), min_size=1, max_size=4),
    st.sampled_from([TRAIN, VALIDATE]),
)
def test_random_junk_never_survives(junk, task):
    result = good_result()
    for place, name, value in junk:
        try:
            place(result)[name] = value
        except (TypeError, KeyError, AttributeError, IndexError):
            continue  # earlier junk has taken this place
    sent = SITE(task, result)
    assert leaves_outside(sent, RULES, task, LAYOUT) == []


@pytest.mark.parametrize("kind", [k for k in DataKind if k not in (DataKind.WEIGHTS, DataKind.METRICS)])
def test_other_kinds_of_results_do_not_leave(site, kind):
    sent = site(TRAIN, DXO(kind, {"secret": np.zeros(9)}).to_shareable())
    assert sent.get_return_code() == ReturnCode.TASK_RESULT_FILTER_ERROR
    assert leaves_outside(sent, RULES, TRAIN, LAYOUT) == []
    assert list(sent) == [ReservedHeaderKey.HEADERS]


def test_an_error_leaves_by_kind_and_reference_and_the_sentence_stays(site, executor, caplog, tmp_path):
    (tmp_path / "fedward.yml").write_text("data_sets: {lgg: /data/Jones_1961}\ncache: /nowhere\n")
    with caplog.at_level(logging.ERROR):
        sent = site(TRAIN, executor)
    said = sent.get_header(ERROR)
    assert re.fullmatch(r"\w+ in train, reference [0-9a-f]{4}: this site's log has the sentence", said)
    assert leaves_outside(sent, RULES, TRAIN, LAYOUT) == []
    reference = said.partition("reference ")[2][:4]
    logged = [r.getMessage() for r in caplog.records if f"reference {reference}" in r.getMessage()]
    assert len(logged) == 1
    assert "/data/Jones_1961" in logged[0]


def test_an_error_is_told_in_full_where_the_site_says_so(tmp_path):
    full = json.loads(TEMPLATE.read_text())
    full["scopes"][0]["task_result_filters"][-1]["args"]["errors"] = "full"
    (tmp_path / "privacy.json").write_text(json.dumps(full))
    assert Site(tmp_path / "privacy.json")(TRAIN, error_reply("no mask in p7")).get_header(ERROR) == "no mask in p7"


def test_the_class_of_an_error_is_told_and_nothing_rides_along(site):
    reply = error_reply("no mask in p7")
    reply.set_header(ERROR_KIND, "DataError")
    reply.set_header("trace", "Jones")
    reply["DXO"] = DXO(DataKind.WEIGHTS, dict(START)).to_dict()
    sent = site(TRAIN, reply)
    assert sent.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert sent.get_header(ERROR).startswith("DataError in train, reference ")
    assert set(sent[ReservedHeaderKey.HEADERS]) == {ReservedHeaderKey.RC, ERROR}
    assert list(sent) == [ReservedHeaderKey.HEADERS]


@pytest.mark.parametrize("code", ["Jones_1961", 7, np.zeros(3)])
def test_a_return_code_that_flare_does_not_know_stays(site, code):
    sent = site(TRAIN, make_reply(code))
    assert leaves_outside(sent, RULES, TRAIN, LAYOUT) == []
    assert "Jones" not in repr(sent)


def test_the_lead_reads_the_reference_in_the_round_record(tmp_path, site):
    def fails(network, name, task):
        reply = error_reply("no mask in /data/Jones_1961")
        reply.set_header(ERROR_KIND, "DataError")
        return site(task.name, reply)

    two = replace(SETTINGS, min_sites=2, rounds=1)
    sites = {**dict.fromkeys(SITES, works), SITES[2]: fails}
    network = FakeNetwork(tmp_path / "network", two, sites).run()
    text = json.dumps(network.records)
    assert "DataError in train, reference " in text
    assert "Jones" not in text


def test_a_fault_while_filtering_sends_nothing(site, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("patient Jones")

    monkeypatch.setattr("fedward.flare.leaving.leaving_report", broken)
    with caplog.at_level(logging.ERROR):
        sent = site(TRAIN, good_result())
    assert sent.get_header(ERROR).startswith("RuntimeError in train, reference ")
    assert list(sent) == [ReservedHeaderKey.HEADERS]
    assert "patient Jones" in caplog.text


def test_parameters_stay_where_the_received_model_is_not_known():
    manager = FLContextManager(SimpleNamespace(fire_event=lambda *_: None), "hospital-01", "job")
    with manager.new_context() as context:
        context.set_prop(FLContextKey.TASK_NAME, TRAIN, private=True, sticky=False)
        sent = LeavingFilter(**LIST).process(good_result(), context)
    assert from_shareable(sent).data == {}


def test_the_site_s_filters_run_before_any_of_the_job(site):
    """FLARE's order: ours first. So a job's filter, which no app of ours may name, would see what may leave alone."""
    seen = []
    spy = SimpleNamespace(process=lambda result, context: seen.append(dict(result["DXO"]["meta"])) or result)
    result = good_result()
    result["DXO"]["meta"]["secret"] = "Jones"
    with site.manager.new_context() as context:
        context.set_prop(FLContextKey.TASK_NAME, TRAIN, private=True, sticky=False)
        apply_filters("task_data_filters", task_data(), context, {}, TRAIN, FilterKey.IN)
        apply_filters("task_result_filters", result, context, {f"{TRAIN}{FilterKey.DELIMITER}out": [spy]}, TRAIN, "out")
    assert [list(meta) for meta in seen] == [[REPORT]]


# --- privacy.json ----------------------------------------------------------------------------------------------------


def edited(edit) -> str:
    values = json.loads(TEMPLATE.read_text())
    edit(values)
    return json.dumps(values)


def leaving(values) -> dict:
    return values["scopes"][0]["task_result_filters"][-1]


def results(values) -> list:
    return values["scopes"][0]["task_result_filters"]


PERCENTILE = {"path": "nvflare.app_common.filters.percentile_privacy.PercentilePrivacy", "args": {"percentile": 10}}
ON_UPDATE = "fedward.flare.privacy_filters.OnUpdate"


def test_the_kits_own_file_has_no_problem():
    assert check_privacy(TEMPLATE) == []


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v.update(scopes=[]), "one scope at least"),
        (lambda v: v.pop("default_scope"), "default_scope must be one of fedward"),
        (lambda v: v.update(default_scope="open"), "default_scope must be one of fedward"),
        (lambda v: v.update(components=[]), "has components"),
        (lambda v: v["scopes"].append({"name": "open"}), "scope open: task_data_filters"),
        (lambda v: v["scopes"].append(v["scopes"][0]), "'name' of its own"),
        (lambda v: v["scopes"].append(7), "'name' of its own"),
        (lambda v: v["scopes"][0].update(task_data_filters={}), "must both be lists of filters"),
        (lambda v: v["scopes"][0].update(task_data_filters=[]), "must name fedward.flare.leaving.ReceivedModel alone"),
        (lambda v: v["scopes"][0].update(task_result_filters=[]), "must name fedward.flare.leaving.LeavingFilter"),
        (lambda v: v["scopes"][0].update(tasks=["train"]), "has tasks"),
        (lambda v: leaving(v).update(disabled=True), "has disabled"),
        (lambda v: leaving(v).update(direction="in"), "has direction"),
        (lambda v: leaving(v).update(path="nvflare.apis.filter.Filter"), "is unknown"),
        (lambda v: leaving(v).update(path=["x"]), "a filter has no path"),
        (lambda v: leaving(v).update(args=[]), "args of fedward.flare.leaving.LeavingFilter must be a mapping"),
        (lambda v: leaving(v)["args"].update(metrcis=[]), "args has metrcis, which it does not know: known are param"),
        (lambda v: leaving(v)["args"].update(metrics=["patients"]), "patients unknown"),
        (lambda v: leaving(v)["args"].pop("counts"), "args lacks counts"),
        (lambda v: results(v).reverse() or results(v).append(results(v)[0]), "the last of task_result_filters"),
        (lambda v: results(v).append(PERCENTILE), "would cut off the model itself"),
        (lambda v: results(v).insert(0, {"path": ON_UPDATE, "args": {}}), "needs a 'filter'"),
        (
            lambda v: results(v).insert(
                0, {"path": ON_UPDATE, "args": {"filter": {**PERCENTILE, "args": {"percentile": 101}}}}
            ),
            "percentile must be a number from 0 to 100",
        ),
        (
            lambda v: results(v).insert(0, {"path": ON_UPDATE, "args": {"filter": {**PERCENTILE, "args": {"x": 1}}}}),
            "args has x, which it does not know",
        ),
        (
            lambda v: results(v).insert(0, {"path": ON_UPDATE, "args": {"filter": {**PERCENTILE, "args": [7]}}}),
            "args must be a mapping",
        ),
        (
            lambda v: results(v).insert(
                0,
                {"path": "fedward.flare.privacy_filters.ClipAndNoise", "args": {"clip": 0, "epsilon": 1, "delta": 0.1}},
            ),
            "clip must be a number above 0",
        ),
    ],
)
def test_a_wrong_file_is_named_in_words(tmp_path, edit, message):
    path = tmp_path / "privacy.json"
    path.write_text(edited(edit))
    problems = check_privacy(path)
    assert any(message in problem for problem in problems), problems
    assert all(str(path) in problem for problem in problems)
    assert not any("Traceback" in problem for problem in problems)


@pytest.mark.parametrize("text", ["", "[]", "{", "7", '{"scopes": 1}', '{"scopes": [], "scopes": []}', "\x00"])
def test_a_file_that_is_no_list_at_all(tmp_path, text):
    path = tmp_path / "privacy.json"
    path.write_text(text)
    assert check_privacy(path)


def test_a_missing_file_is_a_problem(tmp_path):
    assert "would filter nothing" in check_privacy(tmp_path / "privacy.json")[0]


def test_good_additions_are_taken(tmp_path):
    path = tmp_path / "privacy.json"
    noise = {"path": "fedward.flare.privacy_filters.ClipAndNoise", "args": {"clip": 1, "epsilon": 8, "delta": 1e-5}}
    path.write_text(
        edited(
            lambda v: results(v).__setitem__(slice(0, 0), [{"path": ON_UPDATE, "args": {"filter": PERCENTILE}}, noise])
        )
    )
    assert check_privacy(path) == []


def test_flare_makes_our_filters_of_the_file_on_the_right_sides():
    """Fails where FLARE changes how it reads privacy.json."""
    workspace = SimpleNamespace(get_site_privacy_file_path=lambda: str(TEMPLATE))
    scope = create_privacy_manager(workspace, names_only=False).get_scope("")
    assert [type(f) for f in scope.task_data_filters["in"]] == [ReceivedModel]
    assert [type(f) for f in scope.task_result_filters["out"]] == [LeavingFilter]
    assert scope.task_data_filters["out"] == scope.task_result_filters["in"] == []
    assert scope.task_result_filters["out"][0].get_prop(FilterContextKey.SOURCE) == "site"


def test_a_wrong_list_cannot_be_built():
    with pytest.raises(UsageError, match="loss must be listed"):
        LeavingFilter(**{**LIST, "metrics": ["train_seconds"]})


def test_the_filters_do_not_load_torch():
    code = (
        "import sys, fedward.flare.leaving, fedward.flare.privacy_filters, fedward.flare.privacy_check\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'monai', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SITE = Site(TEMPLATE)
