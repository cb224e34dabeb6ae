"""All checks of a kit, in the order in which hospital IT would work them off, and the verdict."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedward.errors import FedwardError
from fedward.kits.certificates import check_certificates
from fedward.kits.connection import check_connection
from fedward.kits.data_checks import check_data_sets
from fedward.kits.finding import Finding, problem
from fedward.kits.kit import Kit
from fedward.kits.leaving_policy import check_leaving
from fedward.kits.policy import Baseline, check_policy
from fedward.kits.running import NOT_RUNNING, check_ports, check_running, check_stores
from fedward.kits.site_checks import check_clock, check_device, check_folders, check_versions, check_weights
from fedward.kits.startup_files import check_startup_files
from fedward.kits.studies import check_studies
from fedward.rounds.run_folder import read_json
from fedward.site_config import FILE_NAME, SiteConfig, read_site_config

# Faults of the moment and not of the kit: a check that finds no other takes back no earlier pass, or else a site that
# is checked while the server is down could not start again by itself.
MOMENTARY = ("name resolution", "server reachable", "running", "port ")


def check_kit(
    kit: Kit,
    base: Baseline | None,
    privacy_problems: Callable[[Path], list[str]],
    starting: bool = False,
    offline: bool = False,
    workers: int = 0,
) -> list[Finding]:
    """Every finding. `base` is what the installed package would put into the kit (not needed for an admin kit).

    `starting`: the kit is about to start. It must not run yet, an unreachable server is a warning for a site, and data
    folders that did not change since their last full check are not read again. `offline` leaves the network out.
    """
    groups: list[Callable[[], list[Finding]]] = [
        lambda: check_certificates(kit),
        lambda: [check_startup_files(kit)],
        lambda: check_versions(kit),
        lambda: [check_clock(kit)],
    ]
    if kit.role != "admin" and base is not None:
        groups += [
            lambda: check_policy(kit, base),
            lambda: check_leaving(kit, privacy_problems) if kit.role == "hospital" else [],
            lambda: _site(kit, starting, workers),
            lambda: [check_running(kit, starting)],
        ]
    if kit.role == "server":
        groups.append(lambda: _server(kit, offline))
    elif not offline:
        groups.append(lambda: check_connection(kit, starting))
    return [finding for group in groups for finding in _in_spite_of_unreadable_files(group)]


def _in_spite_of_unreadable_files(group: Callable[[], list[Finding]]) -> list[Finding]:
    """A file that may not be read ends its own group of checks, and not the others."""
    try:
        return group()
    except OSError as error:
        text = f"{error.filename or 'a file'} cannot be used by user {os.getuid()} ({error.strerror or error})"
        return [problem("access", text, "run as the user who owns the kit, or correct the owner with chown -R")]


def _site(kit: Kit, starting: bool, workers: int) -> list[Finding]:
    path = kit.local / FILE_NAME
    try:
        config: SiteConfig = read_site_config(path, kit.name)
    except FedwardError as error:
        fix = f"correct {path}" if path.is_file() else f"put back local/{FILE_NAME}, and fill it in"
        return [problem(FILE_NAME, str(error), fix)]
    findings = check_studies(kit, config) if kit.role == "hospital" else []
    findings += check_folders(kit, config)
    findings += check_weights(config)
    findings.append(check_device(config))
    return [*findings, *check_data_sets(config, starting, workers)]


def _server(kit: Kit, offline: bool) -> list[Finding]:
    try:
        resources: Any = read_json(kit.local / "resources.json")
        findings = check_stores(kit, resources if isinstance(resources, dict) else {})
    except FedwardError:
        findings = []  # has its own line
    return findings if offline else [*findings, *check_ports(kit)]


def faults_of_the_kit(findings: list[Finding]) -> list[str]:
    """The problems that keep a kit from starting whenever it is tried."""
    lasting = [one for one in findings if one.level == "problem" and not one.name.startswith(MOMENTARY)]
    return [f"{one.name}: {one.text}" for one in lasting]


def verdict(kit: Kit, findings: list[Finding], offline: bool) -> str:
    """One line: whether the kit is ready to start."""
    problems = sum(finding.level == "problem" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    noted = f", {warnings} warning{'s' * (warnings != 1)}" if warnings else ""
    unseen = " (offline: the network was not checked)" if offline else ""
    running = any(finding.name == "running" and finding.text != NOT_RUNNING for finding in findings)
    ready = "ready to use" if kit.role == "admin" else "in order, and running" if running else "ready to start"
    if problems:
        return f"{kit.name}: {problems} problem{'s' * (problems != 1)}{noted}: not ready{unseen}"
    return f"{kit.name}: {ready}{noted}{unseen}"
