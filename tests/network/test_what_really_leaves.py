"""Everything that a hospital's processes send during two jobs on a real network, compared with the kit's list."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from captured_jobs import SITE, capture_jobs
from captured_site import found, middle, peer_properties
from channels import LEAVES, SOMETIMES, check_nothing_hidden, names
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import ReservedHeaderKey, Shareable

from fedward.flare.leaving import PEER_NAMES, leaves_outside
from fedward.flare.tasks import ERROR, REPORT, TRAIN, VALIDATE
from fedward.kits.leaving_list import DETAIL_COUNTS, DETAIL_METRICS, EVALUATIONS, Rules

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Names of headers, beside those of FLARE's transport (cn__, sm__).
HEADERS = {
    "client_name",
    "project_name",
    # what the site logged in as
    "ssid",
    "__token__",
    "__token_signature__",
    # of the challenge
    "cn",
    "nonce",
    # of the registration; the address is the machine's own, the one inside the hospital where there is NAT
    "client_type",
    "client_ip",
    "federation_protocol_version",
    "nvflare_version",
    # of a heartbeat
    "job_ids",
}
# "lock" is a hash, the same for each start of one kit on one machine.
INSTANCE = {"start", "lock"}


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    return capture_jobs(tmp_path_factory.mktemp("leaves"))


def _files(*folders: Path) -> Iterable[bytes]:
    """Names and contents of all files below, archives unpacked as well."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        yield path.name.encode()
        yield path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from (archive.read(name) for name in archive.namelist())


def _leaf_names(report: dict[str, Any]) -> set[str]:
    parts = {f"{k}.{name}" for k, value in report.items() if isinstance(value, dict) for name in value}
    return parts | {k for k, value in report.items() if not isinstance(value, dict)}


def test_both_jobs_ran_as_meant(captured):
    assert captured.states["good"] == "FINISHED:COMPLETED"
    assert captured.states["broken"].startswith("FINISHED:")
    assert captured.states["broken"] != "FINISHED:COMPLETED"
    assert len(captured.files) == 3  # the parent process, and one for each job


def test_results_hold_what_the_list_names_and_nothing_else(captured):
    sent = captured.results(captured.jobs["good"])
    tasks = [result[ReservedHeaderKey.HEADERS][ReservedHeaderKey.TASK_NAME] for result in sent]
    assert tasks == [TRAIN, TRAIN, VALIDATE]
    for result, task in zip(sent, tasks, strict=True):
        assert leaves_outside(result, captured.rules, task, captured.received) == []
        assert peer_properties(result).keys() <= PEER_NAMES
    details = {f"{part}.{name}" for part in EVALUATIONS for name in (*DETAIL_METRICS, *DETAIL_COUNTS)}
    named = (captured.rules.metrics | captured.rules.counts.keys() | {"warnings"}) - details  # those are of X-rays
    for result in sent[:2]:
        assert result["DXO"]["data"].keys() == captured.received.keys()
        assert _leaf_names(result["DXO"]["meta"][REPORT]) == named
    assert _leaf_names(sent[2]["DXO"]["data"][REPORT]) == {
        name for name in named if name in ("train_seconds", "warnings") or name.startswith("start.")
    }


def test_the_comparison_sees_what_the_list_does_not_name(captured):
    """So that the test above can fail: each thing that is taken off the list is found in what was sent."""
    sent = captured.results(captured.jobs["good"])[0]
    fewer = Rules(
        parameters={},
        metrics=captured.rules.metrics - {"loss"},
        counts={name: step for name, step in captured.rules.counts.items() if name != "end.patients"},
        warnings=False,
        features=None,
        errors="kind",
    )
    outside = {name.rpartition("/")[2] for name in leaves_outside(sent, fewer, TRAIN, captured.received)}
    assert outside == {"loss", "patients", "warnings", *captured.received}


def test_of_an_error_its_kind_alone_leaves_and_the_sentence_stays(captured):
    (sent,) = captured.results(captured.jobs["broken"])
    headers = sent[ReservedHeaderKey.HEADERS]
    assert leaves_outside(sent, captured.rules, TRAIN, captured.received) == []
    assert "DXO" not in sent
    assert headers[ReservedHeaderKey.RC] == ReturnCode.EXECUTION_EXCEPTION
    told = re.fullmatch(r"\w+ in train, reference ([0-9a-f]{4}): this site's log has the sentence", headers[ERROR])
    assert told
    log = (captured.kit / captured.jobs["broken"] / "log.txt").read_text()
    assert re.search(rf"reference {told[1]}: {re.escape(str(captured.broken))}: unreadable: .*copy it again", log)


def test_it_leaves_on_these_channels_and_no_others(captured):
    used = names(captured.messages)
    assert used <= LEAVES | SOMETIMES
    assert used >= LEAVES - SOMETIMES


def test_nothing_is_hidden_from_the_capture(captured):
    check_nothing_hidden(captured)


def test_what_a_site_tells_when_it_registers(captured):
    (sent,) = (message for message in captured.messages if message.topic == "register")
    told = sent.value
    assert told.keys() == {ReservedHeaderKey.HEADERS, "cert", "cn", "signature", "site_config"}
    assert told["cn"] == SITE
    assert told["cert"] == (captured.kit / "startup" / "client.crt").read_bytes()
    # Every key of resources.json and fed_client.json that FLARE does not know, so a new one of ours would be told, too.
    assert told["site_config"] == {
        "allow_log_streaming": False,
        "app_validator": {"path": "fedward.flare.app_check.AppCheck", "args": {}},
        "require_signed_jobs": True,
    }
    assert peer_properties(told)["fedward_instance"].keys() == INSTANCE


def test_what_goes_with_every_message(captured):
    """Names of site and job; the parent process says with each heartbeat which start of the kit it is."""
    headers = {name for message in captured.messages for name in message.headers}
    assert {name for name in headers if not name.startswith(("cn__", "sm__"))} == HEADERS
    told: dict[str, set[str]] = {}
    for message in captured.messages:
        if isinstance(message.value, Shareable):
            told.setdefault(message.topic, set()).update(peer_properties(message.value).keys() - PEER_NAMES)
    assert {topic for topic, extra in told.items() if not extra} >= {"get_task", "submit_update", "__sync_runner__"}
    assert {topic: extra for topic, extra in told.items() if extra} == {
        "register": {"fedward_instance"},
        "heart_beat": {"fedward_instance"},
    }


def test_no_image_no_patient_and_no_folder_left(captured):
    assert len([name for name in captured.needles if name.startswith("pixels")]) == 15  # five patients, three slices
    assert len([name for name in captured.needles if name.startswith("prepared")]) == 10
    sent = captured.sent
    assert found(captured.needles, sent) == set()
    layer = max(captured.results(captured.jobs["good"])[0]["DXO"]["data"].values(), key=lambda value: value.nbytes)
    assert found({"a layer": middle(layer.tobytes())}, sent) == {"a layer"}  # an array is found where one is sent


def test_none_of_it_is_at_the_server(captured):
    server = list(_files(captured.network.server, captured.network.root / "runs"))
    assert any(captured.jobs["broken"].encode() in text for text in server)  # it has heard of the job
    assert found(captured.needles, server) == set()


def test_all_of_it_is_at_the_hospital(captured):
    """So that the two tests above can fail: the same search finds the names in the site's log, and the images there."""
    sites = captured.network.sites
    at_site = found(captured.needles, _files(captured.kit, sites / SITE, sites / "cache"))
    lost = f"file {captured.broken.name}"  # it was broken after this piece was taken
    converted = {name for name in captured.needles if name.startswith("pixels") or name.endswith("gets it")}
    assert captured.needles.keys() - converted - {lost} == at_site
