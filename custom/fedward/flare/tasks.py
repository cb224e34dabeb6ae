"""Names that both sides of a task use."""

TRAIN, VALIDATE = "train", "validate"
REPORT = "fedward_report"
FINGERPRINT = "fedward_fingerprint"
ERROR = "fedward_error"
ERROR_KIND = "fedward_error_kind"  # the name of the error's class
SITE_RETURNED = "fedward.site_returned"  # tells the controller that its job was started again at a restarted site
REFUSALS_FILE = "refusals.json"  # in the job's folder at the server: which site did not take the job, and why
