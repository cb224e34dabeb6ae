"""A network on one machine: what is started is known by pid and birth, and nothing else is ever ended."""

import json
import random
import socket
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from click.testing import CliRunner

from fedward.cli import cli
from fedward.errors import FedwardError, UsageError
from fedward.kits.one_machine import PROJECT, check_place, check_port_free, fill_in, free_port, kits_folder, provision
from fedward.kits.processes import Processes
from fedward.rounds.run_folder import read_json, write_json
from fedward.site_config import read_site_config

SLEEPER = "#!/bin/sh\nexec sleep 60\n"


@pytest.fixture
def sleeping_kit(tmp_path):
    script = tmp_path / "kit" / "startup" / "start.sh"
    script.parent.mkdir(parents=True)
    script.write_text(SLEEPER)
    script.chmod(0o755)
    return tmp_path / "kit"


def test_stop_ends_what_was_started(sleeping_kit, tmp_path):
    processes = Processes(tmp_path)
    processes.start(sleeping_kit)
    again = Processes(tmp_path)  # another command
    (process,) = again.alive().values()
    assert again.stop() == ["kit"]
    assert not process.is_running()
    assert Processes(tmp_path).entries == []
    assert Processes(tmp_path).stop() == []


def test_a_clock_that_was_set_hides_no_process(sleeping_kit, tmp_path, monkeypatch):
    """Linux counts a process's begin from its own, whose time moves with the clock."""
    Processes(tmp_path).start(sleeping_kit)
    created, booted = psutil.Process.create_time, psutil.boot_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: booted() + 3600)
    assert Processes(tmp_path).stop() == (["kit"] if psutil.LINUX else [])


def test_stop_needs_no_kits(sleeping_kit, tmp_path):
    """They may be gone: what runs must be ended all the same."""
    network = tmp_path / "network"
    network.mkdir()
    Processes(network).start(sleeping_kit)
    (process,) = Processes(network).alive().values()
    done = CliRunner().invoke(cli, ["network", "stop", "--network", str(network)])
    assert (done.exit_code, done.output) == (0, "Stopped 1 processes: kit\n")
    assert not process.is_running()


def test_a_number_that_is_another_process_by_now_is_left_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        entry = {"name": "kit", "kit": str(tmp_path), "pid": stranger.pid, "created": "1.0 s after the start"}
        write_json(tmp_path / "processes.json", [entry])
        assert Processes(tmp_path).alive() == {}
        assert Processes(tmp_path).stop() == []
        assert stranger.poll() is None
        stranger.kill()


def test_a_kit_that_ended_by_itself_says_what_it_printed(sleeping_kit, tmp_path):
    (sleeping_kit / "startup" / "start.sh").write_text("#!/bin/sh\necho 1 problem: not ready\nexit 1\n")
    processes = Processes(tmp_path)
    processes.start(sleeping_kit)
    end = time.monotonic() + 10
    while not processes.dead() and time.monotonic() < end:
        time.sleep(0.05)
    assert processes.dead() == [f"kit ended, see {sleeping_kit / 'console.txt'}: 1 problem: not ready"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing: give a project file"),
        ("participants: [", "is no project file"),
        ("name: a", "is no project file"),
        ("participants: [{name: a, type: client}]", "names no server"),
    ],
)
def test_project_files_that_cannot_be_used(tmp_path, text, message):
    project = tmp_path / "project.yml"
    if text is not None:
        project.write_text(text)
    with pytest.raises(UsageError, match=message):
        provision(tmp_path / "network", project, None)


def test_a_provisioning_that_takes_too_long_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("fedward.kits.one_machine.PROVISION_SECONDS", 0.01)
    with pytest.raises(FedwardError, match=r"not done after 0\.01 s: give the same command again"):
        provision(tmp_path / "network", PROJECT, None)


def test_what_flare_says_of_a_project_file_reaches_the_user(tmp_path):
    project = tmp_path / "project.yml"
    project.write_text("api_version: 3\nname: n\nparticipants: [{name: 's s', type: server, org: o}]\nbuilders: []\n")
    with pytest.raises(FedwardError, match=r"provisioning failed: .*s s"):
        provision(tmp_path / "network", project, None)
    with pytest.raises(FedwardError, match="holds no network"):
        kits_folder(tmp_path / "network")


def partition(folder, data_set):
    """A folder of sites, as far as filling in reads it."""
    (folder / "hospital-01").mkdir(parents=True)
    write_json(folder / "partition.json", {"data_set": data_set, "sites": {"hospital-01": {}}})
    return folder


def test_sites_are_filled_in_once_and_keep_later_edits(kits, tmp_path):
    sites = partition(tmp_path / "sites", "lgg")
    fill_in(kits, sites, ["hospital-01"], tmp_path, 1)
    path = kits / "hospital-01" / "local" / "fedward.yml"
    config = read_site_config(path, "hospital-01")
    assert (config.data_sets, config.studies) == ({"lgg": sites / "hospital-01"}, ("brain-tumour",))
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**values, "min_patients": 7}))
    fill_in(kits, sites, ["hospital-01"], tmp_path, 1)
    assert read_site_config(path, "hospital-01").min_patients == 7
    with pytest.raises(UsageError, match="give the same --sites, or make another network"):
        fill_in(kits, partition(tmp_path / "others", "lgg"), ["hospital-01"], tmp_path, 1)
    with pytest.raises(FedwardError, match=r"it has no partition\.json"):
        fill_in(kits, tmp_path / "nothing", ["hospital-01"], tmp_path, 1)


def test_kits_are_filled_in_with_what_the_partition_holds(kits, tmp_path):
    sites = partition(tmp_path / "sites", "chestxray14")
    (sites / "server").mkdir()
    (sites / "probe").mkdir()
    (sites / "probe" / "chexpert").symlink_to(tmp_path)
    digest = "0f" * 32
    write_json(sites / "weights.json", {"encoder": {"file": "weights/encoder.safetensors", "sha256": digest}})
    for _ in range(2):
        fill_in(kits, sites, ["hospital-01"], tmp_path, 1)
    hospital = read_site_config(kits / "hospital-01" / "local" / "fedward.yml", "hospital-01")
    assert hospital.data_sets == {"chestxray14": sites / "hospital-01", "chexpert": tmp_path}
    server = read_site_config(kits / "localhost" / "local" / "fedward.yml", "server")
    assert server.validation == {"chestxray14": sites / "server"}
    weights = server.registered_weights("encoder")
    assert (weights.file, weights.sha256) == (sites / "weights" / "encoder.safetensors", digest)


def test_a_taken_port_is_named(kits):
    port = free_port()
    path = kits / "localhost" / "startup" / "fed_server.json"
    values = read_json(path)
    values["servers"][0]["service"]["target"] = f"localhost:{port}"
    path.write_text(json.dumps(values))
    check_port_free(kits)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(FedwardError, match=f"port {port} is in use"):
        check_port_free(kits)


def test_a_free_port_is_none_that_outgoing_connections_are_given_and_both_can_be_bound():
    found = {free_port() for _ in range(50)}
    assert len(found) > 40
    assert all(20000 <= port < 32000 for port in found)
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
        pass


@pytest.mark.parametrize("taken", [0, 1])
def test_a_port_that_a_connection_uses_is_not_free(monkeypatch, taken):
    """Nothing listens there, and yet no server can: it is the near end of a connection."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as there, socket.socket() as here:
        here.bind(("127.0.0.1", port + taken))
        here.connect(there.getsockname())
        draws = iter([port, 21000, 21002, 21004, 21006])
        monkeypatch.setattr(random.SystemRandom, "randrange", lambda *_: next(draws))
        assert free_port() != port


def test_a_folder_of_somebody_else_is_not_written_into(tmp_path):
    project = PROJECT
    check_place(tmp_path / "new", project, free_port())
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(UsageError, match=r"holds thesis\.doc, which is not of a network"):
        check_place(tmp_path, project, free_port())


def test_what_an_interrupted_provisioning_left_is_made_anew(tmp_path):
    (tmp_path / "workspace" / "fedward" / "state").mkdir(parents=True)
    assert provision(tmp_path, PROJECT, free_port()).name == "prod_00"
