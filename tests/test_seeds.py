"""Seeds by purpose."""

import subprocess
import sys

from fedward.seeds import derive_seed

GOLDEN = 1287642083645320084  # SHA-256 of "1/train/hospital-03/7", first 8 bytes, without the last bit


def test_a_seed_is_the_same_on_every_machine_and_day():
    """A golden value: were it to change, no earlier run could be repeated."""
    assert derive_seed(1, "train", "hospital-03", 7) == GOLDEN
    code = 'from fedward.seeds import derive_seed; print(derive_seed(1, "train", "hospital-03", 7))'
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == GOLDEN


def test_every_part_counts():
    seeds = {
        derive_seed(seed, purpose, site, number)
        for seed in (1, 2)
        for purpose in ("train", "split")
        for site in ("hospital-01", "hospital-11")
        for number in (1, 11)
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)
