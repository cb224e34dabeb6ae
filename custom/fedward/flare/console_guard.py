"""The console's commands for which FLARE asks no right of authorization.json: refused, or asked for."""

from collections.abc import Callable
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.fuel.f3.cellnet.net_manager import NetManager
from nvflare.fuel.hci.conn import Connection
from nvflare.fuel.hci.proto import MetaStatusValue, make_meta
from nvflare.fuel.hci.reg import CommandModule, CommandModuleSpec
from nvflare.fuel.hci.server.authz import PreAuthzReturnCode
from nvflare.private.fed.server.study_cmds import StudyCommandModule


class ConsoleGuard(FLComponent):
    """A component of the server's parent process.

    FLARE lets every org_admin change every study that has a site of theirs: its users, too. And whoever is logged in
    may load the network with FLARE's hidden diagnostics ("stress") and read its settings ("show_config_vars").
    """

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            server = fl_ctx.get_prop(FLContextKey.SITE_OBJ)
            server.cmd_modules = guarded(server.cmd_modules)  # FLARE makes its console's commands of these later


class StudyCommands(StudyCommandModule):
    """FLARE's study commands, each of which needs the right of its name in the server's authorization.json, too."""

    def get_spec(self) -> CommandModuleSpec:
        spec = super().get_spec()
        for command in spec.cmd_specs:
            command.authz_func = _and_right(command.authz_func)
        return spec


class NoDiagnostics(CommandModule):
    """Takes the place of the commands of FLARE's NetManager: the later one of two with the same name counts."""

    def get_spec(self) -> CommandModuleSpec:
        spec = NetManager(agent=None).get_spec()
        for command in spec.cmd_specs:
            command.authz_func = _refuse
        return spec


def guarded(modules: list[Any]) -> list[Any]:
    """FLARE's command modules with the study commands behind rights, and no diagnostics."""
    plain = [module for module in modules if type(module) is StudyCommandModule]
    if len(plain) != 1:
        raise UnsafeComponentError("FLARE's study commands are not where fedward expects them: anyone could use them")
    return [*(StudyCommands() if module is plain[0] else module for module in modules), NoDiagnostics()]


def _and_right(asked: Callable[[Connection, list[str]], PreAuthzReturnCode]) -> Any:
    """FLARE's own condition, and then the right."""

    def ask(conn: Connection, args: list[str]) -> PreAuthzReturnCode:
        answer = asked(conn, args)
        return PreAuthzReturnCode.REQUIRE_AUTHZ if answer == PreAuthzReturnCode.OK else answer

    return ask


def _refuse(conn: Connection, args: list[str]) -> PreAuthzReturnCode:
    sentence = f"{args[0]} is switched off: it serves to look for faults in FLARE itself"
    conn.append_error(sentence, meta=make_meta(MetaStatusValue.NOT_AUTHORIZED, sentence))
    return PreAuthzReturnCode.ERROR
