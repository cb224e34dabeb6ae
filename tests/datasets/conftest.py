"""A small phantom set, written once, and a copy of it that a test may damage."""

import shutil
from pathlib import Path

import pytest

from fedward.datasets.phantoms import write_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Six patients of three institutions (PA 3, PB 2, PC 1), four slices of 32x32 each. Not to be changed."""
    folder = tmp_path_factory.mktemp("phantoms") / "kaggle_3m"
    folder.mkdir()
    assert write_phantoms(folder, patients=6, slices=4, size=32, institutions=3) == {"PA": 3, "PB": 2, "PC": 1}
    return folder


@pytest.fixture
def damaged(phantoms, tmp_path) -> Path:
    """A copy of `phantoms` for a test to damage."""
    return Path(shutil.copytree(phantoms, tmp_path / "kaggle_3m"))
