"""A hospital that makes its own private key, and the authority's state: what docs/consortium-lead.md prints."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.errors import UsageError
from fedward.flare.signatures import signers
from fedward.kits.kit import open_kit

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NEW, OLD = "hospital-11", "hospital-03"


def run(*command: object, cwd: Path, home: Path) -> str:
    """The output of a command that must succeed; FLARE keeps its own records in the home folder."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Lead:
    """The lead's folder: project.yml, and the workspace that `nvflare provision` makes."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        shutil.copy(ROOT / "provisioning" / "project.yml", folder)
        self.provision()

    def provision(self) -> None:
        self.run(BIN / "nvflare", "provision", "-p", "project.yml", "-w", "workspace", "--force")

    def run(self, *command: object) -> str:
        return run(*command, cwd=self.folder, home=self.folder / "home")

    def authority(self, *arguments: object) -> str:
        return self.run(sys.executable, ROOT / "provisioning" / "authority.py", *arguments)

    @property
    def state(self) -> Path:
        return self.folder / "workspace" / "fedward" / "state"

    def kit(self, number: int, name: str) -> Path:
        return self.folder / "workspace" / "fedward" / f"prod_{number:02d}" / name

    def add_hospital(self, name: str) -> None:
        path = self.folder / "project.yml"
        project = yaml.safe_load(path.read_text())
        org = name.replace("-", "_")
        project["participants"].append({"name": name, "type": "client", "org": org})
        project["studies"]["brain-tumour"]["site_orgs"][org] = [name]
        path.write_text(yaml.safe_dump(project, sort_keys=False))


@pytest.fixture(scope="module")
def lead(tmp_path_factory):
    lead = Lead(tmp_path_factory.mktemp("consortium") / "lead")
    lead.add_hospital(NEW)
    lead.provision()
    return lead


@pytest.fixture(scope="module")
def hospital(lead, tmp_path_factory):
    """The hospital's folder, with the kit that it made itself in kits/fedward/prod_00."""
    folder = tmp_path_factory.mktemp("hospital")
    home = folder / "home"
    shutil.copy(ROOT / "provisioning" / "hospital.yml", folder)
    shutil.copy(lead.kit(1, "fedward.consortium.example") / "local" / "network.json", folder)
    run(BIN / "nvflare", "cert", "request", "-p", "hospital.yml", cwd=folder, home=home)
    travelled = shutil.copy(folder / NEW / f"{NEW}.request.zip", lead.folder)
    lead.authority("export", lead.state, "project.yml", "ca")
    options = ["--ca-dir", "ca", "--profile", "ca/profile.yml", "--valid-days", "360"]
    lead.run(BIN / "nvflare", "cert", "approve", travelled, *options)
    shutil.rmtree(lead.folder / "ca")
    shutil.copy(lead.folder / f"{NEW}.signed.zip", folder)
    fingerprint = json.loads((folder / "network.json").read_text())["ca_sha256"]
    words = [f"{NEW}.signed.zip", "--request-dir", NEW, "--fingerprint", fingerprint, "-w", "kits"]
    run(BIN / "nvflare", "package", *words, cwd=folder, home=home)
    return folder


@pytest.fixture
def kit(hospital, tmp_path):
    """A copy of that kit, with images."""
    kit = Path(shutil.copytree(hospital / "kits" / "fedward" / "prod_00" / NEW, tmp_path / NEW))
    images = tmp_path / "images"
    images.mkdir()
    assert run_command(cli, ["phantoms", "lgg", str(images), "--patients", "12", "--slices", "2", "--size", "16"]) == 0
    file = kit / "local" / "fedward.yml"
    file.write_text(file.read_text().replace("/data/lgg", str(images)))
    return kit


def test_the_private_key_never_leaves_the_hospital(lead, hospital):
    secret = (hospital / NEW / f"{NEW}.key").read_bytes().splitlines()[-4]  # of the primes; the modulus is public
    travelled = [lead.folder / f"{NEW}.request.zip", hospital / f"{NEW}.signed.zip"]
    for file in travelled:
        with zipfile.ZipFile(file) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
        assert b"PRIVATE KEY" not in content
        assert secret not in content
    held = [path for path in lead.folder.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert held == []
    assert (hospital / "kits" / "fedward" / "prod_00" / NEW / "startup" / "client.key").stat().st_mode & 0o077 == 0


def test_the_kit_differs_from_the_leads_in_key_and_certificate_alone(lead, hospital):
    own, leads = hospital / "kits" / "fedward" / "prod_00" / NEW, lead.kit(1, NEW)
    files = sorted(path.relative_to(own) for path in own.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(leads) for path in leads.rglob("*") if path.is_file())
    differ = [str(name) for name in files if (own / name).read_bytes() != (leads / name).read_bytes()]
    assert differ == ["startup/client.crt", "startup/client.key"]


def test_the_kit_passes_its_check(kit, capsys):
    assert run_command(cli, ["check-kit", str(kit), "--offline"]) == 0, capsys.readouterr().out
    assert f"{NEW}: ready to start" in capsys.readouterr().out


def test_a_site_that_made_its_own_key_is_no_person(hospital, tmp_path):
    """`nvflare cert approve` writes `client` where a person's certificate has the role."""
    from nvflare.lighter.utils import load_private_key_file, sign_folders

    kit = open_kit(hospital / "kits" / "fedward" / "prod_00" / NEW)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "file.json").write_text("{}")
    sign_folders(str(tmp_path), load_private_key_file(str(kit.private_key)), str(kit.certificate))
    with pytest.raises(UsageError, match="is no person's kit"):
        signers(tmp_path, kit.root_ca)


def test_an_eleventh_hospital_changes_facts_and_no_certificate(lead):
    names = [path.name for path in (lead.folder / "workspace" / "fedward" / "prod_00").iterdir()]
    changed = {
        str(path.relative_to(lead.kit(0, name)))
        for name in names
        for path in lead.kit(0, name).rglob("*")
        if path.is_file()
        and path.read_bytes() != (lead.kit(1, name) / path.relative_to(lead.kit(0, name))).read_bytes()
    }
    assert changed == {"local/network.json", "local/study_registry.json"}


def test_one_certificate_is_renewed_and_no_other(lead):
    def certificates(number: int) -> dict[str, int]:
        folder = lead.folder / "workspace" / "fedward" / f"prod_{number:02d}"
        found = [*folder.glob("*/startup/client.crt"), *folder.glob("*/startup/server.crt")]
        return {p.parents[1].name: x509.load_pem_x509_certificate(p.read_bytes()).serial_number for p in found}

    assert "the old certificate stays valid" in lead.authority("forget", lead.state, OLD)
    lead.provision()
    before, after = certificates(1), certificates(2)
    assert [name for name in before if before[name] != after[name]] == [OLD]
    pem = [(lead.kit(number, OLD) / "startup" / "rootCA.pem").read_bytes() for number in (1, 2)]
    assert pem[0] == pem[1]


def test_only_the_lead_may_read_the_state(lead):
    lead.authority("forget", lead.state, OLD)
    lead.provision()
    assert lead.state.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in lead.state.glob("*.before"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["forget", "STATE", "hospital-99"], "has no certificate of hospital-99; it has"),
        (["forget", "STATE", "root_cert"], "has no certificate of root_cert"),
        (["forget", "nowhere", "hospital-01"], "is not the state of a network"),
        (["export", "STATE", "nowhere.yml", "out"], "nowhere.yml is no project file"),
        (["export", "STATE", "project.yml", "workspace"], "workspace is there already"),
        ([], "usage: authority.py"),
    ],
)
def test_wrong_use_of_the_authority_is_told(lead, words, said):
    script = [sys.executable, str(ROOT / "provisioning" / "authority.py")]
    before = (lead.state / "cert.json").read_bytes()
    done = subprocess.run(
        [*script, *[str(lead.state) if word == "STATE" else word for word in words]],
        cwd=lead.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert (lead.state / "cert.json").read_bytes() == before
