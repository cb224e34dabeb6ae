"""The `fedward` command. Each command lives in `fedward.commands` and is imported only when it is called."""

import difflib
import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fedward import __version__
from fedward.errors import FedwardError

COMMANDS = {
    "check-data": "check_data",
    "check-kit": "check_kit",
    "compare": "compare",
    "demo": "demo",
    "network": "network",
    "partition": "partition",
    "phantoms": "phantoms",
    "predict": "predict",
    "preprocess": "preprocess",
    "register-weights": "register_weights",
    "report": "report",
    "show-views": "show_views",
    "simulator-workspace": "simulator_workspace",
    "watch": "watch",
    "what-leaves": "what_leaves",
}


class LazyCommands(click.Group):
    """Imports a command's module on first use, so that `--help` and `--version` answer at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"fedward.commands.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fedward")
def cli() -> None:
    """Train medical image models across hospitals with NVIDIA FLARE."""


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """The default would end this process alone, and leave pools and the simulator behind."""
    changed = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]  # not under nohup
    for number in changed:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def run(command: click.Command, arguments: list[str] | None = None) -> int:
    """Run a click command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        with interrupted_by_signals():
            result = command.main(args=arguments, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo(
            "Interrupted. Give the command again: a run goes on after its last finished round; other commands begin "
            "anew, with the images that are prepared already.",
            err=True,
        )
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FedwardError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        click.echo(
            f"Error: {error.strerror or error}{where}: check the path, its permissions and free space.",
            err=True,
        )
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    sys.exit(run(cli))
