"""The AppValidator at server and site, through FLARE's own service: what it says of an extracted app."""

import json
import shutil
from types import SimpleNamespace

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import SiteType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.apis.workspace import Workspace
from nvflare.fuel.sec.authz import AuthorizationService
from nvflare.fuel.utils.config_factory import ConfigFactory
from nvflare.fuel.utils.config_service import ConfigService
from nvflare.private.fed.app import fl_conf
from nvflare.private.fed.app.fl_app_validator import FLAppValidator
from nvflare.private.fed.utils.app_authz import AppAuthzService
from nvflare.security.security import FLAuthorizer
from signed_jobs import Consortium, edit

from fedward.flare.app_check import AppCheck

SERVER, CLIENT = "config/config_fed_server.json", "config/config_fed_client.json"


@pytest.fixture(scope="module")
def consortium(tmp_path_factory):
    return Consortium(tmp_path_factory.mktemp("consortium"))


@pytest.fixture
def service(monkeypatch):
    """FLARE's service as a site's parent process sets it up."""
    check = AppCheck()
    monkeypatch.setattr(AppAuthzService, "app_validator", None)
    AppAuthzService.initialize(FLAppValidator(SiteType.CLIENT, [check]))
    check.handle_event(EventType.SYSTEM_BOOTSTRAP, FLContext())
    return AppAuthzService.validate_app


@pytest.fixture
def deployed(consortium, tmp_path):
    """Puts a job's app where FLARE would."""
    made = []

    def deploy(kit, change=None, user="lead@c.org", after=None, **settings):
        job = consortium.export(tmp_path / str(len(made)), **settings)
        if change:
            change(job / "app")
        if user:
            consortium.sign(job, user)
        if after:
            after(job / "app")
        folder = Workspace(str(kit), kit.name).get_app_dir(f"job-{len(made)}")
        made.append(shutil.copytree(job / "app", folder, symlinks=True))
        return folder

    yield deploy
    for folder in made:
        shutil.rmtree(folder)


def test_a_good_app_passes_at_server_and_site_from_any_folder(service, consortium, deployed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert service(deployed(consortium.hospital)) == ("", {})
    assert service(deployed(consortium.server)) == ("", {})
    monkeypatch.chdir(consortium.hospital)
    folder = deployed(consortium.hospital)
    assert service(str(folder).replace(str(consortium.hospital), ".")) == ("", {})


def test_what_a_site_refuses_of_an_app(service, consortium, deployed):
    def said(**what):
        reason, properties = service(deployed(consortium.hospital, **what))
        assert properties == {}
        assert str(consortium.root) not in reason  # it goes to the submitter
        return reason

    assert "study 'heart' is not approved at hospital-01 (approved there: brain)" in said(study="heart")
    assert "hospital-01 is not among the sites" in said(sites=("hospital-02",))
    assert "not signed" in said(user=None)
    assert "which is no person's kit" in said(user="hospital-01")
    assert "signature does not hold" in said(
        after=lambda app: [
            edit(app / path, lambda values: values.update({"format_version": 2})) for path in (SERVER, CLIENT)
        ]
    )
    assert "brings code" in said(change=custom) or "does not belong" in said(change=custom)
    assert "which no site builds" in said(
        change=lambda app: edit(app / CLIENT, lambda v: v["executors"][0]["executor"].update(path="subprocess.Popen"))
    )
    assert "is a link" in said(after=lambda app: link(app / CLIENT))


def custom(app):
    (app / "custom").mkdir()
    (app / "custom" / "sitecustomize.py").write_text("")


def link(path):
    target = path.parents[2] / "outside.json"
    path.rename(target)
    path.symlink_to(target)


def test_a_site_knows_of_others_only_what_concerns_it(service, consortium, deployed):
    """An eleventh hospital changes the server's kit alone."""
    more = ("hospital-01", "hospital-11")
    assert service(deployed(consortium.hospital, sites=more))[0] == ""
    assert "hospital-11: no such site" in service(deployed(consortium.server, sites=more))[0]


def test_a_site_asks_its_own_policy_about_whoever_signed(service, consortium, deployed, monkeypatch):
    """The server could name any submitter; FLARE asks about that one."""
    rights = {"lead": {"submit_job": "any"}, "member": {"view": "any"}}
    policy = FLAuthorizer("one", {"format_version": "1.0", "permissions": rights})
    monkeypatch.setattr(AuthorizationService, "the_authorizer", policy)
    assert service(deployed(consortium.hospital)) == ("", {})
    said = service(deployed(consortium.hospital, user="member@c.org"))[0]
    takes_none = "hospital-01 takes no jobs of member@c.org (member of c): its authorization.json forbids it"
    assert said == f"{takes_none}; leave it out, or ask its IT"
    rights["lead"]["submit_job"] = ["o:one"]  # this hospital takes jobs of its own people alone
    policy = FLAuthorizer("one", {"format_version": "1.0", "permissions": rights})
    monkeypatch.setattr(AuthorizationService, "the_authorizer", policy)
    assert "takes no jobs of lead@c.org" in service(deployed(consortium.hospital))[0]


def test_hocon_is_refused_before_flare_parses_it(service, consortium, deployed, monkeypatch):
    def parsed(*_, **__):
        raise AssertionError("FLARE has parsed a file that the check must refuse")

    def as_hocon(app):
        (app / CLIENT).unlink()
        (app / "config" / "config_fed_client.conf").write_text('include file("/etc/passwd")')

    folder = deployed(consortium.hospital, change=as_hocon)
    monkeypatch.setattr(ConfigFactory, "load_config", parsed)
    assert "'config/config_fed_client.conf' does not belong" in service(folder)[0]
    with pytest.raises(AssertionError):  # FLARE's own validator, which came first, would have
        FLAppValidator(SiteType.CLIENT, [AppCheck()]).validate(folder)


def test_a_broken_file_of_the_site_refuses_without_naming_folders(service, consortium, deployed):
    folder, file = deployed(consortium.hospital), consortium.hospital / "local" / "fedward.yml"
    good = file.read_text()
    try:
        for text in ("data_sets: [", "surprise: 1"):
            file.write_text(text)
            assert service(folder)[0] == "hospital-01 cannot use its fedward.yml: ask its IT to run fedward check-kit"
    finally:
        file.write_text(good)
    assert service(folder) == ("", {})


def test_a_fault_of_the_check_and_an_unknown_folder_refuse(service, consortium, deployed, monkeypatch):
    assert "unexpected folder" in service(str(consortium.hospital / "job" / "elsewhere"))[0]
    monkeypatch.setattr("fedward.flare.app_check.read_app", lambda *_, **__: 1 / 0)
    assert "could not be checked here (ZeroDivisionError" in service(deployed(consortium.hospital))[0]


def test_a_process_without_the_check_does_not_start(monkeypatch):
    monkeypatch.setattr(AppAuthzService, "app_validator", FLAppValidator(SiteType.CLIENT))
    with pytest.raises(UnsafeComponentError, match="must be app_validator"):
        AppCheck().handle_event(EventType.SYSTEM_BOOTSTRAP, FLContext())


@pytest.mark.parametrize("server", [True, False], ids=["server", "site"])
def test_flare_makes_the_check_of_resources_json_and_tells_it_events(tmp_path, server, monkeypatch):
    """As the parent process does; without the events it would not come before FLARE's own validator."""
    monkeypatch.setattr(ConfigService, "initialize", lambda **_: None)  # it is for the whole process
    (tmp_path / "startup").mkdir()
    (tmp_path / "local").mkdir()
    start = {
        "format_version": 2,
        "servers": [{"name": "s", "service": {"target": "s:1", "scheme": "grpc"}}],
        "client": {},
    }
    (tmp_path / "startup" / f"fed_{'server' if server else 'client'}.json").write_text(json.dumps(start))
    resources = {"format_version": 2, "app_validator": {"path": "fedward.flare.app_check.AppCheck", "args": {}}}
    (tmp_path / "local" / "resources.json").write_text(json.dumps(resources))
    arguments = SimpleNamespace(workspace=str(tmp_path), job_id=None)
    kind = fl_conf.FLServerStarterConfiger if server else fl_conf.FLClientStarterConfiger
    workspace = Workspace(str(tmp_path), "server" if server else "h")
    conf = kind(workspace=workspace, args=arguments, kv_list=["uid=h", "secure_train=false"])
    conf.configure()
    assert [type(validator) for validator in conf.app_validator.validators][1:] == [AppCheck]
    assert conf.app_validator.validators[1] in conf.handlers
