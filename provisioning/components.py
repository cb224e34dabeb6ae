"""What a folder of wheels contains: name, version, licence and hash of each, as CycloneDX and as a table."""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Component:
    """One wheel; `spdx` says whether `licence` is an SPDX expression or the author's own words."""

    name: str
    version: str
    licence: str
    spdx: bool
    sha256: str
    file: str


def read_components(wheels: Iterable[Path]) -> list[Component]:
    """Read the metadata of each wheel; the wheels need not be installed."""
    return [_component(wheel) for wheel in wheels]


def cyclonedx(components: list[Component]) -> dict[str, Any]:
    """A CycloneDX 1.6 document. It carries no time and no serial number, so the same wheels give the same file."""
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [_entry(c) for c in components]}


def table(components: list[Component]) -> str:
    """A Markdown table for people."""
    rows = [f"| {c.name} | {c.version} | {c.licence.replace('|', '/')} |" for c in components]
    return "\n".join(["| component | version | licence |", "| --- | --- | --- |", *rows]) + "\n"


def _component(wheel: Path) -> Component:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    licence, spdx = _licence(metadata)
    return Component(metadata["Name"], metadata["Version"], licence, spdx, digest, wheel.name)


def _licence(metadata: Message) -> tuple[str, bool]:
    """The SPDX expression where there is one; else the classifiers; else a short License line."""
    if expression := metadata["License-Expression"]:
        return str(expression), True
    classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    names = [c.rsplit("::", 1)[-1].strip() for c in classifiers if c.count("::") > 1]
    line = " ".join((metadata["License"] or "").split())
    if names and names != ["OSI Approved"]:
        return " or ".join(names), False
    return (line if 0 < len(line) <= 80 else "see the wheel's licence file"), False


def _entry(component: Component) -> dict[str, Any]:
    name = component.name.lower().replace("_", "-").replace(".", "-")
    licence = {"expression": component.licence} if component.spdx else {"license": {"name": component.licence}}
    return {
        "type": "library",
        "bom-ref": f"{name}@{component.version}",
        "name": component.name,
        "version": component.version,
        "purl": f"pkg:pypi/{name}@{component.version.replace('+', '%2B')}",
        "hashes": [{"alg": "SHA-256", "content": component.sha256}],
        "licenses": [licence],
    }
