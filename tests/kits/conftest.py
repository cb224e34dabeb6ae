"""Real kits of a small network, made by `nvflare provision` with our builder; certificates to put into them."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from fedward.kits.one_machine import free_port

PROJECT = Path(__file__).parents[2] / "provisioning" / "one_machine.yml"
KEPT = {"localhost", "hospital-01", "hospital-02", "lead@consortium.example"}


@pytest.fixture(scope="session")
def provisioned(tmp_path_factory):
    """The folder of the kits, and the certificate authority's state."""
    root = tmp_path_factory.mktemp("provisioned")
    project = yaml.safe_load(PROJECT.read_text())
    project["participants"] = [p for p in project["participants"] if p["name"] in KEPT]
    port = free_port()
    project["participants"][0] |= {"fed_learn_port": port, "admin_port": port + 1}
    organisations = {p["org"]: [p["name"]] for p in project["participants"] if p["type"] == "client"}
    project["studies"] = {"brain-tumour": {"admins": ["lead@consortium.example"], "site_orgs": organisations}}
    (root / "project.yml").write_text(yaml.safe_dump(project, sort_keys=False))
    command = [
        sys.executable,
        "-m",
        "nvflare.cli",
        "provision",
        "-p",
        str(root / "project.yml"),
        "-w",
        str(root / "ws"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    made = root / "ws" / project["name"]
    return SimpleNamespace(kits=made / "prod_00", state=made / "state" / "cert.json")


@pytest.fixture
def kits(provisioned, tmp_path):
    """Copies of the kits, for one test."""
    shutil.copytree(provisioned.kits, tmp_path / "kits")
    return tmp_path / "kits"


@pytest.fixture(scope="session")
def authority(provisioned):
    """The network's certificate authority."""
    state = json.loads(provisioned.state.read_text())
    key = serialization.load_pem_private_key(state["root_pri_key"].encode(), password=None)
    return SimpleNamespace(certificate=x509.load_pem_x509_certificate(state["root_cert"].encode()), key=key)


@pytest.fixture(scope="session")
def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def make_authority(new_key):
    """A certificate authority of that name that is not the network's."""

    def make(name):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _builder(subject, subject, new_key, -1, 100).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return SimpleNamespace(certificate=certificate.sign(new_key, SHA256()), key=new_key)

    return make


@pytest.fixture(scope="session")
def issue(new_key):
    """Put a certificate of one's own choice and its key into the startup folder of a kit."""

    def put(kit, by, name, org, role=None, hosts=(), first_day=-1, last_day=300, usage=None):
        parts = [(NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, org), (NameOID.UNSTRUCTURED_NAME, role)]
        subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])
        builder = _builder(subject, by.certificate.subject, new_key, first_day, last_day)
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts or (name,)])
        builder = builder.add_extension(names, critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        certificate = builder.sign(by.key, SHA256())
        base = "server" if (kit / "startup" / "fed_server.json").exists() else "client"
        (kit / "startup" / f"{base}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (kit / "startup" / f"{base}.key").write_bytes(pem(new_key))
        return certificate

    return put


def pem(key):
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(encoding, kind, serialization.NoEncryption())


def _builder(subject, issuer, key, first_day, last_day):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=first_day))
        .not_valid_after(now + timedelta(days=last_day))
    )
