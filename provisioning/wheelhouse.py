"""Make dist/wheelhouse, the folder from which a hospital installs fedward without any package index.

    python provisioning/wheelhouse.py [SIGNER_KIT]

It holds every wheel of the lock for this machine's platform and this Python, their hashes (requirements.txt), the
components with their licences (components.json as CycloneDX, components.md to read), the check sums of all files
(SHA256SUMS), install.sh and a Containerfile. With SIGNER_KIT, the kit of a project_admin, the check sums are signed.
Stop it at any time: the next run goes on where it stopped, and downloads nothing that is already there.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from errno import ENOSPC
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from components import cyclonedx, read_components, table
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "dist" / "wheelhouse"
PARTIAL = TARGET / "partial"  # what is being fetched: a half-written file never gets into wheels/
NOT_SOURCE = ("dist", "build", "demo", "runs", ".*", "*.egg-info", "__pycache__")
FREE = 6 * 2**30  # bytes: a CUDA build of torch with its libraries takes about 4 GiB
EPOCH = "1577836800"  # 2020-01-01: files in the wheel carry this time, so that the same source makes the same bytes
SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.p7s"


def main(arguments: list[str]) -> None:
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        _stop(f"usage: wheelhouse.py [SIGNER_KIT], not {' '.join(arguments)}", code=2)
    signer = _signer(Path(arguments[0])) if arguments else None
    wheels = TARGET / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    _check_space(wheels)
    for stale in (SUMS, SIGNATURE):  # until the end, an interrupted folder cannot pass for a finished one
        (TARGET / stale).unlink(missing_ok=True)
    own = _build_own_wheel(wheels)
    wanted = _download(own, wheels)
    for path in sorted(wheels.iterdir()):
        if path.name not in wanted:
            print(f"removed {path.name}: not of this version")
            path.unlink()
    _write_lists(own, wheels)
    for name in ("install.sh", "Containerfile"):
        shutil.copy(ROOT / "provisioning" / name, TARGET / name)
    _write_sums()
    size = sum(path.stat().st_size for path in wheels.iterdir()) / 2**20
    print(f"{TARGET}: {len(wanted)} wheels, {size:.0f} MiB, for {_platform()}")
    if signer is None:
        print("NOT SIGNED, so install.sh refuses it. Sign it: make wheelhouse SIGNER=KIT_OF_A_PROJECT_ADMIN")
    else:
        _sign(*signer)


def _check_space(wheels: Path) -> None:
    there = sum(path.stat().st_size for path in wheels.iterdir())
    free = shutil.disk_usage(wheels).free
    if free + there < FREE:
        _stop(f"{wheels} has {free / 2**30:.1f} GiB free, {(FREE - there) / 2**30:.1f} GiB are needed: free some space")


def _build_own_wheel(wheels: Path) -> Path:
    """Our wheel, from a copy: setuptools leaves a build folder whose removed modules would get into the next wheel."""
    print("building our own wheel")
    for old in wheels.glob("fedward-*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCE))
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source))
    return next(wheels.glob("fedward-*.whl"))


def _download(own: Path, wheels: Path) -> set[str]:
    """Fetch what is missing, one wheel at a time; the names of all files that belong to the wheelhouse."""
    try:
        needed = _resolve(own, wheels, "--no-index")
    except subprocess.CalledProcessError:
        print("asking the package index which versions fit the lock (the first time, this fetches the large ones)")
        try:
            needed = _resolve(own, wheels)
        except subprocess.CalledProcessError as error:
            _stop(f"pip found no set of wheels for {_platform()} that fits requirements.lock:\n{_reason(error)}")
    names = {own.name}
    shutil.rmtree(PARTIAL, ignore_errors=True)
    for number, item in enumerate(needed, 1):
        name = item["file"]
        if not (wheels / name).is_file():
            print(f"[{number}/{len(needed)}] {name}", flush=True)
            name = _fetch(item, wheels)
        names.add(name)
    return names


def _fetch(item: dict[str, str], wheels: Path) -> str:
    """Download one wheel; what an index offers as source alone is built here. The hash is the index's own."""
    PARTIAL.mkdir()
    requirement = PARTIAL / "requirement.txt"
    requirement.write_text(f"{item['name']}=={item['version']} --hash=sha256:{item['sha256']}\n")
    try:
        _pip("wheel", "--no-deps", "--require-hashes", "--wheel-dir", str(PARTIAL), "--requirement", str(requirement))
    except subprocess.CalledProcessError as error:
        _stop(f"{item['name']} {item['version']} cannot be fetched; the next run goes on from here:\n{_reason(error)}")
    fetched = next(PARTIAL.glob("*.whl"))
    fetched.replace(wheels / fetched.name)
    shutil.rmtree(PARTIAL)
    return fetched.name


def _resolve(own: Path, wheels: Path, *options: str) -> list[dict[str, str]]:
    """What pip would install for our wheel with its extras into an empty environment, under the lock."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        lock, target = str(ROOT / "requirements.lock"), f"{own}[{_extras()}]"
        _pip(
            *("install", "--dry-run", "--ignore-installed", "--report", str(report)),
            *("--find-links", str(wheels), "--constraint", lock, *options, target),
        )
        installs = json.loads(report.read_text())["install"]
    return [_needed(item) for item in installs if item["metadata"]["name"] != "fedward"]


def _needed(item: dict[str, Any]) -> dict[str, str]:
    download, metadata = item["download_info"], item["metadata"]
    file = unquote(download["url"].rsplit("/", 1)[-1])
    sha256 = download["archive_info"]["hashes"]["sha256"]
    return {"name": metadata["name"], "version": metadata["version"], "file": file, "sha256": sha256}


def _write_lists(own: Path, wheels: Path) -> None:
    components = read_components(sorted(wheels.glob("*.whl")))
    lines = [f"# for {_platform()}"]
    for component in components:
        extras = f"[{_extras()}]" if component.file == own.name else ""
        lines.append(f"{component.name}{extras}=={component.version} --hash=sha256:{component.sha256}")
    (TARGET / "requirements.txt").write_text("\n".join(lines) + "\n")
    (TARGET / "components.json").write_text(json.dumps(cyclonedx(components), indent=1) + "\n")
    (TARGET / "components.md").write_text(table(components))
    (TARGET / "python.txt").write_text(_platform() + "\n")


def _write_sums() -> None:
    files = sorted(path for path in TARGET.rglob("*") if path.is_file() and path.name not in (SUMS, SIGNATURE))
    lines = [f"{_sha256(path)}  {path.relative_to(TARGET).as_posix()}\n" for path in files]
    (TARGET / SUMS).write_text("".join(lines))


def _signer(kit: Path) -> tuple[x509.Certificate, Any]:
    """Certificate and private key of the kit; only a project_admin's will do, because install.sh asks for that."""
    startup = kit / "startup"
    try:
        certificate = x509.load_pem_x509_certificate((startup / "client.crt").read_bytes())
        key = serialization.load_pem_private_key((startup / "client.key").read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        _stop(f"{kit} is no kit that can sign ({error}): give the folder of a project_admin's kit", code=2)
    roles = [item.value for item in certificate.subject.get_attributes_for_oid(x509.NameOID.UNSTRUCTURED_NAME)]
    if roles != ["project_admin"]:
        _stop(
            f"{kit} belongs to {certificate.subject.rfc4514_string()}: only a project_admin signs a wheelhouse", code=2
        )
    return certificate, key


def _sign(certificate: x509.Certificate, key: Any) -> None:
    builder = pkcs7.PKCS7SignatureBuilder().set_data((TARGET / SUMS).read_bytes())
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    signature = builder.add_signer(certificate, key, hashes.SHA256()).sign(serialization.Encoding.PEM, options)
    (TARGET / SIGNATURE).write_bytes(signature)
    print(f"signed by {certificate.subject.rfc4514_string()}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}")


def _extras() -> str:
    """Every extra but the developers': a job may ask for any of them, and a hospital cannot fetch it later."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return ",".join(sorted(set(project["optional-dependencies"]) - {"dev"}))


def _platform() -> str:
    """The Python and machine that the wheels fit; install.sh compares it with the hospital's."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return f"{platform.python_implementation()} {version} {sys.platform} {platform.machine()}"


def _pip(*arguments: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", "pip", *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True, text=True)


def _reason(error: subprocess.CalledProcessError) -> str:
    """pip's own words: which versions clash stands in its ordinary output, what else went wrong in its errors."""
    if "No space left on device" in error.stderr:
        return "the disk is full: free some space, then run it again"
    clash = error.stdout.partition("The conflict is caused by:")[2].partition("To fix this")[0].splitlines()
    wrong = [line for line in error.stderr.splitlines() if not line.startswith("WARNING")]
    return "\n".join(line for line in [*clash, *wrong[-10:]] if line.strip())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stop(message: str, code: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        _stop("stopped; the next run goes on from here", code=130)
    except subprocess.CalledProcessError as error:
        _stop(f"pip failed:\n{_reason(error)}")
    except OSError as error:
        _stop(f"{error}: {'free some space' if error.errno == ENOSPC else 'put that right'}, then run it again")
