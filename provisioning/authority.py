"""The network's certificate authority, as `nvflare provision` keeps it in WORKSPACE/PROJECT/state.

    python provisioning/authority.py forget STATE NAME          the next nvflare provision makes NAME a new certificate
    python provisioning/authority.py export STATE PROJECT OUT   OUT becomes the CA folder of nvflare cert approve

STATE is that folder, PROJECT the project file. nvflare provision reuses every certificate that it finds in STATE, so
that all other kits stay as they are. OUT holds the authority's private key: remove it when the request is approved.
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

ROOT_KEYS = ("root_cert", "root_pri_key")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["forget", state, name]:
            forget(Path(state), name)
        case ["export", state, project, out]:
            export(Path(state), Path(project), Path(out))
        case _:
            _stop("usage: authority.py forget STATE NAME, or authority.py export STATE PROJECT OUT", code=2)


def forget(state: Path, name: str) -> None:
    """Take the certificate and key of `name` out of the state; the file before lies beside it as cert.json.before."""
    values = _read(state)
    known = sorted(set(values) - set(ROOT_KEYS))
    if name not in known:
        _stop(f"{state} has no certificate of {name}; it has {', '.join(known)}", code=2)
    del values[name]
    file = state / "cert.json"
    _write(state / "cert.json.before", file.read_text(encoding="utf-8"))
    _write(state / "cert.json.new", json.dumps(values))
    (state / "cert.json.new").replace(file)
    print(f"{name}: its certificate and key are out of {file}; the old certificate stays valid until its last day")


def export(state: Path, project: Path, out: Path) -> None:
    """Write the authority and the project's profile in the form that `nvflare cert approve` reads."""
    values, profile = _read(state), _profile(project)
    root = x509.load_pem_x509_certificate(values["root_cert"].encode())
    authority = {
        "project": profile["name"],
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "provision_version": "00",
        "rootCA_fingerprint": root.fingerprint(SHA256()).hex(":").upper(),
    }
    try:
        out.mkdir(mode=0o700)
    except FileExistsError:
        _stop(f"{out} is there already: remove it, or name another folder", code=2)
    _write(out / "rootCA.key", values["root_pri_key"])
    _write(out / "rootCA.pem", values["root_cert"])
    _write(out / "ca.json", json.dumps(authority, indent=1))
    _write(out / "profile.yml", yaml.safe_dump(profile, sort_keys=False))
    print(f"{out}: the authority of {profile['name']}, SHA-256 {authority['rootCA_fingerprint']}")


def _profile(project: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(project.read_text(encoding="utf-8"))
        server = next(p for p in values["participants"] if p["type"] == "server")
        arguments = [b.get("args") or {} for b in values["builders"] if b["path"].endswith(".StaticFileBuilder")]
        return {
            "name": values["name"],
            "scheme": arguments[0].get("scheme", "grpc"),
            "connection_security": "mtls",
            "server": {
                "host": server.get("default_host", server["name"]),
                "fed_learn_port": server["fed_learn_port"],
                "admin_port": server["admin_port"],
            },
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, IndexError, AttributeError, StopIteration) as error:
        _stop(f"{project} is no project file of nvflare provision ({type(error).__name__}: {error})", code=2)


def _read(state: Path) -> dict[str, Any]:
    file = state / "cert.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if not all(key in values for key in ROOT_KEYS):
            raise ValueError("it has no authority")
    except (OSError, ValueError, TypeError) as error:
        _stop(f"{file} is not the state of a network ({error}): give WORKSPACE/PROJECT/state", code=2)
    return dict(values)


def _write(path: Path, text: str) -> None:
    """A file that its owner alone may read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _stop(reason: str, code: int = 1) -> NoReturn:
    print(f"authority.py: {reason}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
