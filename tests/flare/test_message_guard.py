"""Who may send what to whom, and that the server's own cell asks."""

import json
from types import SimpleNamespace

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, MessagePropKey
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey
from signed_jobs import NETWORK

from fedward.flare.message_guard import MessageGuard, may_send

LEAD, SITE, JOB = "lead@c.org", "hospital-01", "server.7d1f"


@pytest.mark.parametrize(
    ("sender", "destination", "channel", "topic"),
    [
        (LEAD, "server", "hci_channel", "command"),
        (LEAD, "server", "task", "register"),
        (LEAD, "server", "aux_communication", "ObjectStreamer.Request"),
        (LEAD, "server", "download_service__", "download_service__download"),
        (SITE, "server", "task", "heart_beat"),
        (SITE, "server", "admin", "admin"),
        (SITE, JOB, "server_command", "get_task"),
        (SITE, JOB, "aux_communication", "__job_heartbeat__"),
        (SITE, f"{SITE}.7d1f", "client_command", "abort"),
    ],
)
def test_what_the_work_needs_passes(sender, destination, channel, topic):
    assert may_send(sender, destination, channel, topic)


@pytest.mark.parametrize("sender", [LEAD, SITE])
@pytest.mark.parametrize(
    ("destination", "channel", "topic"),
    [
        ("hospital-02", "admin", "train.shutdown"),
        ("hospital-02.7d1f", "client_command", "abort"),
        ("hospital-011", "admin", "train.shutdown"),
        ("server", "_net_manager", "stop_cell"),
        ("server", "server_parent_listener", "update_run_status"),
        ("server", "", ""),
        ("", "task", "register"),
        (JOB, "server_command", "abort"),
        (JOB, "_net_manager", "stop"),
        (f"{JOB}.x", "server_command", "get_task"),
        ("server.", "_net_manager", "stop"),
    ],
)
def test_nobody_commands_others(sender, destination, channel, topic):
    assert not may_send(sender, destination, channel, topic)


@pytest.mark.parametrize(
    ("destination", "channel", "topic"),
    [
        (JOB, "server_command", "get_task"),
        (JOB, "aux_communication", "__end_run__"),
        ("server", "task", "report_job_failure"),
        ("server", "aux_communication", "fed.event"),
        (LEAD, "admin", "x"),
    ],
)
def test_a_person_is_no_site(destination, channel, topic):
    assert not may_send(LEAD, destination, channel, topic)


@pytest.fixture
def cell(tmp_path):
    """The cell of a server's parent process, with the guard in it."""
    kit = tmp_path / "kit"
    for folder in ("startup", "local"):
        (kit / folder).mkdir(parents=True)
    (kit / "local" / "network.json").write_text(json.dumps(NETWORK))
    made = Cell(fqcn="server", root_url="tcp://127.0.0.1:0", secure=False, credentials={})
    fl_ctx = FLContext()
    fl_ctx.set_prop(FLContextKey.WORKSPACE_OBJECT, Workspace(str(kit), "server"), private=True)
    fl_ctx.set_prop(FLContextKey.SITE_OBJ, SimpleNamespace(cell=made), private=True)
    MessageGuard().handle_event(EventType.SYSTEM_BOOTSTRAP, fl_ctx)
    yield made.core_cell
    made.core_cell.ALL_CELLS.pop("server", None)


def passes(cell, sender, stream=None):
    (guard,) = cell.in_filter_reg.find("admin", "train.shutdown")
    headers = {MessageHeaderKey.DESTINATION: "hospital-02", MessageHeaderKey.ORIGIN: "server.7d1f"}
    headers |= {MessageHeaderKey.CHANNEL: "admin", MessageHeaderKey.TOPIC: "train.shutdown"}
    if stream:
        headers |= {MessageHeaderKey.CHANNEL: "sm__STREAM", MessageHeaderKey.TOPIC: "sm__DATA"}
        headers |= {StreamHeaderKey.CHANNEL: stream[0], StreamHeaderKey.TOPIC: stream[1]}
        headers[MessageHeaderKey.DESTINATION] = "server"
    message = Message(headers, None)
    if sender:
        message.set_prop(MessagePropKey.COMMON_NAME, sender)
    return guard.cb(message) is None


def test_the_certificate_of_the_connection_counts_and_no_header(cell):
    assert not passes(cell, "hospital-01")
    assert not passes(cell, LEAD)
    assert passes(cell, NETWORK["server"]["name"])
    assert passes(cell, None)  # a job's process, by the connection within the server's machine


def test_what_a_stream_carries_counts(cell):
    assert passes(cell, LEAD, ("hci_channel", "command"))
    assert not passes(cell, LEAD, ("server_parent_listener", "update_run_status"))
