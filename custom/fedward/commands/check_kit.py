"""`fedward check-kit`: everything that could keep a startup kit from working, before it is started."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedward.errors import FedwardError

if TYPE_CHECKING:
    from fedward.kits.finding import Finding

COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command("check-kit", epilog="Examples: fedward check-kit kits/hospital-01; fedward check-kit . --offline --json")
@click.argument("kit", type=click.Path(path_type=Path), metavar="KIT")
@click.option("--starting", is_flag=True, help="As start.sh does: a server that is down is a warning for a site.")
@click.option("--offline", is_flag=True, help="Leave out the server, name resolution and ports.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
@click.option("--workers", default=0, type=click.IntRange(0), help="Processes that read the data; 0: one a core.")
def command(kit: Path, starting: bool, offline: bool, as_json: bool, workers: int) -> int:
    """Check the startup kit in the folder KIT: certificates, policy, data, machine, and the way to the server.

    One line a check, with what to do about it. A kit starts only after a passed check of its present files; that is
    kept in KIT/check.json. Exit code 0: ready; 1: problems; 2: wrong usage.
    """
    from fedward.kits.checks import check_kit, faults_of_the_kit, verdict
    from fedward.kits.kit import open_kit
    from fedward.kits.passed import write_failed, write_passed

    opened = open_kit(kit)
    if opened.role == "admin":
        findings = check_kit(opened, None, lambda _: [], starting, offline, workers)
    else:
        from fedward.flare.policy_baseline import installed_baseline, privacy_problems

        findings = check_kit(opened, installed_baseline(opened), privacy_problems, starting, offline, workers)
    failed = any(finding.level == "problem" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    versions = {"fedward": opened.network.fedward, "nvflare": opened.network.nvflare}
    try:
        if faults := faults_of_the_kit(findings):
            write_failed(opened.root, faults)
        elif not failed:
            write_passed(opened.root, versions, warnings)
    except OSError as error:  # where problems were found, one of their lines says so
        if not failed:
            raise FedwardError(
                f"{opened.root / 'check.json'} cannot be written ({error.strerror}): "
                "check the kit as the user who starts it"
            ) from error
    line = verdict(opened, findings, offline)
    if as_json:
        values = {"kit": opened.name, "role": opened.role, "passed": not failed, "verdict": line}
        values["findings"] = [finding.to_dict() for finding in findings]
        click.echo(json.dumps(values, indent=1))
    else:
        show(findings, line, failed)
    return 1 if failed else 0


def show(findings: list["Finding"], line: str, failed: bool) -> None:
    """Print a line a check (what to do below it) and the verdict; without colours where it is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:  # one check, one line: for logs and grep
        for one in findings:
            click.echo(f"[{one.level}]".ljust(10) + f"{one.name}: {one.text}" + (f" -> {one.fix}" if one.fix else ""))
        click.echo(line)
        return
    table = Table.grid(padding=(0, 1))
    for column in ("level", "name", "text"):
        table.add_column(column, no_wrap=column != "text", overflow="fold")
    for one in findings:
        text = Text.assemble(one.text, ("\n-> " if one.fix else "", "bold"), one.fix)
        table.add_row(Text(f"[{one.level}]", style=COLOURS[one.level]), one.name, text)
    console.print(table)
    console.print(line, style="bold red" if failed else "bold green", soft_wrap=True, markup=False)
