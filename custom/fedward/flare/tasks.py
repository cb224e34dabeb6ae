"""Names that both sides of a task use, and what a job of given settings consists of."""

from fedward.rounds.exchange import exchanges
from fedward.settings import RunSettings

TRAIN, VALIDATE, BANK = "train", "validate", "bank"
REPORT = "fedward_report"
FEATURES = "fedward_features"  # of a site, in its answer to BANK
OTHERS = "fedward_others"  # what the other sites offered, a list, in TRAIN
FINGERPRINT = "fedward_fingerprint"
ERROR = "fedward_error"
ERROR_KIND = "fedward_error_kind"  # the name of the error's class
SITE_RETURNED = "fedward.site_returned"  # tells the controller that its job was started again at a restarted site
REFUSALS_FILE = "refusals.json"  # in the job's folder at the server: which site did not take the job, and why
CONTROLLERS = ("fedward.flare.controller.RoundController", "fedward.flare.exchange_controller.ExchangeController")


def site_tasks(settings: RunSettings) -> list[str]:
    """The tasks that a site takes in a run."""
    return [TRAIN, VALIDATE, *([BANK] if exchanges(settings) else [])]


def controller_name(settings: RunSettings) -> str:
    """The class that controls a run."""
    return CONTROLLERS[exchanges(settings)]
