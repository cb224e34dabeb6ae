"""Networks by registered name, and their checkpoints."""
