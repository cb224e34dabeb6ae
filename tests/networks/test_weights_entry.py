"""A registered name goes into a server's fedward.yml and nothing else of the file changes."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedward.errors import FedwardError
from fedward.networks.weights_entry import with_entry
from fedward.rounds.run_folder import NAME

ENTRY = {"file": "{kit}/weights/new.safetensors", "sha256": "a" * 64}
TEMPLATE = Path(__file__).parents[2] / "workspace_templates" / "server" / "fedward.yml"
OLD = 'old: {file: /data/old.safetensors, sha256: "00"}'


def check(text, changed, name="new"):
    """The entry is there, all other values are, and taking one stretch out gives the old text back."""
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    assert after.pop("weights") == {**(before.pop("weights", None) or {}), name: ENTRY}
    assert after == before
    start = next((i for i, (a, b) in enumerate(zip(text, changed, strict=False)) if a != b), len(text))
    assert changed[start + len(changed) - len(text) :] == text[start:]


@pytest.mark.parametrize(
    "text",
    [
        "runs: /r\n",
        "runs: /r",
        "runs: /r  # no line end",
        "runs: /r\n# weights:\n#   brain: {file: x}\n",
        "runs: /r\r\nthreads: 1\r\n",
        "weights:\nruns: /r\n",
        "runs: /r\nweights:",
        "runs: /r\nweights:   # none yet\nthreads: 1\n",
        "weights: {}\nruns: /r\n",
        f"weights: {{{OLD}}}  # of 2025\nruns: /r\n",
        f"runs: /r\nweights: {{\n  # the first\n  {OLD},  # with a comma\n}}\n",
        f"weights:\n  {OLD}\nruns: /r\n",
        f"runs: /r\nweights:\n\n    # four blanks\n    {OLD}\n\n# end\nthreads: 2\n",
        "weights:\n  old:\n    file: /data/old\n    sha256: '00'\nruns: /r\n",
        f"# ümläut\r\nweights:\r\n  {OLD}\r\nruns: /r\r\n",
    ],
)
def test_a_new_entry(text):
    changed = with_entry(text, "new", **ENTRY)
    check(text, changed)
    assert changed.count("\r\n") == changed.count("\n") or "\r\n" not in text


def test_the_kits_own_file():
    text = TEMPLATE.read_text()
    check(text, with_entry(text, "new", **ENTRY))


@given(st.from_regex(NAME, fullmatch=True).filter(lambda name: ".." not in name))
def test_any_name_is_the_same_name_when_read(name):
    text = with_entry(f"runs: /r\nweights:\n  {OLD}\n", name, **ENTRY)
    assert yaml.safe_load(text)["weights"][name] == ENTRY


@pytest.mark.parametrize("name", ["null", "1.0", "on", "2025-01-01", "1e3", "0x1f"])
def test_names_that_yaml_would_take_for_something_else(name):
    changed = with_entry("runs: /r\n", name, **ENTRY)
    check("runs: /r\n", changed, name)
    again = with_entry(changed, name, "/x", "b" * 64)
    assert yaml.safe_load(again)["weights"] == {name: {"file": "/x", "sha256": "b" * 64}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'weights: {new: {file: /a b, sha256: "00"}, old: {file: /o, sha256: "01"}}  # all\n',
            'weights: {new: {file: "FILE", sha256: "SHA"}, old: {file: /o, sha256: "01"}}  # all\n',
        ),
        (
            "weights:\n  new:  # ours\n    sha256: '00'  # seen\n    file: /a\n\n  # next\n"
            "  old: {file: /o, sha256: x}\n",
            'weights:\n  new:  # ours\n    sha256: "SHA"  # seen\n    file: "FILE"\n\n  # next\n'
            "  old: {file: /o, sha256: x}\n",
        ),
    ],
)
def test_another_file_for_a_name(text, expected):
    expected = expected.replace("FILE", ENTRY["file"]).replace("SHA", ENTRY["sha256"])
    assert with_entry(text, "new", **ENTRY) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{runs: /r}\n",
        "runs: /r\n...\n",
        "weights: [a]\n",
        "weights: 3\n",
        "weights: &all {}\nruns: *all\n",
        "weights: {new: 3}\n",
        "weights: {new: {file: /a}}\n",
        "base: &base {file: /a, sha256: b}\nweights: {new: *base, old: *base}\n",
    ],
)
def test_forms_that_are_left_alone(text):
    with pytest.raises(FedwardError, match=r"write under 'weights:' by hand: new: \{file"):
        with_entry(text, "new", **ENTRY)
