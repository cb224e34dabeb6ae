"""Each promise of docs/security-and-privacy.md has a setting that is in the kits and tests that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "security-and-privacy.md"
FAILURES = ROOT / "docs" / "failure-modes.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
SETTING = re.compile(r"`([\w.-]+)`: `([^`]+)`")
HEADER = "| promise | setting | test |"


def promises(text: str) -> list[tuple[str, str, str]]:
    """The rows of the tables of promises: promise, setting, tests."""
    rows = []
    for table in text.split(HEADER)[1:]:
        for line in table.splitlines()[2:]:
            if not line.startswith("|"):
                break
            rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


def missing_tests(text: str) -> list[str]:
    """Tests named in `text` that do not exist."""
    return [
        f"{file}::{name}"
        for file, name in TEST.findall(text)
        if not (ROOT / file).is_file() or f"\ndef {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The text of every file that a promise may name: of a hospital's and the server's kit, and of provisioning/."""
    workspace = tmp_path_factory.mktemp("kits")
    words = ["provision", "-p", str(ROOT / "provisioning" / "project.yml"), "-w", str(workspace)]
    subprocess.run([sys.executable, "-m", "nvflare.cli", *words], check=True, capture_output=True, timeout=120)
    kits = workspace / "fedward" / "prod_00"
    folders = [
        kits / "fedward.consortium.example" / "local",
        *(kits / "hospital-01" / name for name in ("local", "startup")),
        ROOT / "provisioning",
    ]
    found: dict[str, str] = {}
    for path in (path for folder in folders for path in folder.iterdir() if path.is_file()):
        found[path.name] = found.get(path.name, "") + path.read_text(encoding="utf-8")
    return found


def missing_settings(rows: list[tuple[str, str, str]], settings: dict[str, str]) -> list[str]:
    return [
        f"{promise}: {setting}"
        for promise, setting, _ in rows
        if not (named := SETTING.fullmatch(setting)) or named[2] not in settings.get(named[1], "")
    ]


def test_every_promise_has_a_setting_and_a_test(settings):
    rows = promises(GUIDE.read_text(encoding="utf-8"))
    assert len(rows) >= 30
    assert [row for row in rows if len(row) != 3] == []
    assert [promise for promise, _, tests in rows if not TEST.findall(tests)] == []
    assert missing_settings(rows, settings) == []


@pytest.mark.parametrize("page", [GUIDE, FAILURES], ids=lambda path: path.name)
def test_every_test_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    assert TEST.findall(text)
    assert missing_tests(text) == []
    assert text.count("::test_") == len(TEST.findall(text))  # none is written so that it would be overlooked


def test_the_comparison_finds_what_is_wrong(settings):
    text = f"{HEADER}\n|---|---|---|\n| all | `privacy.json`: `no_such_key` | `tests/test_cli.py::test_none` |\n\nend"
    rows = promises(text)
    assert rows == [("all", "`privacy.json`: `no_such_key`", "`tests/test_cli.py::test_none`")]
    assert missing_settings(rows, settings) == ["all: `privacy.json`: `no_such_key`"]
    assert missing_settings([("all", "in the kit", "")], settings) == ["all: in the kit"]
    assert missing_tests(text) == ["tests/test_cli.py::test_none"]
