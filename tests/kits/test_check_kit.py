"""`fedward check-kit` as hospital IT runs it: lines, verdict, exit code, and the record that lets a kit start."""

import base64
import hashlib
import json
import shutil
import socket
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from fedward.cli import cli, run
from fedward.datasets.phantoms import write_phantoms
from fedward.kits import data_checks, site_checks
from fedward.kits.kit import open_kit
from fedward.kits.passed import why_not_passed
from fedward.kits.running import check_stores
from fedward.kits.site_checks import check_clock, check_device
from fedward.site_config import SiteConfig


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "lgg"
    folder.mkdir()
    write_phantoms(folder, patients=6, slices=4, size=32, institutions=3)
    return folder


@pytest.fixture
def hospital(kits, images, tmp_path):
    """A hospital's kit whose data lies in a folder that a test may damage."""
    data = shutil.copytree(images, tmp_path / "lgg")
    configure(kits / "hospital-01", data_sets={"lgg": str(data)}, min_patients=3)
    return kits / "hospital-01"


def configure(kit, **values):
    path = kit / "local/fedward.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def check(capsys, kit, *options):
    """Exit code, verdict, and the findings that are not ok, by name."""
    code = run(cli, ["check-kit", str(kit), "--json", "--workers", "1", *options])
    result = json.loads(capsys.readouterr().out)
    assert result["passed"] == (code == 0)
    return code, result["verdict"], {one["name"]: one for one in result["findings"] if one["level"] != "ok"}


def problems(found):
    return sorted(name for name, one in found.items() if one["level"] == "problem")


def test_a_hospital_that_is_ready(hospital, capsys):
    assert "never checked" in why_not_passed(hospital)
    assert run(cli, ["check-kit", str(hospital), "--offline", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("hospital-01: ready to start")
    assert lines[-1].endswith("(offline: the network was not checked)")
    assert all(line.startswith(("[ok]", "[warning]")) for line in lines[:-1])
    assert any("6 patients, 24 images" in line for line in lines)
    assert all(" -> " in line for line in lines if line.startswith("[warning]"))
    assert why_not_passed(hospital) == ""


def test_a_server_and_an_admin_kit_are_ready(kits, capsys):
    assert check(capsys, kits / "localhost")[0] == 0
    code, verdict, _ = check(capsys, kits / "lead@consortium.example", "--offline")
    assert code == 0
    assert "ready to use" in verdict


def test_what_is_no_kit_is_wrong_usage(kits, capsys):
    assert run(cli, ["check-kit", str(kits)]) == 2
    assert "give one of them" in capsys.readouterr().err


def test_a_server_that_is_down_is_a_warning_at_the_start_alone(hospital, capsys):
    code, verdict, found = check(capsys, hospital)
    assert (code, problems(found)) == (1, ["server reachable"])
    assert "1 problem" in verdict
    assert "not ready" in verdict
    assert check(capsys, hospital, "--starting")[0] == 0
    check(capsys, hospital)  # and does not take back the pass: it is no fault of the kit
    assert why_not_passed(hospital) == ""


def test_a_fault_of_the_kit_takes_back_the_pass(hospital, capsys):
    assert check(capsys, hospital, "--offline")[0] == 0
    (hospital / "startup/client.key").chmod(0o644)
    assert check(capsys, hospital, "--offline")[0] == 1
    assert "last check of this kit failed" in why_not_passed(hospital)
    (hospital / "startup/client.key").chmod(0o600)
    assert check(capsys, hospital, "--offline")[0] == 0
    assert why_not_passed(hospital) == ""


@pytest.mark.parametrize(
    "name", ["local/fedward.yml", "local/resources.json", "startup/fed_client.json", "local/new.sh"]
)
def test_a_file_that_changed_after_the_check(hospital, capsys, name):
    check(capsys, hospital, "--offline")
    with (hospital / name).open("a") as file:
        file.write("\n")
    assert name in why_not_passed(hospital)
    assert "fedward check-kit" in why_not_passed(hospital)


def test_a_record_that_somebody_wrote(hospital):
    for text in (
        "{",
        "[]",
        "{}",
        '{"passed": true}',
        '{"passed": "yes", "files": {}}',
        '{"passed": true, "files": {}}',
    ):
        (hospital / "check.json").write_text(text)
        assert "fedward check-kit" in why_not_passed(hospital)


def test_a_changed_startup_file_is_named(hospital, capsys):
    check(capsys, hospital, "--offline")
    with (hospital / "startup/sub_start.sh").open("a") as file:
        file.write("# ours\n")
    _, _, found = check(capsys, hospital, "--offline")
    assert "startup/sub_start.sh was changed" in found["startup files"]["text"]
    assert "local/fedward.yml" in found["startup files"]["fix"]


def test_signed_startup_files(hospital, authority, capsys):
    scheme = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.MAX_LENGTH)
    files = {path.name: path.read_bytes() for path in (hospital / "startup").iterdir()}
    signed = {
        name: base64.b64encode(authority.key.sign(data, scheme, SHA256())).decode() for name, data in files.items()
    }
    (hospital / "startup/signature.json").write_text(json.dumps(signed))
    assert check(capsys, hospital, "--offline")[0] == 0
    with (hospital / "startup/stop_fl.sh").open("a") as file:
        file.write("\n")
    _, _, found = check(capsys, hospital, "--offline")
    assert found["startup files"]["text"].startswith("startup/stop_fl.sh changed after signing")
    (hospital / "startup/signature.json").write_text("[]")
    assert problems(check(capsys, hospital, "--offline")[2]) == ["startup files"]


def test_other_versions_than_the_networks(hospital, capsys):
    path = hospital / "local/network.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fedward": "99.0", "nvflare": "1.0"}))
    _, _, found = check(capsys, hospital, "--offline")
    assert problems(found) == ["fedward version", "nvflare version"]
    assert "install fedward 99.0" in found["fedward version"]["fix"]


def test_data_with_faults(hospital, tmp_path, capsys):
    next((tmp_path / "lgg").glob("*/*_1.tif")).write_bytes(b"broken")
    _, _, found = check(capsys, hospital, "--offline")
    assert problems(found) == ["data set lgg"]
    assert "1 errors" in found["data set lgg"]["text"]
    assert "fedward check-data lgg" in found["data set lgg"]["fix"]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"data_sets": {"lgg": "/nowhere/at/all"}}, "data set lgg"),
        ({"data_sets": {"other": "/"}}, "data set other"),
        ({"min_patients": 100}, "patients of lgg"),
        ({"cache": "/dev/null/cache"}, "cache folder"),
        ({"device": "cuda:99"}, "device"),
        ({"device": "tpu"}, "device"),
        ({"threads": "two"}, "fedward.yml"),
        ({"surprise": 1}, "fedward.yml"),
        ({"studies": ["brain-tumor"]}, "studies"),
        ({"studies": ["brain-tumour", "Default"]}, "studies"),
    ],
)
def test_faults_of_fedward_yml(hospital, capsys, values, name):
    configure(hospital, **values)
    code, _, found = check(capsys, hospital, "--offline")
    assert (code, problems(found)) == (1, [name])


def test_a_kit_without_fedward_yml_is_no_simulation(hospital, capsys):
    (hospital / "local/fedward.yml").unlink()
    found = check(capsys, hospital, "--offline")[2]["fedward.yml"]
    assert "take it from the kit again" in found["text"]
    assert "simulator" not in found["text"] + found["fix"]
    assert "put back" in found["fix"]


def test_a_study_that_can_never_come_is_told_with_those_that_can(hospital, capsys):
    configure(hospital, studies=["brain-tumor"])
    found = check(capsys, hospital, "--offline")[2]["studies"]
    assert "has no study 'brain-tumor'" in found["text"]
    assert "studies of hospital-01 are: brain-tumour" in found["fix"]
    network = hospital / "local/network.json"
    values = json.loads(network.read_text())
    values["studies"]["chest-x-ray"] = {"sites": ["hospital-02"], "admins": []}
    network.write_text(json.dumps(values))
    configure(hospital, studies=["brain-tumour", "chest-x-ray", "default"])
    found = check(capsys, hospital, "--offline")[2]["studies"]
    assert (found["level"], "is not part of study 'chest-x-ray'" in found["text"]) == ("problem", True)
    configure(hospital, studies=[])
    code, _, found = check(capsys, hospital, "--offline")
    assert (code, found["studies"]["level"]) == (0, "warning")
    assert "takes no job" in found["studies"]["text"]


def test_a_site_without_data_sets_is_told(hospital, capsys):
    configure(hospital, data_sets={})
    _, _, found = check(capsys, hospital, "--offline")
    assert found["data sets"]["level"] == "warning"


def test_unchanged_data_are_not_read_again_at_the_start(hospital, tmp_path, capsys, monkeypatch):
    calls = []
    data_set = data_checks.get_data_set("lgg")
    counted = replace(data_set, check=lambda *values: calls.append(1) or data_set.check(*values))
    monkeypatch.setattr(data_checks, "get_data_set", lambda name: counted)

    def full_checks(*options):
        calls.clear()
        assert check(capsys, hospital, "--offline", *options)[0] == 0
        return len(calls)

    assert full_checks("--starting") == 1
    assert full_checks("--starting") == 0
    assert full_checks() == 1  # by hand everything is read
    next((tmp_path / "lgg").glob("*/*_1.tif")).touch()
    assert full_checks("--starting") == 1


def test_starting_weights_must_have_their_checksum(kits, tmp_path, capsys):
    weights = tmp_path / "brain.safetensors"
    weights.write_bytes(b"weights")
    entry = {"file": str(weights), "sha256": hashlib.sha256(b"weights").hexdigest()}
    configure(kits / "localhost", weights={"brain-v1": entry})
    assert check(capsys, kits / "localhost", "--offline")[0] == 0
    weights.write_bytes(b"others")
    assert problems(check(capsys, kits / "localhost", "--offline")[2]) == ["weights brain-v1"]
    weights.unlink()
    assert problems(check(capsys, kits / "localhost", "--offline")[2]) == ["weights brain-v1"]


def test_a_port_that_another_program_holds(kits, capsys):
    port = open_kit(kits / "localhost").port
    with socket.create_server(("127.0.0.1", port), reuse_port=True):  # as FLARE's own server opens it
        _, verdict, found = check(capsys, kits / "localhost")
    assert problems(found) == [f"port {port}"]
    assert "another server runs here" in found[f"port {port}"]["text"]
    assert "not ready" in verdict


def test_stores_that_cannot_be_made(kits, capsys):
    (kits / "localhost/store").write_text("a file")
    assert problems(check(capsys, kits / "localhost", "--offline")[2]) == ["job store", "snapshot store"]


def test_stores_under_tmp_are_refused_where_the_kit_is_not(kits):
    kit = replace(open_kit(kits / "localhost"), root=Path("/srv/kit"))
    flare = {"components": [{"id": "job_manager", "args": {"uri_root": "/tmp/nvflare/jobs-storage"}}]}
    flare["snapshot_persistor"] = {"args": {"storage": {"args": {"root_dir": "/tmp/nvflare/snapshot-storage"}}}}
    assert [(one.level, one.name) for one in check_stores(kit, flare)] == [
        ("problem", "job store"),
        ("problem", "snapshot store"),
    ]


def test_a_kit_that_runs_already_is_not_started_again(hospital, capsys, sleeping_start_script):
    pid = sleeping_start_script(hospital)
    code, verdict, found = check(capsys, hospital, "--offline")
    assert (code, "in order, and running" in verdict) == (0, True)
    code, _, found = check(capsys, hospital, "--offline", "--starting")
    assert problems(found) == ["running"]
    assert str(pid) in found["running"]["text"]
    assert why_not_passed(hospital) == ""


def test_a_copy_of_a_kit_that_runs_does_not_run(hospital, capsys, sleeping_start_script):
    sleeping_start_script(hospital)
    copy = shutil.copytree(hospital, hospital.parent / "copy")
    assert "running" not in problems(check(capsys, copy, "--offline", "--starting")[2])
    linked = hospital.parent / "linked"
    linked.symlink_to(hospital)
    assert problems(check(capsys, linked, "--offline", "--starting")[2]) == ["running"]


@pytest.fixture
def sleeping_start_script():
    """Something that looks like FLARE's start script, as far as this machine can tell."""
    started = []

    def start(kit):
        script = kit / "startup" / "sub_start.sh"
        process = subprocess.Popen(["bash", "-c", "read line", str(script)], stdin=subprocess.PIPE)
        started.append(process)
        (kit / "daemon_pid.fl").write_text(f"{process.pid}\n")
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def test_the_clock_is_compared_with_the_kits_files(hospital):
    kit = open_kit(hospital)
    assert check_clock(kit).level in ("ok", "warning")
    finding = check_clock(kit, datetime.now(UTC) - timedelta(days=2))
    assert finding.level == "problem"
    assert "timedatectl" in finding.fix


@pytest.mark.parametrize(
    ("device", "gpus", "build", "level", "text"),
    [
        ("auto", [], "2.9+cpu", "ok", "CPU (auto)"),
        ("cpu", ["H200"], "2.9", "ok", "CPU (cpu)"),
        ("auto", ["H200"], "2.9", "ok", "H200"),
        ("auto", ["H200"], "2.9+cpu", "warning", "made for CPUs only"),
        ("cuda", ["H200"], "2.9+cpu", "problem", "made for CPUs only"),
        ("cuda", [], "2.9", "problem", "no GPU"),
        ("cuda:1", ["H200"], "2.9", "problem", "visible: H200"),
        ("cuda:1", ["A", "B"], "2.9", "ok", "A, B"),
    ],
)
def test_the_device(monkeypatch, device, gpus, build, level, text):
    monkeypatch.setattr(site_checks, "visible_gpus", lambda: gpus)
    monkeypatch.setattr(site_checks, "_torch_build", lambda: build)
    finding = check_device(SiteConfig("fedward.yml", device=device))
    assert finding.level == level
    assert text in finding.text


def test_a_full_disk(hospital, capsys, monkeypatch):
    usage = shutil.disk_usage(hospital)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**29))
    assert problems(check(capsys, hospital, "--offline")[2]) == ["disk space"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * 2**30))
    assert check(capsys, hospital, "--offline")[2]["disk space"]["level"] == "warning"
