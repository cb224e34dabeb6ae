"""Hospitals of a few small slices, and the job command run as a user runs it, in folders that hold nothing else."""

import pytest
from simulated_job import FIVE, Place, lay_out_sites


@pytest.fixture(scope="session")
def sites(tmp_path_factory):
    """Three hospitals with 4, 3 and 2 patients of four slices, 32 pixels wide. Not to be changed."""
    return lay_out_sites(tmp_path_factory.mktemp("three"), hospitals=3, patients=9)


@pytest.fixture(scope="session")
def ten_sites(tmp_path_factory):
    """Ten hospitals with 30 patients."""
    return lay_out_sites(tmp_path_factory.mktemp("ten"), hospitals=10, patients=30)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.remove()


@pytest.fixture(scope="session")
def undisturbed(sites, tmp_path_factory):
    """Five rounds in the simulator, with TensorBoard where it is installed: what other tests compare with."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    try:
        import tensorboard  # noqa: F401

        extra = ["--tensorboard"]
    except ImportError:
        extra = []
    try:
        place.done = place.start(sites, *FIVE, *extra).wait()
        yield place
    finally:
        place.remove()
