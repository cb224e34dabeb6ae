"""The server's gate, through FLARE's command register: what a submitter reads, and that nothing was parsed or kept."""

import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.apis.job_def import Job, JobMetaKey
from nvflare.apis.job_def_manager_spec import JobDefManagerSpec
from nvflare.apis.workspace import Workspace
from nvflare.fuel.hci.conn import Connection
from nvflare.fuel.hci.server.constants import ConnProps
from nvflare.fuel.hci.server.reg import ServerCommandRegister
from nvflare.private.fed.app import utils as flare_app
from nvflare.private.fed.server import job_cmds
from nvflare.private.fed.server.job_cmds import JobCommandModule
from nvflare.private.fed.server.server_cmd_modules import ServerCommandModules
from nvflare.private.fed.server.server_engine import ServerEngine
from signed_jobs import Consortium, edit, zipped

from fedward.flare.job_gate import GatedJobs, JobGate

SERVER, CLIENT = "app/config/config_fed_server.json", "app/config/config_fed_client.json"


@pytest.fixture(scope="module")
def consortium(tmp_path_factory):
    return Consortium(tmp_path_factory.mktemp("consortium"))


class Jobs:
    """What the job store of the server was asked to keep."""

    def __init__(self):
        self.created, self.cloned = [], []
        self.content = b""

    def create(self, meta, uploaded_content, fl_ctx):
        self.created.append(meta)
        return meta | {"job_id": "new"}

    def clone(self, from_jid, meta, fl_ctx):
        self.cloned.append(from_jid)
        return meta | {"job_id": "copy"}

    def get_content(self, meta, fl_ctx):
        return self.content


class Console:
    """Sends commands to FLARE's command register as a logged-in user."""

    def __init__(self, consortium, tmp_path):
        self.jobs = Jobs()
        self.upload = tmp_path / "upload"
        store = type("Store", (JobDefManagerSpec,), dict.fromkeys(JobDefManagerSpec.__abstractmethods__))()
        for name in ("create", "clone", "get_content"):
            setattr(store, name, getattr(self.jobs, name))
        self.engine = ServerEngine.__new__(ServerEngine)  # clone_job insists on the type
        self.engine.job_def_manager = store
        self.engine.new_context = self._context
        self.engine.fire_event = lambda event, fl_ctx: None
        self.module = GatedJobs(consortium.server)

    @contextmanager
    def _context(self):
        yield FLContext()

    def send(self, command, user="lead@c.org", study="brain", **props):
        register = ServerCommandRegister(app_ctx=self.engine)
        register.register_module(self.module)
        register.finalize()
        conn = Connection(props={ConnProps.USER_NAME: user, ConnProps.ACTIVE_STUDY: study, **props})
        register.process_command(conn, command)
        reply = json.loads(conn.close())
        return " ".join(str(item.get("data")) for item in reply["data"]), reply["meta"]["status"]

    def submit(self, data, **who):
        self.upload.write_bytes(data)
        answer = self.send("submit_job run", **who, **{ConnProps.FILE_LOCATION: str(self.upload)})
        assert not self.upload.exists()  # refused or not, the upload is gone
        return answer


@pytest.fixture
def console(consortium, tmp_path):
    return Console(consortium, tmp_path)


@pytest.fixture
def job(consortium, tmp_path):
    return consortium.export(tmp_path / "jobs")


def test_a_good_job_is_taken(console, consortium, job):
    said, status = console.submit(zipped(consortium.sign(job)))
    assert said.startswith("Submitted job: new")
    assert status == "ok"
    (meta,) = console.jobs.created
    assert meta[JobMetaKey.SUBMITTER_NAME.value] == "lead@c.org"
    assert meta[JobMetaKey.STUDY.value] == "brain"


def test_every_shipped_shape_passes(console, consortium, tmp_path):
    for number, changes in enumerate(({"min_sites": 1}, {"study": "default"}, {"sites": ("hospital-02",)})):
        job = consortium.sign(consortium.export(tmp_path / str(number), **changes))
        assert console.submit(zipped(job), study=changes.get("study", "brain"))[1] == "ok"


def put(path, text):
    def change(job):
        (job / path).parent.mkdir(exist_ok=True)
        (job / path).write_text(text)

    return change


def set_value(path, *place):
    *keys, value = place

    def change(job):
        def replace(values):
            for key in keys[:-1]:
                values = values[key]
            values[keys[-1]] = value

        edit(job / path, replace)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("app/custom/sitecustomize.py", ""), "brings code"),
        (put("meta.conf", 'include url("http://127.0.0.1:1/x")'), "'meta.conf': configuration must be JSON"),
        (lambda job: (job / CLIENT).rename(job / "app/config/config_fed_client.conf"), "must be JSON"),
        (set_value(SERVER, "workflows", 0, "path", "subprocess.Popen"), "'subprocess.Popen', which no site builds"),
        (set_value("meta.json", "min_clients", 1000), "min_clients must be the job's min_sites, 2"),
        (set_value("meta.json", "deploy_map", {"app": ["@ALL"]}), "exactly the job's sites"),
        (set_value("meta.json", "launcher_spec", {}), "must not have 'launcher_spec'"),
        (set_value(CLIENT, "executors", 0, "executor", "args", "settings", "seed", 9), "different settings"),
    ],
)
def test_a_bad_job_is_refused_with_its_reason_before_flare_parses_it(
    console, consortium, job, change, reason, monkeypatch
):
    def parsed(*_):
        raise AssertionError("FLARE has parsed a job that the gate must refuse")

    monkeypatch.setattr(job_cmds.JobMetaValidator, "validate", parsed)
    change(job)
    said, status = console.submit(zipped(consortium.sign(job)))
    assert said.startswith("The job is refused: ")
    assert reason in said
    assert status == "invalid_job_def"
    assert console.jobs.created == []


def test_whoever_signs_must_be_the_one_who_submits(console, consortium, job):
    assert "the job is not signed" in console.submit(zipped(job))[0]
    data = zipped(consortium.sign(job, "member@c.org"))
    assert "signed by member@c.org, but lead@c.org submits it" in console.submit(data)[0]
    assert console.submit(data, user="member@c.org")[1] == "ok"
    data = zipped(consortium.sign(job, "hospital-01"))
    assert "signed by hospital-01, which is no person's kit" in console.submit(data, user="hospital-01")[0]
    consortium.sign(consortium.sign(job) / "app", "member@c.org")
    assert "signed by lead@c.org and member@c.org: one person must sign all" in console.submit(zipped(job))[0]
    assert len(console.jobs.created) == 1


@pytest.mark.parametrize("path", ["meta.json", SERVER, CLIENT])
def test_a_change_after_signing_is_seen(console, consortium, job, path):
    consortium.sign(job)
    edit(job / path, lambda values: values.update(format_version=2))
    assert "the job's signature does not hold" in console.submit(zipped(job))[0]
    assert console.jobs.created == []


def test_a_signature_of_another_network_does_not_hold(console, job, tmp_path_factory):
    stranger = Consortium(tmp_path_factory.mktemp("stranger"))
    assert "the job's signature does not hold" in console.submit(zipped(stranger.sign(job)))[0]


def test_the_study_of_the_session_must_be_the_jobs(console, consortium, job):
    said, _ = console.submit(zipped(consortium.sign(job)), study="default")
    assert "belongs to study 'brain' but was submitted under 'default'" in said


def test_an_upload_of_too_many_bytes_is_refused(console):
    assert "larger than 1,000,000 bytes" in console.submit(b"x" * 1_000_001)[0]


def test_a_submission_without_an_upload_is_refused(console):
    assert "no job folder was uploaded" in console.send("submit_job run")[0]


def test_a_fault_of_the_check_refuses_too(console, consortium, job, monkeypatch):
    monkeypatch.setattr("fedward.flare.job_gate.check_job", lambda *_: 1 / 0)
    said, status = console.submit(zipped(consortium.sign(job)))
    assert "the job could not be checked (ZeroDivisionError" in said
    assert status == "invalid_job_def"
    assert console.jobs.created == []


def test_a_clone_is_checked_again(console, consortium, job):
    kept = Job("d2a5b5b4-0000-4000-8000-000000000000", {}, {}, {"study": "brain"})
    props = {JobCommandModule.JOB: kept, JobCommandModule.JOB_ID: kept.job_id}
    console.jobs.content = zipped(consortium.sign(job))
    _, status = console.send("clone_job x", user="member@c.org", **props)
    assert (status, console.jobs.cloned) == ("ok", [kept.job_id])
    edit(job / "meta.json", lambda meta: meta.update(min_clients=1))
    console.jobs.content = zipped(job)
    assert "The job is refused" in console.send("clone_job x", **props)[0]
    consortium.sign(job)
    consortium.sign(job / "app" / "config", "member@c.org")
    console.jobs.content = zipped(job)
    assert "one person must sign all" in console.send("clone_job x", **props)[0]
    console.jobs.content = None
    assert "no longer in the job store" in console.send("clone_job x", **props)[0]
    assert len(console.jobs.cloned) == 1


def bootstrap(consortium, modules):
    registered = threading.Event()
    server = SimpleNamespace(
        cmd_modules=modules,
        admin_server=None,
        engine=SimpleNamespace(register_stream_processing=lambda **what: registered.set()),
    )
    fl_ctx = FLContext()
    fl_ctx.set_prop(FLContextKey.WORKSPACE_OBJECT, Workspace(str(consortium.server), "server"), private=True)
    fl_ctx.set_prop(FLContextKey.SITE_OBJ, server, private=True)
    JobGate().handle_event(EventType.SYSTEM_BOOTSTRAP, fl_ctx)
    return server, registered


def test_the_gate_takes_the_place_of_flares_job_commands(consortium, monkeypatch):
    server, registered = bootstrap(consortium, ServerCommandModules.cmd_modules)
    kinds = [type(module) for module in server.cmd_modules]
    assert kinds.count(GatedJobs) == 1
    assert JobCommandModule not in kinds
    assert len(kinds) == len(ServerCommandModules.cmd_modules)
    assert JobCommandModule in [type(module) for module in ServerCommandModules.cmd_modules]  # FLARE's list is its own
    assert not registered.is_set()
    server.admin_server = SimpleNamespace(_process_upload=None)
    assert registered.wait(10)
    # FLARE makes its console of the server's modules; where that changes, the gate would stand beside the road
    made = []
    monkeypatch.setattr(flare_app, "FedAdminServer", lambda **arguments: made.append(arguments["cmd_modules"]))
    server.cell = None
    flare_app.create_admin_server(server, server_conf={}, args=SimpleNamespace(workspace="w"))
    assert made == [server.cmd_modules]


def test_no_server_starts_where_the_gate_finds_no_place(consortium):
    with pytest.raises(UnsafeComponentError, match="uploads would be unchecked"):
        bootstrap(consortium, [])
    with pytest.raises(UnsafeComponentError, match="uploads would be unchecked"):
        bootstrap(consortium, [JobCommandModule(), JobCommandModule()])


def test_refusals_of_a_job_that_goes_on_are_kept(consortium):
    detail = ["server: OK", "hospital-01: NVFLARE_ERROR: no such study", "hospital-02: OK"]
    fl_ctx = FLContext()
    fl_ctx.set_prop(FLContextKey.WORKSPACE_OBJECT, Workspace(str(consortium.server), "server"), private=True)
    fl_ctx.set_prop(FLContextKey.CURRENT_JOB_ID, "j1")
    JobGate().handle_event(EventType.JOB_DEPLOYED, fl_ctx)
    assert not (consortium.server / "j1").exists()
    fl_ctx.set_prop(FLContextKey.JOB_DEPLOY_DETAIL, detail)
    JobGate().handle_event(EventType.JOB_DEPLOYED, fl_ctx)
    kept = json.loads((consortium.server / "j1" / "refusals.json").read_text())
    assert kept == {"hospital-01": "no such study"}


def test_a_person_who_left_the_network_submits_nothing(console, consortium, job):
    """FLARE revokes no certificate: the server's network.json says who still belongs to it."""
    path = consortium.server / "local" / "network.json"
    kept = path.read_text()
    data = zipped(consortium.sign(job))
    values = json.loads(kept)
    del values["users"]["lead@c.org"]
    path.write_text(json.dumps(values))
    try:
        assert "lead@c.org is not, or no more, among the people of this network" in console.submit(data)[0]
    finally:
        path.write_text(kept)
    assert console.submit(data)[1] == "ok"
