"""The offline installation: made by our script from a small project and a package index on disk, installed by sh."""

import datetime
import hashlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7

PROVISIONING = Path(__file__).resolve().parents[1] / "provisioning"
DEAD_INDEX = "http://127.0.0.1:9/simple"
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "fedward"
version = "0.1.0"
license = "Apache-2.0"
dependencies = ["leaf"]
optional-dependencies = {n3 = ["twig"], dev = ["nobody-has-this"]}
scripts = {fedward = "fedward:main"}
[tool.setuptools]
packages = ["fedward"]
"""
PROGRAM = 'import leaf\ndef main():\n    print("fedward, version 0.1.0")\n'


def make_wheel(folder: Path, name: str, version: str, licence: str) -> Path:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{licence}\n"
    wheel = folder / name / f"{name}-{version}-py3-none-any.whl"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in sorted(wheel.parent.glob("*.whl")))
    (wheel.parent / "index.html").write_text(f"<html><body>{links}</body></html>")
    return wheel


class Project:
    """A small project with the wheelhouse script, and its package index."""

    def __init__(self, folder: Path):
        self.root, self.index = folder / "project", folder / "index"
        self.wheelhouse = self.root / "dist" / "wheelhouse"
        (self.root / "fedward").mkdir(parents=True)
        shutil.copytree(PROVISIONING, self.root / "provisioning")
        (self.root / "fedward" / "__init__.py").write_text(PROGRAM)
        (self.root / "pyproject.toml").write_text(PROJECT)
        (self.root / "requirements.lock").write_text("leaf==1.0\ntwig==2.0\n")
        make_wheel(self.index, "leaf", "1.0", "License-Expression: MIT")
        make_wheel(self.index, "leaf", "1.1", "License-Expression: MIT")
        make_wheel(self.index, "twig", "2.0", "Classifier: License :: OSI Approved :: BSD License")

    def make(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, self.root / "provisioning" / "wheelhouse.py", *arguments]
        return run(*command, PIP_INDEX_URL=self.index.as_uri() if self.index.exists() else DEAD_INDEX)


class Authority:
    """A certificate authority like FLARE's, which writes a person's role into the certificate."""

    def __init__(self, folder: Path, name: str = "brain"):
        self.folder = folder
        self.key = rsa.generate_private_key(65537, 2048)
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._sign(self.name, self.key, ca=True)
        folder.mkdir()
        self.root = folder / "rootCA.pem"
        self.root.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject: x509.Name, key: rsa.RSAPrivateKey, ca: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=9))
        return builder.add_extension(x509.BasicConstraints(ca, None), critical=ca).sign(self.key, hashes.SHA256())

    def kit(self, name: str, role: str | None) -> Path:
        attributes = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]
        if role:
            attributes.append(x509.NameAttribute(x509.NameOID.UNSTRUCTURED_NAME, role))
        key = rsa.generate_private_key(65537, 2048)
        startup = self.folder / name / "startup"
        startup.mkdir(parents=True)
        certificate = self._sign(x509.Name(attributes), key, ca=False)
        (startup / "client.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
        (startup / "client.key").write_bytes(key.private_bytes(*form, serialization.NoEncryption()))
        return startup.parent


def run(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "PIP_INDEX_URL": DEAD_INDEX, **variables}
    return subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True, timeout=120)


def install(wheelhouse: Path, environment: Path, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    for tool in ("openssl", "sha256sum"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    return run("sh", wheelhouse / "install.sh", environment, root, PYTHON=sys.executable, **variables)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "brain")


@pytest.fixture(scope="module")
def signed(tmp_path_factory, authority) -> Path:
    project = Project(tmp_path_factory.mktemp("signed"))
    made = project.make(authority.kit("admin@lead.example", "project_admin"))
    assert made.returncode == 0, made.stderr
    assert "signed by" in made.stdout
    return project.wheelhouse


@pytest.fixture
def copy(signed, tmp_path) -> Path:
    return Path(shutil.copytree(signed, tmp_path / "wheelhouse"))


def test_installs_without_any_index_and_says_who_signed(copy, authority, tmp_path):
    done = install(copy, tmp_path / "environment", authority.root)
    assert done.returncode == 0, done.stderr
    assert "signed by admin@lead.example" in done.stdout
    assert done.stdout.splitlines()[-1] == "fedward, version 0.1.0"
    again = install(copy, tmp_path / "environment", authority.root)
    assert again.returncode == 0, again.stderr


def test_holds_the_locked_versions_with_every_extra_but_the_developers(signed):
    names = sorted(path.name for path in (signed / "wheels").iterdir())
    assert names == ["fedward-0.1.0-py3-none-any.whl", "leaf-1.0-py3-none-any.whl", "twig-2.0-py3-none-any.whl"]
    lines = (signed / "requirements.txt").read_text().splitlines()
    assert lines[1].startswith("fedward[n3]==0.1.0 --hash=sha256:")
    digest = hashlib.sha256((signed / "wheels" / "leaf-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    assert lines[2] == f"leaf==1.0 --hash=sha256:{digest}"


def test_components_name_version_licence_and_hash(signed):
    document = json.loads((signed / "components.json").read_text())
    found = {c["name"]: (c["version"], c["licenses"]) for c in document["components"]}
    assert found["leaf"] == ("1.0", [{"expression": "MIT"}])
    assert found["twig"] == ("2.0", [{"license": {"name": "BSD License"}}])
    assert "| leaf | 1.0 | MIT |" in (signed / "components.md").read_text()


def test_components_fit_the_cyclonedx_schema(signed):
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    problem = validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str((signed / "components.json").read_text())
    assert problem is None


def test_an_unsigned_wheelhouse_says_so_and_is_refused(tmp_path, authority):
    project = Project(tmp_path)
    made = project.make()
    assert made.returncode == 0, made.stderr
    assert "NOT SIGNED" in made.stdout
    refused = install(project.wheelhouse, tmp_path / "environment", authority.root)
    assert refused.returncode == 1
    assert "not signed" in refused.stderr


def test_a_second_run_downloads_nothing_and_gives_the_same_bytes(tmp_path):
    project = Project(tmp_path)
    first = project.make()
    assert "[1/2] leaf-1.0" in first.stdout, first.stderr
    sums = (project.wheelhouse / "SHA256SUMS").read_bytes()
    shutil.rmtree(project.index)
    second = project.make()
    assert second.returncode == 0, second.stderr
    assert "[1/2]" not in second.stdout
    assert (project.wheelhouse / "SHA256SUMS").read_bytes() == sums


def test_goes_on_after_an_interruption_and_drops_what_is_no_longer_wanted(tmp_path):
    project = Project(tmp_path)
    wheels = project.wheelhouse / "wheels"
    wheels.mkdir(parents=True)
    shutil.copy(project.index / "leaf" / "leaf-1.0-py3-none-any.whl", wheels)
    shutil.copy(project.index / "leaf" / "leaf-1.1-py3-none-any.whl", wheels)
    (project.wheelhouse / "partial").mkdir()
    (project.wheelhouse / "partial" / "twig-2.0-py3-none-any.whl").write_bytes(b"half of it")
    made = project.make()
    assert made.returncode == 0, made.stderr
    assert "leaf-1.0-py3-none-any.whl" not in made.stdout
    assert "twig-2.0-py3-none-any.whl" in made.stdout
    assert "removed leaf-1.1-py3-none-any.whl" in made.stdout
    assert "partial" not in (project.wheelhouse / "SHA256SUMS").read_text()


def test_a_version_that_the_index_lacks_is_named(tmp_path):
    project = Project(tmp_path)
    (project.root / "requirements.lock").write_text("leaf==3.0\ntwig==2.0\n")
    made = project.make()
    assert made.returncode == 1
    assert "The user requested (constraint) leaf==3.0" in made.stderr
    assert "Traceback" not in made.stderr
    assert not (project.wheelhouse / "SHA256SUMS").exists()


def test_too_little_space_is_told_before_anything_is_fetched(tmp_path, monkeypatch, capsys):
    project = Project(tmp_path)
    monkeypatch.syspath_prepend(project.root / "provisioning")
    specification = importlib.util.spec_from_file_location(
        "made_wheelhouse", project.root / "provisioning/wheelhouse.py"
    )
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SystemExit) as stopped:
        script.main([])
    assert stopped.value.code == 1
    assert "1.0 GiB free, 6.0 GiB are needed" in capsys.readouterr().err
    assert not list((project.wheelhouse / "wheels").iterdir())


@pytest.mark.parametrize("role", ["lead", None])
def test_only_a_project_admin_signs(tmp_path, role):
    kit = Authority(tmp_path / "authority").kit("somebody", role)
    made = Project(tmp_path).make(kit)
    assert made.returncode == 2
    assert "only a project_admin signs" in made.stderr


def test_what_is_no_kit_cannot_sign(tmp_path):
    made = Project(tmp_path).make(tmp_path)
    assert made.returncode == 2
    assert "is no kit that can sign" in made.stderr


def change_a_wheel(wheelhouse: Path) -> None:
    with (wheelhouse / "wheels" / "leaf-1.0-py3-none-any.whl").open("ab") as wheel:
        wheel.write(b"x")


def lose_a_wheel(wheelhouse: Path) -> None:
    (wheelhouse / "wheels" / "twig-2.0-py3-none-any.whl").unlink()


def change_wheel_and_sums(wheelhouse: Path) -> None:
    old = (wheelhouse / "wheels" / "leaf-1.0-py3-none-any.whl").read_bytes()
    change_a_wheel(wheelhouse)
    new = (wheelhouse / "wheels" / "leaf-1.0-py3-none-any.whl").read_bytes()
    sums = wheelhouse / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest()))


def lose_the_signature(wheelhouse: Path) -> None:
    (wheelhouse / "SHA256SUMS.p7s").unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (change_a_wheel, "missing or damaged"),
        (lose_a_wheel, "missing or damaged"),
        (change_wheel_and_sums, "the signature does not fit"),
        (lose_the_signature, "not signed"),
    ],
)
def test_a_changed_wheelhouse_is_refused_before_anything_is_installed(copy, authority, tmp_path, damage, reason):
    damage(copy)
    refused = install(copy, tmp_path / "environment", authority.root)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert not list((tmp_path / "environment").iterdir())


def sign_as(wheelhouse: Path, kit: Path) -> None:
    certificate = x509.load_pem_x509_certificate((kit / "startup" / "client.crt").read_bytes())
    key = serialization.load_pem_private_key((kit / "startup" / "client.key").read_bytes(), None)
    builder = pkcs7.PKCS7SignatureBuilder().set_data((wheelhouse / "SHA256SUMS").read_bytes())
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    signature = builder.add_signer(certificate, key, hashes.SHA256()).sign(serialization.Encoding.PEM, options)
    (wheelhouse / "SHA256SUMS.p7s").write_bytes(signature)


def test_the_signature_of_another_network_is_refused(copy, authority, tmp_path):
    sign_as(copy, Authority(tmp_path / "other").kit("admin@lead.example", "project_admin"))
    refused = install(copy, tmp_path / "environment", authority.root)
    assert refused.returncode == 1
    assert "the signature does not fit" in refused.stderr


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("hospital-01", None),
        ("member@lead.example", "member"),
        ("x\n    unstructuredName=project_admin", None),
        ("x, unstructuredName=project_admin", "lead"),
        ("unstructuredName=project_admin", None),
    ],
)
def test_the_signature_of_anybody_else_in_the_network_is_refused(copy, authority, tmp_path, name, role):
    sign_as(copy, authority.kit(name, role))
    refused = install(copy, tmp_path / "environment", authority.root)
    assert refused.returncode == 1
    assert "no project_admin" in refused.stderr


def test_another_python_is_refused_with_what_is_wanted(copy, authority, tmp_path):
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\necho CPython 3.9 linux riscv64\n")
    other.chmod(other.stat().st_mode | stat.S_IXUSR)
    refused = run("sh", copy / "install.sh", tmp_path / "environment", authority.root, PYTHON=str(other))
    assert refused.returncode == 1
    assert f"CPython {sys.version_info[0]}.{sys.version_info[1]}" in refused.stderr
    assert "CPython 3.9 linux riscv64" in refused.stderr


@pytest.mark.parametrize("arguments", [[], ["one"], ["--help", "x"], ["a", "b", "c"]])
def test_wrong_usage_of_install(copy, arguments):
    refused = run("sh", copy / "install.sh", *arguments)
    assert refused.returncode == 2
    assert "usage: sh install.sh ENVIRONMENT ROOT_CA" in refused.stderr


def test_a_root_certificate_that_is_not_there_is_named(copy, tmp_path):
    refused = run("sh", copy / "install.sh", tmp_path / "environment", tmp_path / "nothing.pem")
    assert refused.returncode == 2
    assert "nothing.pem does not exist" in refused.stderr
    assert not (tmp_path / "environment").exists()
