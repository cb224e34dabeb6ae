"""A kit's policy against the templates: every way to loosen it is named, tightening is the site's right."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.fuel.sec.authz import AuthzContext, Person, parse_policy_config
from nvflare.security.security import COMMAND_CATEGORIES

from fedward.flare.policy_baseline import installed_baseline, privacy_problems
from fedward.kits.authorization import narrowed_rights, widened_rights
from fedward.kits.kit import open_kit
from fedward.kits.leaving_policy import agree_to_features, check_leaving
from fedward.kits.policy import check_policy

CATEGORIES = {str(key): str(value) for key, value in COMMAND_CATEGORIES.items()}


def check(kit):
    opened = open_kit(kit)
    leaving = check_leaving(opened, privacy_problems) if opened.role == "hospital" else []
    return [*check_policy(opened, installed_baseline(opened)), *leaving]


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def component(values, name):
    return next(one for one in values["components"] if one["id"] == name)


def leaving(values):
    return values["scopes"][0]["task_result_filters"][-1]["args"]


def a_scope(values, name, **changes):
    scope = json.loads(json.dumps(values["scopes"][0]))
    scope["task_result_filters"][-1]["args"].update(changes)
    return {**scope, "name": name}


def everything_off(values):
    values.clear()


@pytest.mark.parametrize("name", ["hospital-01", "localhost"])
def test_a_provisioned_kit_is_as_the_template(kits, name):
    findings = check(kits / name)
    assert [one for one in findings if one.level != "ok"] == []
    assert all("stricter" not in one.text for one in findings)


LOOSER = [
    ("resources", lambda v: v["class_allow_list"].append("subprocess.Popen"), "allows subprocess.Popen too"),
    ("resources", lambda v: v["class_allow_list"].append("*"), r"allows \* too"),
    ("resources", lambda v: v.pop("class_allow_list"), "no class_allow_list"),
    ("resources", lambda v: v.update(class_list_enforcement_mode="warn"), "is 'warn'"),
    ("resources", lambda v: v.update(allow_log_streaming=True), "logs would be sent"),
    ("resources", lambda v: v.pop("allow_log_streaming"), "logs would be sent"),
    ("resources", lambda v: v.pop("app_validator"), "app_validator is missing"),
    ("resources", lambda v: v["app_validator"].update(disabled=True), "app_validator is missing"),
    ("resources", lambda v: component(v, "kit_guard").update(disabled=True), "component kit_guard is missing"),
    ("resources", lambda v: component(v, "kit_guard").update(path="a.B"), "component kit_guard is a.B"),
    ("resources", lambda v: v["components"].append({"id": "site_log_streamer", "path": "a.B"}), "site_log_streamer"),
    ("resources", everything_off, "class_allow_list"),
    ("authorization", lambda v: v["permissions"]["lead"].update(byoc="any"), r"lead: byoc \(none -> any\)"),
    ("authorization", lambda v: v["permissions"]["lead"].pop("byoc"), None),
    ("authorization", lambda v: v["permissions"]["member"].update(submit_job="any"), "member: submit_job"),
    ("authorization", lambda v: v["permissions"].update(project_admin="any"), "project_admin: every right"),
    ("authorization", lambda v: v["permissions"].update(guest={"view": "any"}), "guest: view"),
    ("authorization", lambda v: v["permissions"]["org_admin"].update(operate="any"), r"operate \(o:site -> any\)"),
    ("authorization", lambda v: v["permissions"]["org_admin"].update(shutdown="any"), r"org_admin: shutdown"),
    ("privacy", lambda v: leaving(v)["parameters"]["train"]["layers"].append("*"), r"layers \* of task train leave"),
    ("privacy", lambda v: leaving(v)["parameters"]["train"].update(max_bytes=2 * 10**9), "bytes of task train"),
    ("privacy", lambda v: leaving(v).update(errors="full"), "of an error the full text leaves"),
    ("privacy", lambda v: leaving(v).update(features={"max_rows": 4097, "min_noise": 0.1}), "4,097 features leave"),
    (
        "privacy",
        lambda v: leaving(v)["parameters"].update(validate={"layers": ["a"], "max_bytes": 1}),
        "validate leave",
    ),
    ("privacy", lambda v: v["scopes"].append(a_scope(v, "b", errors="full")), "scope b: of an error the full"),
]


@pytest.mark.parametrize(("name", "change", "text"), LOOSER)
def test_every_way_to_loosen_is_a_problem_that_names_it(kits, name, change, text):
    edit(kits / f"hospital-01/local/{name}.json", change)
    problems = [one for one in check(kits / "hospital-01") if one.level == "problem"]
    if text is None:  # a right that is not granted is a right that is not there
        assert problems == []
        return
    assert problems
    assert {one.name for one in problems} == {f"{name}.json"}
    assert all(one.text.startswith("looser than the template: ") for one in problems)
    assert any(re.search(text, one.text) for one in problems), problems


STRICTER = [
    ("resources", lambda v: v["class_allow_list"].pop(0), "does not allow fedward."),
    ("authorization", lambda v: v["permissions"]["lead"].update(submit_job="none"), "submit_job (any -> none)"),
    ("authorization", lambda v: v["permissions"].pop("member"), "member: view (any -> none)"),
    ("privacy", lambda v: leaving(v).update(warnings=False), "scope fedward: warnings stay"),
    ("privacy", lambda v: leaving(v)["counts"].update(samples=10), "scope fedward: count samples is rounded to 10"),
    ("privacy", lambda v: leaving(v)["parameters"]["train"]["layers"].pop(), "layers predictor.* of task train stay"),
    ("privacy", lambda v: leaving(v)["parameters"]["train"].update(layers=["head.bias"]), "layers head.* of task"),
    ("privacy", lambda v: leaving(v)["parameters"]["train"].update(max_bytes=9), "9 bytes of task train may leave"),
    ("privacy", lambda v: leaving(v)["parameters"].clear(), "parameters of task train stay"),
]


@pytest.mark.parametrize(("name", "change", "text"), STRICTER)
def test_tightening_is_fine_and_named(kits, name, change, text):
    edit(kits / f"hospital-01/local/{name}.json", change)
    findings = check(kits / "hospital-01")
    assert all(one.level == "ok" for one in findings)
    assert any(text in one.text and one.text.startswith("stricter") for one in findings), findings


def test_further_filters_are_named(kits):
    noise = {"path": "fedward.flare.privacy_filters.ClipAndNoise", "args": {"clip": 1.0, "epsilon": 2.0, "delta": 1e-5}}
    inner = {"path": "nvflare.app_common.filters.percentile_privacy.PercentilePrivacy", "args": {"percentile": 20}}
    wrapped = {"path": "fedward.flare.privacy_filters.OnUpdate", "args": {"filter": inner}}
    path = kits / "hospital-01/local/privacy.json"
    edit(path, lambda v: v["scopes"][0]["task_result_filters"].__setitem__(slice(0, 0), [noise, wrapped]))
    found = [one for one in check(kits / "hospital-01") if one.name == "privacy.json"]
    assert [one.level for one in found] == ["ok", "ok"]
    assert found[0].text.startswith('also: scope fedward: ClipAndNoise {"clip": 1.0')
    assert found[1].text.startswith('also: scope fedward: PercentilePrivacy {"percentile": 20}')


def test_a_hospital_that_agrees_to_exchange_features_says_so_in_its_own_list(kits):
    agree_to_features(kits / "hospital-01/local/privacy.json")
    (found,) = [one for one in check(kits / "hospital-01") if one.name == "privacy.json"]
    assert found.level == "ok"
    assert found.text.startswith("also: scope fedward: features leave: at most 4,096 each time")


FAULTS = [
    (lambda v: v["scopes"][0]["task_result_filters"].clear(), "must name fedward.flare.leaving.LeavingFilter"),
    (lambda v: v.update(default_scope="x"), "default_scope must be one of fedward"),
    (everything_off, "it must hold 'scopes'"),
    (lambda v: leaving(v)["counts"].update(samples="10"), "counts.samples must be a whole number"),
    (lambda v: leaving(v).update(metrcis=[]), "metrcis"),
]


@pytest.mark.parametrize(("change", "text"), FAULTS)
def test_a_fault_of_the_list_is_told_once_with_one_advice(kits, change, text):
    edit(kits / "hospital-01/local/privacy.json", change)
    (found,) = [one for one in check(kits / "hospital-01") if one.level == "problem"]
    assert found.name == "privacy.json"
    assert text in found.text
    assert found.fix.startswith("correct local/privacy.json, or restore it")


def test_another_launcher_is_a_problem(kits):
    """That of a kit which nvflare deploy prepared is a warning: see tests/provisioning/test_deploy.py."""
    edit(kits / "hospital-01/local/resources.json", lambda v: component(v, "process_launcher").update(path="a.Docker"))
    (finding,) = [one for one in check(kits / "hospital-01") if one.level != "ok"]
    assert finding.level == "problem"
    assert "a.Docker" in finding.text


@pytest.mark.parametrize("name", ["resources.json", "authorization.json", "privacy.json"])
def test_a_missing_or_damaged_policy_file(kits, name):
    path = kits / "hospital-01/local" / name
    for content in ("{", "[]", "null"):
        path.write_text(content)
        assert [one.name for one in check(kits / "hospital-01") if one.level == "problem"] == [name]
    path.unlink()
    assert [one.name for one in check(kits / "hospital-01") if one.level == "problem"] == [name]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda v: v.update(require_signed_jobs=False), "unsigned jobs would run"),
        (lambda v: v["client"].update(connection_security="tls"), "is 'tls'"),
        (lambda v: v.update(class_allow_list=["*"]), "class_allow_list does not belong there"),
    ],
)
def test_the_startup_file(kits, change, text):
    edit(kits / "hospital-01/startup/fed_client.json", change)
    (finding,) = [one for one in check(kits / "hospital-01") if one.level == "problem"]
    assert finding.name == "fed_client.json"
    assert text in finding.text


def test_files_that_flare_would_read_besides(kits):
    local = kits / "hospital-01/local"
    (local / "more__p_resources.json").write_text("{}")
    (local / "custom").mkdir()
    (local / "custom/sitecustomize.py").write_text("")
    found = {one.name: one for one in check(kits / "hospital-01") if one.level != "ok"}
    assert found["further settings"].level == "problem"
    assert found["further code"].level == "warning"
    assert "sitecustomize.py" in found["further code"].text


EXPRESSIONS = st.sampled_from(
    [
        "any",
        "none",
        "o:site",
        "n:submitter",
        "o:submitter",
        "o:consortium",
        "not o:site",
        ["o:site", "n:submitter"],
        "all",
    ]
)
RIGHTS = st.sampled_from(["submit_job", "byoc", "operate", "shutdown", "view", "manage_job", "abort_job"])
PERMISSIONS = st.dictionaries(
    st.sampled_from(["lead", "member"]),
    st.one_of(EXPRESSIONS, st.dictionaries(RIGHTS, EXPRESSIONS, max_size=4)),
    min_size=1,
)
PEOPLE = [("ann", "consortium"), ("bob", "site_org"), ("eve", "third")]


def granted(permissions):
    """Everything that FLARE itself permits under a policy, for a few people, submitters and every right."""
    policy, error = parse_policy_config({"format_version": "1.0", "permissions": permissions}, COMMAND_CATEGORIES)
    assert policy, error
    return {
        (role, name, submitter, right)
        for role in ("lead", "member")
        for name, org in PEOPLE
        for submitter, submitter_org in PEOPLE
        for right in ("submit_job", "byoc", "shutdown", "restart", "list_jobs", "abort_job", "delete_job")
        if policy.evaluate(
            "site_org", AuthzContext(right, Person(name, org, role), Person(submitter, submitter_org, role))
        )[0]
    }


@given(PERMISSIONS, PERMISSIONS)
@settings(max_examples=300)
def test_nothing_that_flare_would_grant_beyond_the_template_is_missed(template, kit):
    old, new = {"permissions": template}, {"permissions": kit}
    if granted(kit) - granted(template):
        assert widened_rights(old, new, CATEGORIES)
        assert narrowed_rights(new, old, CATEGORIES)
    assert widened_rights(old, old, CATEGORIES) == []
