"""What a job may say: its classes and arguments, its meta.json, its sites and study; and what each site takes."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from job_files import CLIENT, META, NETWORK, SERVER, as_bytes, job, replaced

from fedward import cxr_pretraining
from fedward.errors import UsageError
from fedward.kits.job_app import check_app, read_app
from fedward.kits.job_check import check_job, check_meta, check_server, check_site, refusals
from fedward.site_config import RegisteredWeights, SiteConfig

JOBS = Path(__file__).parents[2] / "jobs"
ARGS = (SERVER, "workflows", 0, "args")
TRAINING_ARGS = (CLIENT, "executors", 0, "executor", "args")
POPEN = {"path": "subprocess.Popen", "args": {"args": ["touch", "harmed"]}}


def check(values, study="brain"):
    return check_job(as_bytes(values), NETWORK, study)


def test_a_good_job_gives_its_settings():
    settings = check(job(rounds=3))
    assert (settings.name, settings.rounds, settings.sites) == ("run", 3, ("hospital-01", "hospital-02"))


@pytest.mark.parametrize("meta", sorted(JOBS.glob("*/*/meta.json")), ids=lambda path: path.parent.name)
def test_the_ready_made_jobs_pass(meta):
    server, client = (meta.parent / path for path in (SERVER, CLIENT))
    settings = check_app(server.read_bytes(), client.read_bytes())
    check_meta(json.loads(meta.read_text()), settings)


def test_there_are_ready_made_jobs():
    assert len(list(JOBS.glob("*/*/meta.json"))) >= 4


def test_optional_parts_are_taken():
    values = job()
    board = {"id": "tensorboard", "path": "nvflare.app_opt.tracking.tb.tb_receiver.TBAnalyticsReceiver", "args": {}}
    values[SERVER]["components"].append(board)
    del values[SERVER]["components"][0]["args"]["starting_weights"]  # an older export, and the default
    del values[META]["resource_spec"]
    values[SERVER]["workflows"][0]["args"] |= {"aggregator_id": "aggregator", "persistor_id": "persistor"}
    assert check(values).name == "run"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((SERVER, "workflows", 0, "path"), "subprocess.Popen", "'subprocess.Popen', which no site builds"),
        ((SERVER, "workflows", 0, "path"), "builtins.eval", "which no site builds"),
        ((SERVER, "workflows", 0, "path"), "fedward.flare.controller.shutil", "which no site builds"),
        ((SERVER, "workflows", 0, "path"), "fedward.flare.controller.RoundControllerX", "which no site builds"),
        ((SERVER, "workflows", 0, "path"), "nvflare.app_common.workflows.fedavg.FedAvg", "it must be fedward.flare"),
        ((SERVER, "workflows", 0, "path"), "fedward.flare.executor.TrainingExecutor", "which no site builds"),
        ((SERVER, "workflows", 0, "path"), ["a"], "names list, which no site builds"),
        ((SERVER, "workflows", 0, "name"), "RoundController", "workflow must not have 'name'"),
        ((SERVER, "workflows"), [], "must hold exactly one entry"),
        ((SERVER, "workflows", 0, "id"), "../x", "id must be 'controller'"),
        ((SERVER, "components", 0, "path"), "subprocess.Popen", "persistor names 'subprocess.Popen'"),
        ((SERVER, "components", 0, "id"), "other", "component 'other'"),
        ((SERVER, "components", 0, "id"), "aggregator", "each once|aggregator names"),
        ((SERVER, "components", 0), POPEN, "component NoneType"),
        ((SERVER, "components"), {"a": POPEN}, "components must be a list"),
        ((SERVER, "components"), [], "component persistor is missing"),
        ((SERVER, "components", 1, "args"), {"scheme": "fedavg"}, "different weighting"),
        ((SERVER, "components", 1, "args"), {"scheme": POPEN}, "no weighting scheme"),
        ((SERVER, "components", 1, "args"), {"save_filename": "/x"}, "unknown settings save_filename"),
        ((SERVER, "components", 0, "args", "seed"), True, "different networks"),
        ((SERVER, "components", 0, "args", "path"), "/etc/passwd", "different networks"),
        ((SERVER, "components", 0, "args", "network_args"), {"features": 512}, "different networks"),
        ((SERVER, "task_data_filters"), [POPEN], "task_data_filters must be empty"),
        ((SERVER, "vars"), {}, "must not have 'vars'"),
        ((SERVER, "include"), "x", "must not have 'include'"),
        ((SERVER, "handlers"), [POPEN], "must not have 'handlers'"),
        ((SERVER, "format_version"), 1, "format_version must be 2"),
        ((SERVER, "server"), {"task_request_interval": 1e-9}, "from 0.05 to 60"),
        ((SERVER, "server"), {"task_request_interval": "x"}, "from 0.05 to 60"),
        ((SERVER, "server"), {"heart_beat_timeout": 1}, "must not have 'heart_beat_timeout'"),
        ((SERVER, "server"), [], "server must be a mapping"),
        ((*ARGS, "aggregator_id"), "job_gate", "aggregator_id must be 'aggregator'"),
        ((*ARGS, "persistor_id"), POPEN, "persistor_id must be 'persistor'"),
        ((*ARGS, "task"), "x", "controller must not have 'task'"),
        (ARGS, "x", "args must be a mapping"),
        (ARGS, {}, "run settings must be a mapping"),
        ((SERVER,), [], "must be a mapping"),
        ((CLIENT,), None, "must be a mapping"),
        ((CLIENT, "components"), [POPEN], "adds no components at a site"),
        ((CLIENT, "task_result_filters"), [POPEN], "filters are each site's own"),
        ((CLIENT, "executors", 0, "tasks"), ["*"], "tasks must be train and validate"),
        ((CLIENT, "executors", 0, "executor"), POPEN, "'subprocess.Popen', which no site builds"),
        ((CLIENT, "executors", 0, "executor"), "x", "executor must be a mapping"),
        ((*TRAINING_ARGS, "path"), "/x", "TrainingExecutor must not have 'path'"),
        ((*TRAINING_ARGS, "settings", "seed"), 7, "server and sites have different settings"),
        ((META, "byoc"), True, "must not have 'byoc'"),
        ((META, "launcher_spec"), {}, "must not have 'launcher_spec'"),
        ((META, "mandatory_clients"), ["hospital-01"], "must not have 'mandatory_clients'"),
        ((META, "scope"), "x", "must not have 'scope'"),
        ((META, "job_id"), "x", "must not have 'job_id'"),
        ((META, "name"), "other", "names another run"),
        ((META, "resource_spec"), {"hospital-01": {"num_of_gpus": 99}}, "resource_spec must be empty"),
        ((META, "min_clients"), 1, "min_clients must be the job's min_sites, 2"),
        ((META, "min_clients"), 1000, "min_clients must be"),
        ((META, "min_clients"), "2", "min_clients must be"),
        ((META, "min_clients"), 2.0, "min_clients must be"),
        ((META, "deploy_map"), {"app": ["@ALL"]}, "exactly the job's sites"),
        ((META, "deploy_map"), {"app": ["server", "hospital-01"]}, "exactly the job's sites"),
        ((META, "deploy_map"), {"app": ["server", "hospital-01", "hospital-99"]}, "exactly the job's sites"),
        ((META, "deploy_map"), {"app": ["server", "hospital-01", "hospital-02"], "b": []}, "exactly the job's sites"),
        ((META, "deploy_map"), {"app": ["server", {"sites": ["hospital-01"]}]}, "exactly the job's sites"),
        ((META, "deploy_map"), None, "exactly the job's sites"),
        ((META,), [], "meta.json must be a mapping"),
    ],
)
def test_any_other_configuration_is_refused(place, value, message):
    with pytest.raises(UsageError, match=message):
        check(replaced(job(), place, value))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../../evil"}, r"run name '\.\./\.\./evil' is not allowed"),
        ({"data_set": "../../etc"}, "unknown data set"),
        ({"study": "../brain"}, "study"),
        ({"starting_weights": "/etc/passwd"}, "starting weights"),
        ({"rounds": 10**9}, "rounds must be a whole number from 1 to 10000"),
        ({"seed": 10**30}, "seed must be"),
        ({"min_sites": 3}, "only 2 sites take part"),
        ({"sites": ["hospital-01", "hospital-99"]}, "hospital-99: no such site in net, which has hospital-01"),
        ({"sites": ["hospital-01", "hospital-03"]}, "hospital-03: not part of study 'brain'"),
        ({"study": "heart"}, "study 'heart' is unknown in net: choose one of default, brain"),
        ({"surprise": 1}, "unknown settings surprise"),
        ({"preprocessing": {"path": "subprocess.Popen"}}, "unknown settings path"),
        ({"training": POPEN}, "unknown settings|mapping"),
    ],
)
def test_settings_out_of_their_range_are_refused(changes, message):
    values = job()
    for place in (ARGS, TRAINING_ARGS):
        for key, value in changes.items():
            values = replaced(values, (*place, "settings", key), value)
    values[META]["deploy_map"] = {"app": ["server", *changes.get("sites", ["hospital-01", "hospital-02"])]}
    values[META]["name"] = changes.get("name", "run")
    with pytest.raises(UsageError, match=message):
        check(values, changes.get("study", "brain"))


@pytest.mark.parametrize(("size", "taken"), [(4096, True), (4097, False)])
def test_more_features_than_any_kit_lets_out_are_refused_at_the_server(size, taken):
    folder = JOBS / "cardiac_contrastive" / "fcl"
    text = {name: (folder / name).read_text() for name in (SERVER, CLIENT, META)}
    files = {name: part.replace('"bank_size": 4096', f'"bank_size": {size}').encode() for name, part in text.items()}
    hospitals = tuple(f"hospital-{n:02d}" for n in range(1, 11))
    network = replace(NETWORK, hospitals=hospitals, studies={"cardiac": {"sites": hospitals, "admins": []}})
    if taken:
        assert check_job(files, network, "cardiac").contrast.bank_size == size
        return
    with pytest.raises(UsageError, match=r"4,097 features .* no kit lets more than 4,096 out: .* --bank-size 4096"):
        check_job(files, network, "cardiac")


def test_the_study_of_the_session_counts():
    with pytest.raises(UsageError, match=r"belongs to study 'brain' but was submitted under 'heart'.*--study brain"):
        check(job(), "heart")
    assert check(job(study="default", sites=["hospital-01", "hospital-03"]), "default").study == "default"


def test_the_server_must_have_weights_and_validation_images(tmp_path):
    weights = {"brain-v1": RegisteredWeights(tmp_path / "w", "0" * 64)}
    check_server(check(job(starting_weights="brain-v1")), SiteConfig("f", weights=weights))
    with pytest.raises(UsageError, match=r"'brain-v2' are not registered .*registered: random, brain-v1"):
        check_server(check(job(starting_weights="brain-v2")), SiteConfig("f", weights=weights))
    values = job()
    measured = values[SERVER]["workflows"][0]["args"]["settings"]["aggregation"] | {"cost_source": "server_validation"}
    values = job(aggregation=measured)
    values[SERVER]["components"][1]["args"] = measured
    with pytest.raises(UsageError, match="no validation images of data set 'lgg'"):
        check_server(check(values), SiteConfig("f"))
    check_server(check(values), SiteConfig("f", validation={"lgg": tmp_path}))


def test_a_site_takes_its_own_studies_and_data_and_names_no_folder(tmp_path):
    settings = check(job())
    good = SiteConfig(str(tmp_path / "fedward.yml"), data_sets={"lgg": tmp_path}, studies=("brain",))
    check_site(settings, "hospital-01", good)
    check_site(settings, "hospital-01", SiteConfig("f", data_sets={"lgg": tmp_path}))  # no list: any study
    for site, config, message in (
        ("hospital-03", good, "hospital-03 is not among the sites of run 'run'"),
        (
            "hospital-02",
            SiteConfig("f", data_sets={"lgg": tmp_path}, studies=("heart",)),
            r"study 'brain' is not approved at hospital-02 \(approved there: heart\)",
        ),
        ("hospital-02", SiteConfig("f", data_sets={"lgg": tmp_path}, studies=()), "not approved at hospital-02"),
        ("hospital-02", SiteConfig("f", data_sets={"chest": tmp_path}), "has no data set 'lgg'"),
        ("hospital-02", SiteConfig("f", data_sets={"lgg": tmp_path / "gone"}), "is missing at hospital-02"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            check_site(settings, site, config)
        assert str(tmp_path) not in str(caught.value)


def test_a_site_needs_the_images_of_a_probe_too(tmp_path):
    pretext = replace(cxr_pretraining.SETTINGS.pretext, probe_data_set="chestxray14")
    settings = replace(cxr_pretraining.SETTINGS, pretext=pretext)
    images = {"image_folder": tmp_path}
    with pytest.raises(UsageError, match=r"coordinator has no data set 'chestxray14' \(it has: image_folder\)"):
        check_site(settings, "coordinator", SiteConfig("f", data_sets=images))
    check_site(settings, "coordinator", SiteConfig("f", data_sets={**images, "chestxray14": tmp_path}))
    check_site(cxr_pretraining.SETTINGS, "coordinator", SiteConfig("f", data_sets=images))


def test_an_extracted_app_holds_its_files_alone(tmp_path):
    app = tmp_path / "app"
    (app / "config").mkdir(parents=True)
    for path in (SERVER, CLIENT):
        (tmp_path / path).write_bytes(as_bytes(job())[path])
    assert read_app(app, signed=False).name == "run"
    with pytest.raises(UsageError, match="not signed"):
        read_app(app, signed=True)
    for name in (".__nvfl_sig.json", ".__nvfl_submitter.crt"):
        (app / name).write_text("{}")
    assert read_app(app, signed=True).name == "run"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("custom/net.py", "'custom' does not belong"),
        ("custom", "'custom' does not belong"),
        ("config/config_fed_client.conf", "does not belong"),
        ("config/deeper/x", "does not belong"),
        ("config/config_fed_client.json/x", "does not belong"),
    ],
)
def test_a_stranger_in_an_extracted_app_is_refused(tmp_path, name, message):
    (tmp_path / "config").mkdir()
    for path in (SERVER, CLIENT):
        (tmp_path / path.removeprefix("app/")).write_bytes(as_bytes(job())[path])
    if name.startswith("config/config_fed_client.json"):
        (tmp_path / "config/config_fed_client.json").unlink()
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    target.write_text("x") if "." in target.name or "/" in name else target.mkdir()
    with pytest.raises(UsageError, match=message):
        read_app(tmp_path, signed=False)


def test_links_and_gaps_in_an_extracted_app_are_refused(tmp_path):
    (tmp_path / "config").mkdir()
    outside = tmp_path.parent / f"{tmp_path.name}.json"
    outside.write_bytes(as_bytes(job())[CLIENT])
    (tmp_path / "config/config_fed_server.json").write_bytes(as_bytes(job())[SERVER])
    with pytest.raises(UsageError, match=r"has no config/config_fed_client\.json"):
        read_app(tmp_path, signed=False)
    (tmp_path / "config/config_fed_client.json").symlink_to(outside)
    with pytest.raises(UsageError, match="is a link"):
        read_app(tmp_path, signed=False)
    (tmp_path / "config/config_fed_client.json").unlink()
    (tmp_path / "config/config_fed_client.json").write_bytes(b" " * 300_000)
    with pytest.raises(UsageError, match="larger than 200,000 bytes"):
        read_app(tmp_path, signed=False)


def test_refusals_are_read_from_the_deployment_detail():
    detail = [
        "server: OK",
        "hospital-01: OK",
        "hospital-02: NVFLARE_ERROR: study 'brain' is not approved at hospital-02",
        "hospital-03: no reply (deployment timeout)",
        "num_ok_sites 1 < required_min_sites 2",
    ]
    assert refusals(detail) == {
        "hospital-02": "study 'brain' is not approved at hospital-02",
        "hospital-03": "no reply (deployment timeout)",
    }


def test_every_argument_of_a_job_can_be_hostile():
    """Each value of the good job replaced by each hostile one: refused with a sentence, or the same job."""
    good = job()
    hostile = [None, -1, 10**400, "", "../../x", "x" * 100_000, [], {}, [[[[]]]], POPEN, "\ud800", "{x}", True, 0.5]
    refused = 0
    for place in places(good):
        for value in hostile:
            try:
                assert check(replaced(good, place, value)).name == "run"
            except UsageError as error:
                refused += 1
                assert len(str(error)) > 15  # noqa: PT017 (only some of the values are refused)
    assert refused > 500


def places(values, above=()):
    """Where a value stands in nested mappings and lists."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in copy.copy(list(pairs)):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))
