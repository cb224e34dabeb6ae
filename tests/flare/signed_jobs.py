"""Certificates of a small network, and real exported jobs, signed and zipped by FLARE's own code."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from fake_network import tiny_settings
from nvflare.fuel.utils.zip_utils import zip_directory_to_bytes
from nvflare.lighter.utils import Identity, generate_cert, generate_keys, serialize_cert, sign_folders

from fedward.flare.recipe import export_job
from fedward.kits.templates import template

PEOPLE = {"lead@c.org": ("c", "lead"), "member@c.org": ("c", "member"), "hospital-01": ("one", None)}
SITES = ["hospital-01", "hospital-02"]
NETWORK = {
    "name": "net",
    "server": {"name": "s", "host": "s", "port": 8002, "admin_port": 8003, "org": "c"},
    "hospitals": SITES,
    "coordinator": None,
    "orgs": {},
    "studies": {"brain": {"sites": SITES, "admins": ["lead@c.org"]}},
    "users": {name: {"role": role, "org": org} for name, (org, role) in PEOPLE.items() if role},
    "fedward": "0.1.0",
    "nvflare": "2.9.0",
    "ca_sha256": "ab",
}


class Consortium:
    """A certificate authority with the keys of some people and a hospital, and a kit of the server and hospital-01."""

    def __init__(self, root: Path):
        self.root = root
        root_key, root_public = generate_keys()
        issuer = Identity("net", "c")
        certificates = {"rootCA": generate_cert(issuer, issuer, root_key, root_public, ca=True)}
        self.keys: dict[str, Any] = {}
        for name, (org, role) in PEOPLE.items():
            self.keys[name], public = generate_keys()
            certificates[name] = generate_cert(Identity(name, org, role), issuer, root_key, public)
        for name, certificate in certificates.items():
            (root / f"{name}.crt").write_bytes(serialize_cert(certificate))
        self.server = self._kit("server", {"runs": str(root / "runs")})
        (root / "lgg").mkdir()
        self.hospital = self._kit("hospital-01", {"data_sets": {"lgg": str(root / "lgg")}, "studies": ["brain"]})

    def _kit(self, name: str, values: dict[str, Any]) -> Path:
        kit = self.root / "kits" / name
        (kit / "startup").mkdir(parents=True)
        (kit / "local").mkdir()
        shutil.copy(self.root / "rootCA.crt", kit / "startup" / "rootCA.pem")
        (kit / "local" / "network.json").write_text(json.dumps(NETWORK))
        (kit / "local" / "fedward.yml").write_text(yaml.safe_dump(values))
        shutil.copy(template("hospital", "privacy.json"), kit / "local")
        return kit

    def export(self, folder: Path, **changes: Any) -> Path:
        """A job folder as the recipe writes it, unsigned."""
        settings = tiny_settings(**{"sites": tuple(SITES), "study": "brain", **changes})
        return export_job(settings, folder)

    def sign(self, job: Path, user: str = "lead@c.org") -> Path:
        sign_folders(str(job), self.keys[user], str(self.root / f"{user}.crt"))
        return job


def zipped(job: Path) -> bytes:
    """What the console uploads."""
    return zip_directory_to_bytes(str(job.parent), job.name)


def edit(path: Path, change: Any) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
