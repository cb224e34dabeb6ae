"""What a job may be: checked at the server before anything parses it, and at every site before anything runs.

The signed settings are the truth; meta.json, which FLARE's sites do not verify, must say the same and nothing else.
"""

from collections.abc import Iterable
from typing import Any

from fedward.errors import UsageError
from fedward.kits.job_app import check_app
from fedward.kits.job_archive import APP, CLIENT_CONFIG, META, SERVER_CONFIG, shown
from fedward.kits.job_json import strict_json
from fedward.kits.kit import Network
from fedward.kits.leaving_plan import offered_features
from fedward.kits.leaving_policy import MOST_FEATURES
from fedward.settings import DEFAULT_STUDY, RANDOM, RunSettings
from fedward.site_config import SiteConfig

SERVER = "server"  # FLARE's name for the server in a job, whatever its host name
META_KEYS = ("name", "resource_spec", "min_clients", "deploy_map")


def check_job(files: dict[str, bytes], network: Network, study: str) -> RunSettings:
    """The settings of a job submitted under `study`; UsageError where this network cannot or must not run it."""
    settings = check_app(files[f"{APP}/{SERVER_CONFIG}"], files[f"{APP}/{CLIENT_CONFIG}"])
    check_meta(strict_json(files[META], META), settings)
    check_network(settings, network)
    offered = offered_features(settings)
    if offered is not None and offered["rows"] > MOST_FEATURES:  # each site would refuse it
        raise UsageError(
            f"the job offers up to {offered['rows']:,} features of a site (bank_size), and no kit lets more than "
            f"{MOST_FEATURES:,} out: give it --bank-size {MOST_FEATURES} or less"
        )
    if settings.study != study:
        raise UsageError(
            f"the job belongs to study {settings.study!r} but was submitted under {study!r}: "
            f"submit it with --study {settings.study}, or export it with --study {study}"
        )
    return settings


def check_meta(meta: Any, settings: RunSettings) -> None:
    """UsageError unless meta.json asks for what the settings say, and for nothing beside it."""
    if not isinstance(meta, dict):
        raise UsageError(f"{META} must be a mapping")
    for key in meta:
        if key not in META_KEYS:
            raise UsageError(f"{META} must not have {shown(key)}: known are {', '.join(META_KEYS)}")
    if meta.get("name") != settings.name:
        raise UsageError(f"{META} names another run than the settings ({settings.name}): export the job again")
    if meta.get("resource_spec", {}) != {}:
        raise UsageError(
            f"{META}: resource_spec must be empty: each site uses a GPU if it has one, and decides itself what it gives"
        )
    least = meta.get("min_clients")
    if type(least) is not int or least != settings.quorum:
        raise UsageError(f"{META}: min_clients must be the job's min_sites, {settings.quorum}: export the job again")
    _check_deployment(meta.get("deploy_map"), settings.sites)


def _check_deployment(deployment: Any, sites: Iterable[str]) -> None:
    targets = deployment.get(APP) if isinstance(deployment, dict) and set(deployment) == {APP} else None
    wanted = [SERVER, *sites]
    if (
        not isinstance(targets, list)
        or not all(isinstance(target, str) for target in targets)
        or sorted(targets) != sorted(wanted)
    ):
        raise UsageError(
            f"{META}: deploy_map must send {APP} to the server and exactly the job's sites "
            f"({_listed(wanted)}): export the job again with the sites that shall take part"
        )


def check_network(settings: RunSettings, network: Network) -> None:
    """UsageError where the job names a site or study that the network does not have, or a site outside the study."""
    unknown = [site for site in settings.sites if site not in network.sites]
    if unknown:
        raise UsageError(
            f"{_listed(unknown)}: no such site in {network.name}, which has {_listed(network.sites)}: leave it out, or "
            "have the lead add it"
        )
    if settings.study not in network.studies:
        if settings.study == DEFAULT_STUDY:
            return  # FLARE's name for no study: all sites
        known = _listed([DEFAULT_STUDY, *sorted(network.studies)])
        raise UsageError(f"study {settings.study!r} is unknown in {network.name}: choose one of {known}")
    enrolled = network.studies[settings.study].get("sites", [])
    outside = [site for site in settings.sites if site not in enrolled]
    if outside:
        raise UsageError(
            f"{_listed(outside)}: not part of study {settings.study!r}, which has {_listed(enrolled)}: leave it out, "
            "or have the lead enrol it"
        )


def check_server(settings: RunSettings, config: SiteConfig) -> None:
    """UsageError where the server's own file lacks what the job starts from or is measured on."""
    if settings.starting_weights != RANDOM and settings.starting_weights not in config.weights:
        raise UsageError(
            f"starting weights {settings.starting_weights!r} are not registered at the server "
            f"(registered: {_listed([RANDOM, *sorted(config.weights)])}): name one of these, or have the lead register "
            "them"
        )
    if settings.aggregation.cost_source == "server_validation" and settings.data_set not in config.validation:
        raise UsageError(
            f"the server has no validation images of data set {settings.data_set!r}: use another cost_source"
        )


def check_site(settings: RunSettings, site: str, config: SiteConfig) -> None:
    """UsageError where this site does not take part. It goes to the submitter, so it names no folder of the site."""
    if site not in settings.sites:
        raise UsageError(f"{site} is not among the sites of run {settings.name!r}")
    if config.studies is not None and settings.study not in config.studies:
        raise UsageError(
            f"study {settings.study!r} is not approved at {site} (approved there: {_listed(config.studies)}): "
            f"leave {site} out, or ask it to add the study to its fedward.yml"
        )
    probe = settings.pretext.probe_data_set if settings.pretext else None
    for name in (settings.data_set, probe):
        if name is None:
            continue
        folder = config.data_sets.get(name)
        if folder is None:
            raise UsageError(
                f"{site} has no data set {name!r} (it has: {_listed(sorted(config.data_sets))}): leave {site} out, or "
                "ask it to add the data set to its fedward.yml"
            )
        if not folder.is_dir():
            raise UsageError(f"the folder of data set {name!r} is missing at {site}: ask its data manager")


def refusals(deployment: Iterable[str]) -> dict[str, str]:
    """Which site refused a job and why, from the lines that FLARE keeps as `job_deploy_detail` in a job's meta."""
    found = {}
    for line in deployment:
        site, separator, answer = line.partition(": ")
        answer = answer.removeprefix("NVFLARE_ERROR: ").strip()
        if separator and answer != "OK" and " " not in site:
            found[site] = answer
    return found


def _listed(names: Iterable[str]) -> str:
    """Names for a sentence; the first ten of many."""
    few = [shown(name)[1:-1] for name in names]
    return ", ".join(few[:10]) + (f" and {len(few) - 10} more" if len(few) > 10 else "") or "none"
