"""The command line: exit codes, and never a traceback for a user's mistake."""

import importlib
import subprocess
import sys

import click
import pytest

from fedward import __version__
from fedward.cli import COMMANDS, cli, run
from fedward.errors import DataError, FedwardError, RefusedUpdate, RoundFailed, UsageError


def raising(error):
    @click.command()
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (FedwardError("it broke"), 1, "Error: it broke"),
        (DataError("no images"), 1, "Error: no images"),
        (RoundFailed("too few"), 1, "Error: too few"),
        (RefusedUpdate("NaN"), 1, "Error: NaN"),
        (UsageError("no such scheme"), 2, "Error: no such scheme"),
        (click.UsageError("no such option"), 2, "Error: no such option"),
        (click.ClickException("else"), 1, "Error: else"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (OSError(28, "No space left on device", "/data/run"), 1, "No space left on device (/data/run): check the path"),
        (OSError("odd"), 1, "Error: odd: check the path"),
        (PermissionError(13, "Permission denied", "/data"), 1, "Permission denied (/data)"),
    ],
)
def test_errors_become_a_sentence_and_an_exit_code(capsys, error, code, shown):
    assert run(raising(error), []) == code
    captured = capsys.readouterr()
    assert shown in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_a_defect_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()), [])


def test_done_is_zero(capsys):
    assert run(click.Command("x", callback=lambda: None), []) == 0
    assert run(cli, ["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["report"], ["report", "--nonsense"]])
def test_wrong_usage_is_two(capsys, arguments):
    assert run(cli, arguments) == 2
    assert "Usage:" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(capsys, name):
    assert run(cli, [name, "--help"]) == 0
    assert len(capsys.readouterr().out) > 100
    assert importlib.import_module(f"fedward.commands.{COMMANDS[name]}").command.get_short_help_str()


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from fedward.cli import cli, run; run(cli, ['--help']); "
        "sys.exit(' '.join({'torch', 'SimpleITK', 'nvflare', 'matplotlib', 'sklearn', 'PIL'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert all(name in done.stdout for name in COMMANDS)
