"""One network for all tests of this folder: `fedward network start` on phantoms, ended after the last of them."""

import pytest
from real_network import Network

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.datasets.phantoms import write_phantoms

HERE = "tests/network"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("network"))  # one worker, so one network


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    root = tmp_path_factory.mktemp("network")
    images = root / "images"
    images.mkdir()
    write_phantoms(images, patients=30, slices=4, size=32, institutions=3)
    arguments = ["partition", "lgg", str(images), "--out", str(root / "sites"), "--sites", "10", "--workers", "1"]
    assert run_command(cli, arguments) == 0
    network = Network(root / "net", root / "sites")
    try:
        network.start()
        yield network
    finally:
        network.stop()
