"""Hostile and impossible jobs on the real network: each is refused while it is submitted, and the submitter reads why.

The attacker here is a legitimate lead: the kit, the signature and the study are in order, the job is not.
"""

import os
import re
import shutil
import stat
import zipfile

import pytest
from attacker import edit, session, signed, until, upload, zipped
from real_network import STUDY

from fedward.kits.processes import memory_gib

SERVER, CLIENT = "app/config/config_fed_server.json", "app/config/config_fed_client.json"


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    return network.export(tmp_path_factory.mktemp("jobs"), "attack", "--hospitals", "2", "--rounds", "1")


@pytest.fixture(scope="module")
def lead(network):
    with session(network) as opened:
        yield opened


@pytest.fixture
def job(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "attack")


def put(path, text="x = 1\n"):
    def change(job):
        (job / path).parent.mkdir(parents=True, exist_ok=True)
        (job / path).write_text(text)

    return change


def put_value(path, *place):
    """Replace the value at a place of a JSON file."""
    *keys, last, value = place

    def change(job):
        def replace(values):
            for key in keys:
                values = values[key]
            values[last] = value

        edit(job / path, replace)

    return change


def in_settings(*place):
    """Replace a value in the settings of both sides, as a lead who writes a job's files alone would."""

    def change(job):
        put_value(SERVER, "workflows", 0, "args", "settings", *place)(job)
        put_value(CLIENT, "executors", 0, "executor", "args", "settings", *place)(job)

    return change


def both(*changes):
    return lambda job: [change(job) for change in changes]


def as_hocon(path, text=None):
    """A configuration in HOCON, whose includes FLARE would follow when it parses the job."""

    def change(job):
        (job / path).with_suffix(".conf").write_text(text or (job / path).read_text())
        (job / path).unlink()

    return change


def named(path):
    """A class that a site would have to build."""
    return put_value(CLIENT, "executors", 0, "executor", "path", path)


INCLUDE = 'include file("/etc/hostname")\nname = ${HOME}\n'
WRITES_FILES = {"path": "nvflare.app_common.workflows.fedavg.FedAvg", "id": "controller", "args": {}}
HOSTILE = {
    "code in app/custom": (put("app/custom/evil.py"), "'app/custom/.* brings code"),
    "code that no configuration names": (put("app/custom/sitecustomize.py"), "brings code"),
    "code in another folder": (put("app/config/evil.py"), "'app/config/evil.py' brings code"),
    "code beside the app": (put("custom/evil.py"), "brings code"),
    "a library": (put("app/evil.so"), "brings code"),
    "a pickle": (put("app/config/weights.pkl"), "'app/config/weights.pkl' does not belong into a job"),
    "meta.json as HOCON": (as_hocon("meta.json", INCLUDE), "'meta.conf': configuration must be JSON"),
    "an app's file as HOCON": (as_hocon(CLIENT, INCLUDE), "must be JSON"),
    "an app's file as YAML": (put("app/config/config_fed_client.yml"), "must be JSON"),
    "both, JSON and HOCON": (put("app/config/config_fed_server.conf", INCLUDE), "must be JSON"),
    "subprocess.Popen": (named("subprocess.Popen"), "names 'subprocess.Popen', which no site builds"),
    "builtins.eval": (named("builtins.eval"), "names 'builtins.eval', which no site builds"),
    "a name imported in a module of ours": (named("fedward.flare.executor.Path"), "which no site builds"),
    "a class that writes files": (put_value(SERVER, "workflows", 0, WRITES_FILES), "which no site builds"),
    "a nested class": (in_settings("training", "loss", {"path": "subprocess.Popen", "args": {}}), "loss"),
    "a filter of the job's own": (
        put_value(CLIENT, "task_result_filters", [{"tasks": ["*"], "filters": [{"path": "builtins.eval"}]}]),
        "task_result_filters must be empty: filters are each site's own",
    ),
    "one more component": (
        put_value(CLIENT, "components", [{"id": "x", "path": "subprocess.Popen", "args": {}}]),
        "a job adds no components at a site",
    ),
    "a data set by its path": (in_settings("data_set", "../../etc"), "data set '../../etc'"),
    "a run name with ..": (both(in_settings("name", "../../harmed"), put_value("meta.json", "name", "x")), "harmed"),
    "starting weights by path": (in_settings("starting_weights", "/etc/passwd"), "starting weights"),
    "starting weights by URL": (in_settings("starting_weights", "https://harm.example/w"), "starting weights"),
    "weights that are not registered": (
        both(
            in_settings("starting_weights", "other"),
            lambda job: edit(
                job / SERVER,
                lambda v: next(c for c in v["components"] if c["id"] == "persistor")["args"].update(
                    starting_weights="other"
                ),
            ),
        ),
        "starting weights 'other' are not registered at the server",
    ),
    "a huge number": (in_settings("rounds", 10**12), "rounds must be a whole number from 1 to"),
    "a huge network": (in_settings("training", "network_args", "features", 10**6), "features"),
    "a pickle as a number": (in_settings("seed", "gASVBgAAAAAAAACMAnByLg=="), "seed must be a whole number"),
    "not a number": (in_settings("training", "learning_rate", float("nan")), "NaN is no number of JSON"),
    "sites that meta.json does not name": (
        in_settings("sites", ["hospital-01", "hospital-99"]),
        "deploy_map must send app to the server and exactly the job's sites",
    ),
    "unknown sites": (
        both(
            in_settings("sites", ["hospital-01", "hospital-99"]),
            put_value("meta.json", "deploy_map", {"app": ["server", "hospital-01", "hospital-99"]}),
        ),
        "hospital-99: no such site in fedward, which has hospital-01",
    ),
    "a site outside the study": (
        both(
            in_settings("sites", ["hospital-01", "coordinator"]),
            put_value("meta.json", "deploy_map", {"app": ["server", "hospital-01", "coordinator"]}),
        ),
        "coordinator: not part of study 'brain-tumour'",
    ),
    "all sites, whoever they are": (
        put_value("meta.json", "deploy_map", {"app": ["@ALL"]}),
        "exactly the job's sites",
    ),
    "impossible min_clients": (put_value("meta.json", "min_clients", 1000), "must be the job's min_sites, 2"),
    "fewer clients than the settings": (put_value("meta.json", "min_clients", 1), "min_clients must be the job's"),
    "resources": (
        put_value("meta.json", "resource_spec", {"hospital-01": {"num_of_gpus": 64}}),
        "resource_spec must be empty",
    ),
    "its own right to bring code": (put_value("meta.json", "byoc", True), "must not have 'byoc'"),
    "a submitter's name": (put_value("meta.json", "submitter_name", "admin"), "must not have 'submitter_name'"),
    "a launcher": (put_value("meta.json", "launcher_spec", {}), "must not have 'launcher_spec'"),
    "another study in the settings": (in_settings("study", "chest-x-ray"), "belongs to study 'chest-x-ray' but was"),
}  # fmt: skip


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_job_is_refused_with_its_reason(attack, network, lead, job, tmp_path):
    change, reason = HOSTILE[attack]
    change(job)
    said = upload(lead, zipped(signed(network, job)), tmp_path)
    assert "The job is refused: " in said
    assert re.search(reason, said) or reason in said, said


def entry(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        ({"attack/../../../harmed": b"x"}, "leads out of the job's folder"),
        ({"/tmp/harmed": b"x"}, "is an absolute path"),
        ({"attack\\..\\harmed": b"x"}, "has characters that no file of a job has"),
        ({"harmed/meta.json": b"{}"}, "more than one folder"),
        ({entry("attack/app/config/link", stat.S_IFLNK | 0o777): b"/etc/passwd"}, "is a link"),
        ({"attack/app/config/big.json": b"0" * 300_000_000}, "does not belong into a job"),
        ({"attack/.__nvfl_sig.json": b"0" * 300_000_000}, "is in the archive twice|larger than"),
        ({f"attack/f{number}": b"" for number in range(5000)}, "entries: a job has at most 20"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_archive_is_refused_before_it_is_unpacked(network, lead, job, tmp_path, added, reason):
    server = network.processes()["localhost"]
    said = upload(lead, zipped({**signed(network, job), **added}), tmp_path)
    assert re.search(reason, said), said
    assert memory_gib([server]) < 1.5
    assert not list(tmp_path.parent.glob("harmed"))


def test_what_is_no_archive_is_refused(lead, tmp_path):
    assert "damaged or no zip file" in upload(lead, b"PK\x03\x04" + os.urandom(1000), tmp_path)


def test_a_job_changed_after_signing_is_refused(network, lead, job, tmp_path):
    files = signed(network, job)
    for name in ("meta.json", SERVER, CLIENT):
        changed = {**files, f"attack/{name}": files[f"attack/{name}"].replace(b"hospital-02", b"hospital-03")}
        assert changed != files
        said = upload(lead, zipped(changed), tmp_path)
        assert "the job's signature does not hold: a file was changed after signing" in said


def test_a_job_of_somebody_elses_signature_is_refused(network, lead, job, tmp_path):
    said = upload(lead, zipped(signed(network, job, "lead-cxr@consortium.example")), tmp_path)
    assert "signed by lead-cxr@consortium.example, but lead@consortium.example submits it" in said
    for path in job.rglob(".__nvfl*"):
        path.unlink()
    unsigned = {f"attack/{path.relative_to(job)}": path.read_bytes() for path in job.rglob("*") if path.is_file()}
    assert "the job is not signed" in upload(lead, zipped(unsigned), tmp_path)


def test_the_console_and_our_own_connection_say_the_same(network, job):
    put("app/custom/evil.py")(job)
    assert "'app/custom/' brings code" in network.refusal(job)
    assert "'app/custom/' brings code" in " ".join(network.console(f"submit_job {job}").split())


@pytest.mark.slow
def test_two_hundred_megabytes_are_received_and_dropped(network, lead, tmp_path):
    server = network.processes()["localhost"]
    said = upload(lead, os.urandom(200_000_000), tmp_path)
    assert "the job's archive is larger than 1,000,000 bytes" in said
    assert memory_gib([server]) < 1  # stock FLARE: 1.5 GiB


@pytest.mark.slow  # in the default set, the job of test_people.py says the same
def test_a_good_job_still_runs(network, tmp_path):
    job = network.export(tmp_path, "after-jobs", "--hospitals", "2", "--rounds", "1")
    meta = network.until(network.submit(job), "FINISHED")
    assert meta["status"] == "FINISHED:COMPLETED", meta
    until(lambda: (network.root / "runs" / "after-jobs").is_dir(), 5, lambda: "no run folder")
    with session(network) as opened:
        names = {one["job_name"] for one in opened.list_jobs()}
    assert "attack" not in names  # nothing of the refused ones was kept
    assert meta["study"] == STUDY
