"""The server's job store: made where it is missing, and said where it cannot be used."""

from pathlib import Path

import pytest

from fedward.errors import FedwardError
from fedward.flare.job_recovery import check_store


def test_a_missing_store_is_made(tmp_path):
    check_store(tmp_path / "store" / "jobs")
    assert list((tmp_path / "store" / "jobs").iterdir()) == []


def test_a_store_that_is_a_file_says_what_to_do(tmp_path):
    (tmp_path / "jobs").write_text("")
    with pytest.raises(FedwardError, match=r"jobs cannot be written .*name another one for job_manager"):
        check_store(tmp_path / "jobs")


def test_a_store_that_cannot_be_written_says_so():
    with pytest.raises(FedwardError, match="/proc/fedward cannot be written"):  # nobody makes a folder there
        check_store(Path("/proc/fedward"))
