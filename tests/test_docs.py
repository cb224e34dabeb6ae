"""What the documents print exists: links, commands, options and their values, make targets; and no machine's paths."""

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from fedward.cli import COMMANDS, cli
from fedward.job_command import training_command
from fedward.lgg_job import JOB as LGG
from fedward.volume_jobs import CONTRASTIVE, SEGMENTATION
from fedward.xray_jobs import CLASSIFICATION, PRETRAINING

ROOT = Path(__file__).parents[1]
JOBS = (LGG, CLASSIFICATION, PRETRAINING, CONTRASTIVE, SEGMENTATION)
FOLDERS = ("docs", "jobs", "benchmarks", "provisioning", "workspace_templates")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
BENCHMARKS = ("lgg_table1", "cxr", "fcl_table", "fcl_privacy")
FLARE_OPTIONS = {"--export", "--export-dir"}  # taken by FLARE itself, see job_command
OTHER_PROGRAMS = (
    *("nvflare ", "git ", "pip ", "source ", "cd ", "make ", "import ", "rounds ", "weights "),
    *("openssl ", "sha256sum ", "docker ", "kubectl ", "helm ", "systemctl ", "journalctl ", "useradd ", "tar "),
)
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:home|root|work|tmp|Users|mnt)/")


def command_named(line: str) -> click.Command | None:
    """The click command that a printed line calls; None where it calls none of ours. KeyError: there is no such one."""
    if line.startswith("fedward "):
        name = line.split()[1]
        if name.startswith("-"):
            return cli
        if name not in COMMANDS:
            raise KeyError(name)
        return part_of(named(name), line.split()[2:])
    for job in JOBS:
        if f"jobs/{job.name}/job.py" in line:
            return training_command(job)
    for name in BENCHMARKS:
        if f"benchmarks/{name}/run.py" in line:
            return benchmark(name)
    return None


def part_of(command: click.Command, words: list[str]) -> click.Command:
    """The command of a group that `words` begin with; KeyError where the group has no such one."""
    if not isinstance(command, click.Group) or not words or words[0].startswith("-"):
        return command
    return command.commands[words[0]]


@cache
def benchmark(name: str) -> click.Command:
    folder = ROOT / "benchmarks" / name
    spec = importlib.util.spec_from_file_location(f"{name}_run", folder / "run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))  # its own modules lie beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module.main


def options(command: click.Command) -> dict[str, click.Parameter]:
    context = click.Context(command)
    return {
        name: parameter
        for parameter in command.get_params(context)
        for name in parameter.opts + parameter.secondary_opts
    }


def code_of(text: str) -> list[str]:
    """Code of a document: the lines of its blocks, and its inline spans outside them."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.S | re.M)
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    blocks = [*"\n".join(fenced).splitlines(), *re.findall(r"^ {4,}(\S.*)$", text, re.M)]
    prose = re.sub(r"^ {4,}\S.*$", "", text, flags=re.M)
    return [line.strip() for line in blocks + re.findall(r"`([^`]+)`", prose)]


def wrong_commands(text: str) -> list[str]:
    """Commands, options and values in `text` that do not exist."""
    known = set(FLARE_OPTIONS)
    groups = [command for command in map(named, COMMANDS) if isinstance(command, click.Group)]
    parts = [part for group in groups for part in group.commands.values()]
    for command in [*map(training_command, JOBS), *map(benchmark, BENCHMARKS), *map(named, COMMANDS), *parts, cli]:
        known |= options(command).keys() | {"--help", "--version"}
    wrong = []
    for line in code_of(text):
        try:
            command = command_named(line)
        except KeyError:
            wrong.append(line)
            continue
        if command is None:
            named_here = (
                set(re.findall(r"(?<!\S)--[a-z][a-z-]+", line)) if not line.startswith(OTHER_PROGRAMS) else set()
            )
            wrong += [f"{option} in: {line}" for option in sorted(named_here - known)]
            continue
        wrong += wrong_arguments(line, options(command))
    return wrong


def named(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command
    return command


def wrong_arguments(line: str, accepted: dict[str, click.Parameter]) -> list[str]:
    wrong, words = [], line.split()
    for word, value in zip(words, [*words[1:], ""], strict=True):
        if not word.startswith("--") or word in FLARE_OPTIONS | {"--help"}:
            continue
        if word not in accepted:
            wrong.append(f"{word} in: {line}")
        elif (
            isinstance(accepted[word].type, click.Choice)
            and value.islower()
            and value not in accepted[word].type.choices
        ):
            wrong.append(f"{word} {value} in: {line}")
    return wrong


def wrong_links(document: Path, text: str) -> list[str]:
    """Relative links of `text` whose file or heading does not exist."""
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in headings(file.read_text(encoding="utf-8"))):
            wrong.append(target)
    return wrong


def headings(text: str) -> set[str]:
    """Anchors of a document's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_commands_and_paths(document):
    text = document.read_text(encoding="utf-8")
    assert wrong_links(document, text) == []
    assert wrong_commands(text) == []
    assert MACHINE_PATH.findall(text) == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert {line.split()[-1] for line in code_of(text) if re.fullmatch(r"make( [A-Z]+=\S+)* [a-z-]+", line)} <= targets


def test_every_command_and_every_option_of_the_job_is_in_the_guides():
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    assert [name for name in COMMANDS if f"fedward {name}" not in text] == []
    for job in JOBS:
        assert [option for option in options(training_command(job)) if option not in text] == [], job.name


def test_every_part_of_the_package_is_in_the_layout():
    layout = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = [path.parent.name for path in (ROOT / "custom" / "fedward").glob("*/__init__.py")]
    assert [part for part in parts if f"| `{part}/` |" not in layout] == []


def test_every_benchmark_is_in_their_list():
    listed = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    scripts = [path for path in sorted((ROOT / "benchmarks").rglob("*.py")) if "@click.command" in path.read_text()]
    assert len(scripts) > 5
    assert [str(path) for path in scripts if f"python {path.relative_to(ROOT)}" not in listed] == []


def test_the_checks_find_what_is_wrong():
    text = (
        "`fedward train` and `fedward report --fast` and `--alpa`\n\n"
        "    python jobs/lgg_segmentation/job.py --scheme dceww --rounds 2\n\n"
        "```\nfedward partition lgg DIR --folds 5 --split 3\nfedward network pause\n"
        "fedward network start --port 1 --prot 2\n```\n"
    )
    assert wrong_commands(text) == [
        "--split in: fedward partition lgg DIR --folds 5 --split 3",
        "fedward network pause",
        "--prot in: fedward network start --port 1 --prot 2",
        "--scheme dceww in: python jobs/lgg_segmentation/job.py --scheme dceww --rounds 2",
        "fedward train",
        "--fast in: fedward report --fast",
        "--alpa in: --alpa",
    ]
    assert wrong_links(
        ROOT / "README.md", "[a](docs/none.md) [b](#no-such-heading) [c](LICENSE) [d](https://x.org)"
    ) == [
        "docs/none.md",
        "#no-such-heading",
    ]
    assert MACHINE_PATH.search("see /home/somebody/data")
