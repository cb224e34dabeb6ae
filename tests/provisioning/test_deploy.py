"""Kits under systemd, in containers, and prepared for Docker, Kubernetes and Slurm by `nvflare deploy`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "provisioning" / "deploy"
BIN = Path(sys.executable).parent
SERVER, SITE = "fedward.consortium.example", "hospital-01"
RUNTIMES = {
    "docker": "nvflare.app_opt.job_launcher.docker_launcher.ClientDockerJobLauncher",
    "kubernetes": "nvflare.app_opt.job_launcher.k8s_launcher.ClientK8sJobLauncher",
    "slurm": "nvflare.app_opt.job_launcher.slurm.ClientSlurmJobLauncher",
}


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, **options)


def tool(name: str) -> Path | str:
    """A checking tool beside this Python or on the PATH; the test is skipped where it is in neither."""
    found = BIN / name if (BIN / name).is_file() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory) -> Path:
    workspace = tmp_path_factory.mktemp("network")
    made = run(BIN / "nvflare", "provision", "-p", ROOT / "provisioning" / "project.yml", "-w", workspace)
    assert made.returncode == 0, made.stdout + made.stderr
    return workspace / "fedward" / "prod_00"


@pytest.fixture
def kit(provisioned, tmp_path) -> Path:
    return Path(shutil.copytree(provisioned / SITE, tmp_path / SITE))


def deploy(kit: Path, runtime: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The commands of docs/scale-out.md."""
    prepared = kit.parent / f"{kit.name}-{runtime}"
    shutil.copy(kit / "local" / "resources.json", kit / "local" / "resources.json.default")
    config = DEPLOY / f"{runtime}.yaml"
    done = run(BIN / "nvflare", "deploy", "prepare", kit, "--output", prepared, "--config", config)
    if done.returncode == 0:
        shutil.copy(prepared / "local" / "resources.json.default", prepared / "local" / "resources.json")
    return prepared, done


@pytest.mark.parametrize("name", [SITE, SERVER])
@pytest.mark.parametrize("file", ["compose.yaml", "environment.sh", "fedward.service"])
def test_templates_are_filled_in(provisioned, name, file):
    text = (provisioned / name / "local" / file).read_text()
    assert not re.search(r"\$\$|\$[a-z]", text), "a placeholder that the builder does not know"
    assert (name if name == SITE else "server") in text


@pytest.mark.parametrize("name", [SITE, SERVER])
def test_container_reads_kit_and_images_and_writes_its_kit_alone(provisioned, name):
    compose = yaml.safe_load((provisioned / name / "local" / "compose.yaml").read_text())
    (service,) = compose["services"].values()
    assert service["user"] == "${FEDWARD_USER}"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert [volume["source"] for volume in service["volumes"] if not volume.get("read_only")] == [".."]
    assert {"/kit/startup", "/kit/local"} <= {v["target"] for v in service["volumes"] if v.get("read_only")}
    assert service.get("ports", []) == (["8002:8002", "8003:8003"] if name == SERVER else [])


@pytest.mark.parametrize("name", [SITE, SERVER])
def test_compose_file_fits_the_compose_specification(provisioned, name):
    checker = tool("check-jsonschema")
    file = provisioned / name / "local" / "compose.yaml"
    checked = run(checker, "--builtin-schema", "vendor.compose-spec", file)
    assert checked.returncode == 0, checked.stdout


def test_environment_file_puts_the_installation_first_and_keeps_the_path(kit):
    script = f'. "{kit}/local/environment.sh"; echo "$PATH $FEDWARD_USER"'
    shown = run("sh", "-euc", script, env={"PATH": "/usr/bin:/bin"})
    assert shown.stdout.split() == ["/opt/fedward/bin:/usr/bin:/bin", "1000:1000"]


@pytest.mark.parametrize("name", [SITE, SERVER])
def test_service_unit_is_valid_and_hardened(provisioned, tmp_path, name):
    analyze = tool("systemd-analyze")
    here = Path(shutil.copytree(provisioned / name, tmp_path / name))
    text = (here / "local" / "fedward.service").read_text()
    assert f"/srv/fedward/{name}/startup/start.sh --once" in text
    unit = tmp_path / "fedward.service"
    unit.write_text(text.replace(f"/srv/fedward/{name}", str(here)))
    verified = run(analyze, "verify", unit)
    complaints = [line for line in verified.stderr.splitlines() if "fedward" in line]
    assert not complaints, complaints
    assert verified.returncode == 0, verified.stderr
    secure = run(analyze, "security", "--offline=true", "--threshold=25", unit)  # 25 of 100: exposure 2.5 of 10
    assert secure.returncode == 0, secure.stdout[-2000:]


@pytest.mark.parametrize("script", ["startup/start.sh", "local/environment.sh"])
def test_scripts_of_a_kit_pass_shellcheck(kit, script):
    checked = run(tool("shellcheck"), "--exclude", "SC1091,SC2034", "--shell", "bash", kit / script)
    assert checked.returncode == 0, checked.stdout


def test_install_script_passes_shellcheck():
    checked = run(tool("shellcheck"), ROOT / "provisioning" / "install.sh")
    assert checked.returncode == 0, checked.stdout


def test_containerfile_passes_hadolint():
    checked = run(tool("hadolint"), ROOT / "provisioning" / "Containerfile")
    assert checked.returncode == 0, checked.stdout


def test_image_runs_as_nobody_special_and_takes_flares_commands():
    lines = (ROOT / "provisioning" / "Containerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1].split(":")[0] not in ("0", "root")
    assert not [line for line in lines if line.startswith("ENTRYPOINT")]  # FLARE's launchers give the command alone
    (image,) = [line for line in lines if line.startswith("FROM ")]
    assert "latest" not in image


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_prepared_kit_keeps_our_policy_and_gets_flares_launcher(kit, runtime):
    before = json.loads((kit / "local" / "resources.json").read_text())
    prepared, done = deploy(kit, runtime)
    assert done.returncode == 0, done.stdout + done.stderr
    after = json.loads((prepared / "local" / "resources.json").read_text())
    for key in ("class_allow_list", "class_list_enforcement_mode", "app_validator", "allow_log_streaming"):
        assert after[key] == before[key]
    components = {component["id"]: component["path"] for component in after["components"]}
    assert components["kit_guard"] == "fedward.flare.kit_guard.KitGuard"
    assert RUNTIMES[runtime] in components.values()
    assert "process_launcher" not in components  # so a killed job process is the engine's to start again, not ours
    assert components["resource_manager"].endswith(".PassthroughResourceManager")
    for file in ("authorization.json", "privacy.json", "fedward.yml", "network.json"):
        assert (prepared / "local" / file).read_bytes() == (kit / "local" / file).read_bytes()
    for file in ("client.crt", "client.key", "rootCA.pem", "fed_client.json"):
        assert (prepared / "startup" / file).read_bytes() == (kit / "startup" / file).read_bytes()


@pytest.mark.parametrize("runtime", ["docker", "slurm"])
def test_flare_accepts_the_launcher_that_it_wrote(kit, runtime):
    from importlib import import_module

    prepared, _ = deploy(kit, runtime)
    components = json.loads((prepared / "local" / "resources.json").read_text())["components"]
    (launcher,) = [component for component in components if component["path"] == RUNTIMES[runtime]]
    module, _, name = launcher["path"].rpartition(".")
    assert getattr(import_module(module), name)(**launcher["args"])


def test_a_kit_whose_resources_are_not_offered_to_nvflare_deploy_is_refused_and_not_prepared_without_our_policy(kit):
    assert not (kit / "local" / "resources.json.default").exists()
    config, prepared = DEPLOY / "docker.yaml", kit.parent / "prepared"
    done = run(BIN / "nvflare", "deploy", "prepare", kit, "--output", prepared, "--config", config)
    assert done.returncode == 4
    assert "resources.json.default" in done.stdout + done.stderr
    assert not prepared.exists()


def test_prepared_scripts_pass_shellcheck(kit, tmp_path):
    checker = tool("shellcheck")
    for runtime, script in (("docker", "start_docker.sh"), ("slurm", "start_slurm.sh")):
        prepared, _ = deploy(Path(shutil.copytree(kit, tmp_path / runtime / SITE)), runtime)
        checked = run(checker, "--severity", "warning", prepared / "startup" / script)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("file", "mode"), [("docker", "docker"), ("kubernetes", "k8s")])
def test_study_files_are_what_flares_launchers_read(file, mode):
    from nvflare.app_opt.job_launcher.study_runtime import load_study_runtime_file

    (study,) = load_study_runtime_file(str(DEPLOY / f"study_runtime.{file}.yaml"), mode).values()
    mounts = {mount.mount_path: mount.read_only for mount in study.datasets}
    assert mounts == {"/data/brain-tumour/lgg": True, "/data/brain-tumour/cache": False}
    assert study.container_image.endswith("fedward:0.1.0")


def test_kubernetes_check_pod_is_valid_and_mounts_what_the_jobs_see():
    pod = yaml.safe_load((DEPLOY / "kubernetes-check.yaml").read_text())
    paths = {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert paths == {"/var/tmp/nvflare/workspace", "/data/brain-tumour/lgg", "/data/brain-tumour/cache"}
    checked = run(tool("kubernetes-validate"), "--strict", DEPLOY / "kubernetes-check.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_helm_chart_renders_to_valid_objects(kit):
    helm, validate = tool("helm"), tool("kubernetes-validate")
    prepared, _ = deploy(kit, "kubernetes")
    rendered = run(helm, "template", SITE, prepared / "helm_chart", "--namespace", "fedward")
    assert rendered.returncode == 0, rendered.stderr
    objects = kit.parent / "objects.yaml"
    objects.write_text(rendered.stdout)
    checked = run(validate, "--strict", objects)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_helm_values_name_our_image_volume_and_user(kit):
    prepared, _ = deploy(kit, "kubernetes")
    values = yaml.safe_load((prepared / "helm_chart" / "values.yaml").read_text())
    assert values["image"]["repository"] == "registry.hospital.example/fedward"
    assert values["persistence"]["workspace"]["claimName"] == "fedward-kit"
    assert values["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_check_kit_accepts_flares_launcher_in_the_place_of_ours(kit, runtime):
    prepared, _ = deploy(kit, runtime)
    report = run(BIN / "fedward", "check-kit", "--offline", "--json", prepared)
    problems = [one["name"] for one in json.loads(report.stdout)["findings"] if one["level"] == "problem"]
    assert problems == ["data set lgg"]  # there is no such folder here
