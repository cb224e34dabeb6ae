"""Seeds derived from one job seed, so that a result depends on what is computed and never on when or where."""

import hashlib


def derive_seed(job_seed: int, *names: str | int) -> int:
    """A 63-bit seed for a named purpose, e.g. `derive_seed(seed, "train", "hospital-03", round_number)`."""
    text = "/".join(str(part) for part in (job_seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
