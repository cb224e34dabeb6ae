"""Names that both sides of a task use."""

TRAIN, VALIDATE = "train", "validate"
REPORT = "fedward_report"
FINGERPRINT = "fedward_fingerprint"
ERROR = "fedward_error"
