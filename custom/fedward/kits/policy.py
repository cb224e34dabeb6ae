"""A kit's policy against the templates in the package: stricter is the site's right, looser keeps it from starting."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedward.errors import FedwardError, UsageError
from fedward.kits.authorization import narrowed_rights, widened_rights
from fedward.kits.finding import Finding, ok, problem, warning
from fedward.kits.kit import ROLE_FILES, Kit
from fedward.kits.templates import template
from fedward.rounds.run_folder import read_json

RESTORE = "restore it from the kit as it was handed out; only fedward.yml and environment.sh are a site's to edit"
# nvflare deploy puts FLARE's own in place of these, and drops the consumer
REPLACED_BY_DEPLOY = {"process_launcher", "resource_manager", "resource_consumer"}
DEPLOY_LAUNCHERS = ("docker_launcher", "k8s_launcher", "slurm_launcher")
EXTRA_RESOURCES = ("*__resources.json", "*__p_resources.json", "*__j_resources.json")  # FLARE merges them


@dataclass(frozen=True)
class Baseline:
    """What the installed package would put into a kit of this role."""

    resources: Mapping[str, Any]
    authorization: Mapping[str, Any]
    allow_list: list[str]
    categories: Mapping[str, str]


def baseline(kit: Kit, allow_list: list[str], categories: Mapping[str, str]) -> Baseline:
    """The templates for this kit. Class list and FLARE's command categories come from the side that knows FLARE."""

    def read(name: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(template(kit.role, name).read_text(encoding="utf-8"))
        return values

    return Baseline(read("resources.json"), read("authorization.json"), allow_list, categories)


def check_policy(kit: Kit, base: Baseline) -> list[Finding]:
    """Each deviation of resources.json, authorization.json and the startup file, by name."""
    findings: list[Finding] = []
    for name, compare in (("resources.json", _resources), ("authorization.json", _authorization)):
        path = kit.local / name
        if not path.is_file():
            what = f"local/{name} is missing: FLARE would use its own defaults, or no policy at all"
            findings.append(problem(name, what, RESTORE))
            continue
        try:
            values = read_json(path)
            if not isinstance(values, dict):
                raise UsageError("it holds no mapping")
            looser, notes, stricter = compare(values, base)
        except FedwardError as error:
            findings.append(problem(name, str(error), RESTORE))
            continue
        findings += [problem(name, f"looser than the template: {text}", RESTORE) for text in looser]
        findings += [warning(name, text, "see whether that is intended") for text in notes]
        findings += [ok(name, f"stricter than the template: {text}") for text in stricter]
        if not (looser or notes or stricter):
            findings.append(ok(name, "as in the template"))
    return [*findings, _startup_file(kit), *_additions(kit)]


Comparison = tuple[list[str], list[str], list[str]]  # looser, other differences, stricter


def _resources(values: dict[str, Any], base: Baseline) -> Comparison:
    looser: list[str] = []
    notes: list[str] = []
    stricter: list[str] = []
    allowed = values.get("class_allow_list")
    if not isinstance(allowed, list):
        looser.append("it has no class_allow_list, so that FLARE's long default list applies")
    else:
        looser += [f"class_allow_list allows {name} too" for name in allowed if name not in base.allow_list]
        stricter += [f"class_allow_list does not allow {name}" for name in base.allow_list if name not in allowed]
    mode = values.get("class_list_enforcement_mode", "enforce")
    if mode != "enforce":
        looser.append(f"class_list_enforcement_mode is {mode!r}, which lets other classes pass")
    if base.resources.get("allow_log_streaming") is False and values.get("allow_log_streaming", True) is not False:
        looser.append("allow_log_streaming is not false: the site's logs would be sent to the server")
    wanted = base.resources.get("app_validator") or {}
    if wanted and _path(values.get("app_validator")) != _path(wanted):
        looser.append(f"app_validator is {_path(values.get('app_validator')) or 'missing'}, not {_path(wanted)}")
    components = values.get("components")
    found = {str(c.get("id")): c for c in components if isinstance(c, dict)} if isinstance(components, list) else {}
    deployed = any(_path(found.get(name)).startswith("nvflare.app_opt.job_launcher.") for name in DEPLOY_LAUNCHERS)
    for component in base.resources.get("components", []):
        name, here = component["id"], found.get(component["id"])
        if component.get("remove"):
            if here:
                looser.append(f"component {name} ({_path(here)}) is there")
        elif _path(here) != _path(component):
            text = f"component {name} is {_path(here) or 'missing'}, not {_path(component)}"
            flares_own = not here or _path(here).startswith("nvflare.")
            (notes if name in REPLACED_BY_DEPLOY and deployed and flares_own else looser).append(text)
        elif here and (here.get("args") or {}) != (component.get("args") or {}):
            notes.append(f"component {name} has other arguments than the template: {json.dumps(here.get('args'))}")
    return looser, notes, stricter


def _path(component: Any) -> str:
    """The class of a component; empty where there is none, or where it is switched off."""
    if not isinstance(component, dict) or component.get("disabled") is True:
        return ""
    return str(component.get("path") or component.get("class_path") or component.get("name") or "")


def _authorization(values: dict[str, Any], base: Baseline) -> Comparison:
    wider = widened_rights(base.authorization, values, base.categories)
    return wider, [], narrowed_rights(base.authorization, values, base.categories)


def _startup_file(kit: Kit) -> Finding:
    name = ROLE_FILES[kit.role]
    values = read_json(kit.startup / name)
    faults = []
    if values.get("require_signed_jobs", True) is not True:
        faults.append("require_signed_jobs is off: unsigned jobs would run")
    here = values.get("client") if kit.role == "hospital" else (values.get("servers") or [{}])[0]
    security = here.get("connection_security", "mtls") if isinstance(here, dict) else None
    if security != "mtls":
        faults.append(f"connection_security is {security!r}: the other side's certificate is not checked")
    for key in ("class_allow_list", "class_list_enforcement_mode", "app_validator", "components"):
        if key in values:
            faults.append(f"{key} does not belong there, and would count more than resources.json")
    if faults:
        return problem(name, "; ".join(faults), f"unpack startup/{name} of the kit again: it is never edited")
    return ok(name, "signed jobs only, mutual TLS")


def _additions(kit: Kit) -> list[Finding]:
    """Files that FLARE would read besides those of the template."""
    findings = []
    for folder in (kit.local, kit.startup):
        for pattern in EXTRA_RESOURCES:
            for path in sorted(folder.glob(pattern)):
                text = f"{path.relative_to(kit.root)} adds settings and components to resources.json"
                findings.append(problem("further settings", text, f"remove it: rm {path}"))
    code = sorted(path for path in (kit.local / "custom").rglob("*") if path.is_file())
    if code:
        text = f"local/custom holds {len(code)} files that this site's processes can import, such as {code[0].name}"
        findings.append(warning("further code", text, "remove the folder, unless you put it there on purpose"))
    return findings
