"""Whether the files of startup/ are those that were handed out: FLARE's signatures, or the last passed check."""

import base64
import json
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from fedward.kits.finding import Finding, ok, problem, warning
from fedward.kits.kit import Kit
from fedward.kits.passed import changes, kit_files, last_files

NAME = "startup files"
INSTEAD = "unpack startup/ of the kit again; what a site may change is local/fedward.yml and local/environment.sh"


def check_startup_files(kit: Kit) -> Finding:
    """Signed files must be as signed. Without signature.json (FLARE signs few kits) a change since the last check is
    a warning, for a renewed certificate is one, too."""
    signed = [folder for folder in (kit.startup, kit.local) if (folder / "signature.json").is_file()]
    try:
        changed = [f"{folder.name}/{name}" for folder in signed for name in _wrongly_signed(folder, kit.root_ca)]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return problem(NAME, f"signature.json or rootCA.pem cannot be used ({error})", "unpack the kit again")
    if changed:
        return problem(NAME, f"{', '.join(changed)} changed after signing: FLARE will not start", INSTEAD)
    if signed:
        return ok(NAME, "as signed by the network's authority")
    before = {name: digest for name, digest in last_files(kit.root).items() if name.startswith("startup/")}
    now = {name: digest for name, digest in kit_files(kit.root).items() if name.startswith("startup/")}
    if before and (found := changes(before, now)):
        text = f"{', '.join(found)} since the last passed check"
        return warning(NAME, text, f"right if you put in a new kit or certificate; otherwise {INSTEAD}")
    return ok(NAME, "unchanged since the last passed check" if before else "first check (FLARE does not sign this kit)")


def _wrongly_signed(folder: Path, root_ca: Path) -> list[str]:
    key = x509.load_pem_x509_certificate(root_ca.read_bytes()).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("rootCA.pem has no RSA key")
    scheme = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.MAX_LENGTH)  # as FLARE signs
    wrong = []
    for name, signature in json.loads((folder / "signature.json").read_text(encoding="utf-8")).items():
        path = folder / name
        try:
            content = name.encode() if path.is_dir() else path.read_bytes()
            key.verify(base64.b64decode(signature), content, scheme, SHA256())
        except (InvalidSignature, FileNotFoundError):
            wrong.append(name)
    return sorted(wrong)
