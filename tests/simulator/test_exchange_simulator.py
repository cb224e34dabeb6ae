"""Federated contrastive learning through the FLARE simulator, on phantoms: the same bits as in the plain loop."""

import sys
from pathlib import Path

import pytest
from simulated_job import Place
from test_xray_simulator import check_same_bits, lay_out

from fedward.rounds.record import read_records

pytestmark = [pytest.mark.slow, pytest.mark.simulator, pytest.mark.timeout(400)]

JOB = Path(__file__).parents[2] / "jobs" / "cardiac_contrastive" / "job.py"
TINY = ("--image-size", "32", "--features", "4", "--batch-size", "8", "--rounds", "3", "--round-deadline", "120")


def test_encoders_are_the_same_bit_for_bit(tmp_path):
    lay_out("phantoms", "acdc", tmp_path / "images", "--patients", 12, "--seed", 2)
    lay_out("partition", "acdc", tmp_path / "images", "--out", tmp_path / "sites", "--sites", 2, "--seed", 2)
    runs = {}
    for environment in ("sim", "loop"):
        (tmp_path / environment).mkdir()
        place = Place(tmp_path / environment)
        words = [*TINY, "--sites", str(tmp_path / "sites"), "--out", str(place.run.root), "--env", environment]
        try:
            done = place.command(sys.executable, str(JOB), *words, "--device", "cpu", "--threads", "1").wait()
        finally:
            place.remove()
        assert done.code == 0, done.output
        assert place.state["state"] == "finished"
        runs[environment] = place.run
    check_same_bits(runs["sim"], runs["loop"])
    exchanged = [[r.get("exchange") for r in read_records(run.rounds)] for run in runs.values()]
    for simulated, looped in zip(*exchanged, strict=True):
        assert (simulated is None) == (looped is None)
        if simulated:
            assert simulated["sent"] == looped["sent"]
            assert all(bank["rows"] > 0 for bank in simulated["banks"].values())
    assert [one is not None for one in exchanged[0]] == [False, True, True, False]
