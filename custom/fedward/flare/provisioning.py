"""The provisioning builder that completes every startup kit: nothing in a kit has to be edited by hand afterwards.

Named in project.yml after FLARE's StaticFileBuilder and CertBuilder. It merges `workspace_templates` over what FLARE
rendered, so that an upgrade of FLARE keeps its own defaults.
"""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import nvflare
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from nvflare.lighter.constants import CtxKey, ParticipantType, PropKey, ProvisionMode
from nvflare.lighter.entity import Participant, Project
from nvflare.lighter.spec import Builder, ProvisionContext

import fedward
from fedward.flare.components import class_allow_list
from fedward.kits.templates import deep_merge
from fedward.rounds.run_folder import read_json, write_bytes, write_json

COORDINATOR = "coordinator"
# What stands in fedward.yml before anybody has filled it in; a site removes the # of what else it has
HOSPITAL_DATA = """\
  lgg: /data/lgg
  # chestxray14: /data/chestxray14
  # chexpert: /data/chexpert
  # acdc: /data/acdc"""
COORDINATOR_DATA = """\
  image_folder: /data/images
  # chestxray14: /data/chestxray14   # labelled images, for the probe of a pretraining"""


class KitBuilder(Builder):
    """Lays `workspace_templates/{hospital,server}` into the kits, with the facts of the network beside them.

    `network` is the lead's network.json, for a hospital that makes its own kit (`nvflare package`) and so knows no
    project file. The server is a mere placeholder there, without certificates.
    """

    def __init__(self, network: str = "") -> None:
        self.network = network

    def build(self, project: Project, ctx: ProvisionContext) -> None:
        Path(ctx.get_state_dir()).chmod(0o700)  # the authority's key, and every key made here; FLARE leaves it open
        facts = read_json(Path(self.network)) if self.network else network_facts(project, ctx)
        for participant in project.get_all_participants():
            if not (Path(ctx.get_kit_dir(participant)) / "rootCA.pem").is_file():
                continue
            local = Path(ctx.get_local_dir(participant))
            write_json(local / "network.json", facts)
            if participant.type in (ParticipantType.SERVER, ParticipantType.CLIENT):
                _complete(participant, local, Path(ctx.get_kit_dir(participant)), facts)
                if ctx.get_provision_mode() == ProvisionMode.POC and participant.type == ParticipantType.SERVER:
                    # nvflare poc writes resources.json anew from this one, with stores in the POC's folder
                    shutil.copy(local / "resources.json", local / "resources.json.default")


def network_facts(project: Project, ctx: ProvisionContext) -> dict[str, Any]:
    """What every participant may know of the network; kept in each kit as local/network.json."""
    server, clients = project.get_server(), project.get_clients()
    studies = project.get_prop("studies") or {}
    root = load_pem_x509_certificate((Path(ctx.get_kit_dir(server)) / "rootCA.pem").read_bytes())
    return {
        "name": project.name,
        "server": {
            "name": server.name,
            "host": server.get_default_host(),
            "port": ctx.get(CtxKey.FED_LEARN_PORT),
            "admin_port": ctx.get(CtxKey.ADMIN_PORT),
            "org": server.org,
        },
        "hospitals": sorted(client.name for client in clients if client.name != COORDINATOR),
        "coordinator": next((client.name for client in clients if client.name == COORDINATOR), None),
        "orgs": {client.name: client.org for client in clients},
        "studies": {
            name: {
                "sites": sorted(site for sites in (study.get("site_orgs") or {}).values() for site in sites),
                "admins": sorted(study.get("admins") or []),
            }
            for name, study in studies.items()
        },
        "users": {
            admin.name: {"role": admin.get_prop(PropKey.ROLE), "org": admin.org} for admin in project.get_admins()
        },
        "fedward": fedward.__version__,
        "nvflare": nvflare.__version__,
        "ca_sha256": root.fingerprint(SHA256()).hex(),
    }


def _complete(participant: Participant, local: Path, startup: Path, facts: dict[str, Any]) -> None:
    kind = "server" if participant.type == ParticipantType.SERVER else "hospital"
    templates = files("fedward") / "workspace_templates"
    values = {
        "name": participant.name,
        "org": participant.org,
        "project": facts["name"],
        "server_host": facts["server"]["host"],
        "fed_learn_port": facts["server"]["port"],
        "admin_port": facts["server"]["admin_port"],
        "fedward_version": facts["fedward"],
        "data_sets": COORDINATOR_DATA if participant.name == COORDINATOR else HOSPITAL_DATA,
        "studies": json.dumps(
            sorted(name for name, study in facts["studies"].items() if participant.name in study["sites"])
        ),
    }
    for folder in (templates / "both", templates / kind):
        for template in sorted(folder.iterdir(), key=lambda path: path.name):
            text = template.read_text(encoding="utf-8")
            if template.name == "start.sh":
                _write_script(startup / "start.sh", text)
            elif template.name == "resources.json":
                rendered = json.loads((local / "resources.json.default").read_text(encoding="utf-8"))
                merged = deep_merge(rendered, json.loads(text))
                merged["class_allow_list"], merged["class_list_enforcement_mode"] = class_allow_list(), "enforce"
                write_json(local / "resources.json", merged)
            elif template.name.endswith(".json"):
                write_bytes(local / template.name, text.encode())
            elif template.name.endswith(".sh"):
                _write_script(local / template.name, Template(text).safe_substitute(values))
            else:
                write_bytes(local / template.name, Template(text).safe_substitute(values).encode())
    shutil.copy(local / "log_config.json.default", local / "log_config.json")
    for left in (*local.glob("*.default"), *local.glob("*.sample")):
        left.unlink()  # one file a setting: beside these, the defaults would only mislead


def _write_script(path: Path, text: str) -> None:
    write_bytes(path, text.encode())
    path.chmod(0o755)
