"""What `nvflare provision -p provisioning/project.yml` alone makes: complete kits for everybody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fedward
from fedward.flare.components import class_allow_list
from fedward.kits.kit import open_kit
from fedward.site_config import read_site_config

ROOT = Path(__file__).resolve().parents[2]
PROVISIONING = ROOT / "provisioning"
SERVER = "fedward.consortium.example"
SITES = [*(f"hospital-{number:02d}" for number in range(1, 11)), "coordinator"]


def provision(project: Path, workspace: Path) -> Path:
    command = [sys.executable, "-m", "nvflare.cli", "provision", "-p", str(project), "-w", str(workspace)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace / "fedward" / "prod_00"


@pytest.fixture(scope="module")
def kits(tmp_path_factory) -> Path:
    return provision(PROVISIONING / "project.yml", tmp_path_factory.mktemp("kits"))


def resources(kit: Path) -> dict:
    return json.loads((kit / "local" / "resources.json").read_text())


def components(kit: Path) -> dict[str, str]:
    return {component["id"]: component["path"] for component in resources(kit)["components"]}


def test_the_variant_for_one_machine_differs_in_host_name_and_ports_alone():
    network, one = (yaml.safe_load((PROVISIONING / name).read_text()) for name in ("project.yml", "one_machine.yml"))
    server = next(p for p in network["participants"] if p["type"] == "server")
    assert server["name"] == SERVER
    server.update(name="localhost", fed_learn_port=18002, admin_port=18003)
    assert network == one


def test_everybody_has_a_kit(kits):
    names = {path.name for path in kits.iterdir()}
    assert names >= {SERVER, *SITES, "lead@consortium.example", "it@hospital-07.example"}
    for name in names:
        kit = open_kit(kits / name)
        assert (kit.name, kit.network.fedward) == (name, fedward.__version__)
        assert kit.host == SERVER
        assert kit.network.hospitals == tuple(SITES[:10])
        assert kit.network.coordinator == "coordinator"


@pytest.mark.parametrize("name", [SERVER, *SITES])
def test_a_kit_is_complete_and_leaves_no_defaults_beside(kits, name):
    local = kits / name / "local"
    wanted = {"resources.json", "authorization.json", "log_config.json", "network.json", "fedward.yml"}
    wanted |= {"environment.sh", "fedward.service", "compose.yaml"} | ({"privacy.json"} if name != SERVER else set())
    names = {path.name for path in local.iterdir()}
    assert names - {"study_registry.json"} == wanted
    assert os.access(kits / name / "startup" / "start.sh", os.X_OK)
    assert "check-kit --starting" in (kits / name / "startup" / "start.sh").read_text()
    for path in local.iterdir():
        assert "$" + "{" not in path.read_text() or path.suffix in (".sh", ".yaml"), f"{path} has an unfilled place"
    config = read_site_config(local / "fedward.yml", name)
    usual = {"coordinator": {"image_folder": Path("/data/images")}, SERVER: {}}.get(name, {"lgg": Path("/data/lgg")})
    assert config.data_sets == usual


@pytest.mark.parametrize("name", [SERVER, *SITES])
def test_the_class_list_is_exactly_that_of_our_components(kits, name):
    values = resources(kits / name)
    assert values["class_allow_list"] == class_allow_list()
    assert values["class_list_enforcement_mode"] == "enforce"


def test_flares_own_defaults_are_kept_where_ours_say_nothing(kits):
    assert resources(kits / "hospital-01")["client"]["retry_timeout"] == 30
    assert resources(kits / SERVER)["servers"][0]["max_num_clients"] == 100
    assert components(kits / SERVER)["process_launcher"].endswith("ServerProcessJobLauncher")


def test_no_store_and_no_log_lies_outside_the_kit(kits):
    for name in (SERVER, "hospital-01"):
        for path in (kits / name / "local").glob("*.json"):
            assert "/tmp" not in path.read_text(), path
    snapshots = resources(kits / SERVER)["snapshot_persistor"]["args"]["storage"]["args"]
    assert snapshots == {"root_dir": "store/snapshots"}


def test_logs_rotate(kits):
    handlers = json.loads((kits / "hospital-01" / "local" / "log_config.json").read_text())["handlers"]
    files = [handler for handler in handlers.values() if "filename" in handler]
    assert files
    assert all(handler["maxBytes"] > 0 and handler["backupCount"] > 0 for handler in files)


def test_no_log_leaves_a_hospital(kits):
    assert resources(kits / "hospital-01")["allow_log_streaming"] is False
    assert "site_log_streamer" not in components(kits / "hospital-01")


def test_nobody_may_bring_code_and_nobody_reads_files(kits):
    for name in (SERVER, "hospital-01"):
        roles = json.loads((kits / name / "local" / "authorization.json").read_text())["permissions"]
        for role in ("project_admin", "org_admin", "lead"):
            assert roles[role]["byoc"] == roles[role]["shell_commands"] == "none"
        assert roles["member"]["view"] == "any"
        assert {"submit_job", "byoc", "operate", "manage_job"}.isdisjoint(roles["member"])
        assert roles["org_admin"]["operate"] == "o:site"
        assert roles["lead"]["submit_job"] == "any"
        assert roles["lead"]["manage_job"] == "n:submitter"


def test_a_kit_lists_the_studies_of_its_site(kits):
    assert read_site_config(kits / "hospital-01/local/fedward.yml", "hospital-01").studies == (
        "brain-tumour",
        "cardiac",
        "chest-x-ray",
    )
    assert read_site_config(kits / "coordinator/local/fedward.yml", "coordinator").studies == ("chest-x-ray",)


def test_jobs_must_be_signed(kits):
    for name, file in ((SERVER, "fed_server.json"), ("hospital-01", "fed_client.json")):
        assert json.loads((kits / name / "startup" / file).read_text())["require_signed_jobs"] is True


def test_a_second_provisioning_keeps_the_authority_and_every_key(kits):
    workspace = kits.parents[1]
    before = {path.relative_to(kits): path.read_bytes() for path in kits.rglob("*") if path.suffix in (".pem", ".key")}
    command = ["provision", "-p", str(PROVISIONING / "project.yml"), "-w", str(workspace), "--force"]
    done = subprocess.run([sys.executable, "-m", "nvflare.cli", *command], capture_output=True, timeout=120)
    assert done.returncode == 0
    again = workspace / "fedward" / "prod_01"
    assert {path: (again / path).read_bytes() for path in before} == before
