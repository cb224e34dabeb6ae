"""One way to train and validate, used by centralised, local-only and federated runs."""
