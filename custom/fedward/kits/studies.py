"""Whether the studies that a site's fedward.yml approves are studies of the network, and of this site."""

from fedward.kits.finding import Finding, ok, problem, warning
from fedward.kits.kit import Kit
from fedward.settings import DEFAULT_STUDY
from fedward.site_config import SiteConfig

NAME = "studies"


def check_studies(kit: Kit, config: SiteConfig) -> list[Finding]:
    """A name that no job can have here would look like consent and take no job."""
    if config.studies is None:
        return [ok(NAME, "any, for fedward.yml has no 'studies:'")]
    own = sorted(name for name, study in kit.network.studies.items() if kit.name in study.get("sites", []))
    if not config.studies:
        fix = f"add its studies to local/fedward.yml, of: {', '.join(own) or 'none yet'}"
        return [warning(NAME, "fedward.yml lists none: the site takes no job", fix)]
    fix = (
        f"correct local/fedward.yml; studies of {kit.name} are: {', '.join(own) or 'none'} "
        "(for one that is new since, take local/network.json from the lead)"
    )
    findings = []
    for name in config.studies:
        if name in own or name == DEFAULT_STUDY:  # FLARE's name for no study: all sites are part of it
            continue
        known = name in kit.network.studies
        why = f"{kit.name} is not part of study {name!r}" if known else f"{kit.network.name} has no study {name!r}"
        findings.append(problem(NAME, f"{why}: no job of it can come", fix))
    return findings or [ok(NAME, ", ".join(config.studies))]
