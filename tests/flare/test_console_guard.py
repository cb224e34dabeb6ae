"""The console's commands that FLARE asks no right for, through FLARE's own register and authorization."""

import json
from pathlib import Path

import pytest
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.fuel.f3.cellnet.net_manager import NetManager
from nvflare.fuel.hci.conn import Connection
from nvflare.fuel.hci.server.authz import AuthzFilter
from nvflare.fuel.hci.server.constants import ConnProps
from nvflare.fuel.hci.server.reg import ServerCommandRegister
from nvflare.fuel.sec.authz import AuthorizationService
from nvflare.private.fed.server.server_cmd_modules import ServerCommandModules
from nvflare.security.security import FLAuthorizer

from fedward.flare.console_guard import guarded

POLICY = Path(__file__).parents[2] / "workspace_templates" / "server" / "authorization.json"
RIGHT = "not authorized"


@pytest.fixture
def say(monkeypatch):
    """What the console answers to a person of a role; study commands that pass are not carried out."""
    monkeypatch.setattr(AuthorizationService, "the_authorizer", FLAuthorizer("c", json.loads(POLICY.read_text())))
    register = ServerCommandRegister(app_ctx=None)
    register.add_filter(AuthzFilter())
    register.register_module(NetManager(agent=None))  # FLARE registers its own first
    for module in guarded(ServerCommandModules.cmd_modules):
        register.register_module(module)
    register.finalize()

    def answer(role, command):
        props = {ConnProps.USER_NAME: "x@c.org", ConnProps.USER_ORG: "c", ConnProps.USER_ROLE: role}
        conn = Connection(props=props)
        register.process_command(conn, command)
        return conn.close()

    return answer


@pytest.mark.parametrize("command", [spec.name for spec in NetManager(agent=None).get_spec().cmd_specs])
def test_no_diagnostics_by_any_name(say, command):
    for name in (command, f"cellnet.{command}"):
        said = say("project_admin", f"{name} server")
        assert "is switched off" in said or "Unknown command" in said


@pytest.mark.parametrize(
    "command",
    [
        "register_study mine --sites hospital-01",
        "add_study_site brain --sites hospital-01",
        "add_study_user brain x@c.org",
        "remove_study_user brain lead@c.org",
        "study_mgmt.remove_study_user brain lead@c.org",
        "remove_study brain",
    ],
)
def test_studies_are_the_consortiums(say, command):
    for role in ("org_admin", "lead", "member"):
        assert RIGHT in say(role, command).lower().replace("not_authorized", RIGHT)
    assert RIGHT not in say("project_admin", command).lower().replace("not_authorized", RIGHT)


def test_a_hospital_may_withdraw_and_look(say):
    for command in ("remove_study_site brain --sites hospital-01", "show_study brain", "list_studies"):
        assert RIGHT not in say("org_admin", command).lower().replace("not_authorized", RIGHT)


def test_no_server_starts_where_the_commands_are_elsewhere():
    with pytest.raises(UnsafeComponentError, match="study commands are not where"):
        guarded([])
