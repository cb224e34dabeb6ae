"""Names that both sides of a task use."""

TRAIN, VALIDATE = "train", "validate"
REPORT = "fedward_report"
FINGERPRINT = "fedward_fingerprint"
ERROR = "fedward_error"
SITE_RETURNED = "fedward.site_returned"  # tells the controller that its job was started again at a restarted site
