"""FLARE's AppValidator hook: what an app may contain, checked again by server and sites; no site trusts the server."""

from pathlib import Path
from typing import Any

from nvflare.apis.app_validation import AppValidator
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.private.fed.app.fl_app_validator import FLAppValidator
from nvflare.private.fed.utils.app_authz import AppAuthzService

from fedward.errors import FedwardError, UsageError
from fedward.flare.privacy_check import check_privacy
from fedward.flare.signatures import check_may_submit, signers
from fedward.kits.job_app import read_app
from fedward.kits.job_check import SERVER, check_network, check_server, check_site
from fedward.kits.kit import NETWORK_FILE, read_network
from fedward.kits.leaving_plan import refused_features, scope_of
from fedward.rounds.run_folder import read_json
from fedward.settings import RunSettings
from fedward.site_config import FILE_NAME, read_site_config

APP_PREFIX = "app_"
MAX_REASON = 1000  # characters that go to the submitter


class AppCheck(AppValidator, FLComponent):
    """The `app_validator` of resources.json. A refusal goes to the server, into the job's deployment detail.

    FLARE extracts an app to KIT/JOB_ID/app_SITE, and that path says which kit and site it is, so that nothing depends
    on the folder the process was started from.
    """

    def __init__(self) -> None:
        FLComponent.__init__(self)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Before the first job: go ahead of FLARE's own validator, which parses HOCON and YAML with their includes."""
        if event_type != EventType.SYSTEM_BOOTSTRAP:
            return
        service = AppAuthzService.app_validator
        if not isinstance(service, FLAppValidator) or self not in service.validators:
            raise UnsafeComponentError(
                "FLARE does not ask fedward's AppCheck: it must be app_validator in resources.json"
            )
        service.validators.remove(self)
        service.validators.insert(0, self)

    def validate(self, app_folder: str) -> tuple[str, dict[str, Any]]:
        """The reason why this app must not run here, or "" ; never a property such as byoc."""
        try:
            _check(Path(app_folder).absolute())
        except FedwardError as error:
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            self.logger.warning(f"app refused: {error}{cause}"[:MAX_REASON])
            return str(error)[:MAX_REASON], {}
        except Exception as error:  # a fault of ours must refuse too, and FLARE would report no more than its type
            self.logger.exception("app could not be checked")
            return f"the app could not be checked here ({type(error).__name__}; see this site's log)", {}
        return "", {}


def _check_privacy(site: str, path: Path, settings: RunSettings) -> None:
    """FLARE reads the list of what may leave anew for every job, so it is checked for every job, and against it."""
    if not path.is_file() or check_privacy(path):
        raise FedwardError(f"{site} cannot use its privacy.json: ask its IT to run fedward check-kit")
    _, rules, _ = scope_of(read_json(path))  # the default scope: a job names none
    if reason := refused_features(settings, rules):
        raise UsageError(f"{site}: {reason}")


def _check(folder: Path) -> None:
    site, kit = folder.name.removeprefix(APP_PREFIX), folder.parents[1]
    if site == folder.name:
        raise FedwardError("FLARE has put the app into an unexpected folder: is this version of nvflare supported?")
    root_ca = kit / "startup" / "rootCA.pem"
    settings = read_app(folder, signed=root_ca.is_file())
    people = signers(folder, root_ca) if root_ca.is_file() else set()
    try:
        config = read_site_config(kit / "local" / FILE_NAME, site)
    except FedwardError as error:  # it names folders, which the submitter need not know
        raise FedwardError(f"{site} cannot use its {FILE_NAME}: ask its IT to run fedward check-kit") from error
    if site == SERVER:
        check_network(settings, read_network(kit / "local" / NETWORK_FILE))
        check_server(settings, config)
    else:  # which other sites there are is the server's business: a new one must not change every hospital's kit
        check_site(settings, site, config)
        _check_privacy(site, kit / "local" / "privacy.json", settings)
        for person in people:
            check_may_submit(person, site)
