"""One network for all tests of this folder: `fedward network start` on phantoms, ended after the last of them."""

import pytest
from real_network import Network

from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.datasets.phantoms import write_phantoms


@pytest.fixture(scope="session")
def network(tmp_path_factory, worker_id):
    if worker_id != "master":
        started = tmp_path_factory.getbasetemp().parent / "network-started-by"  # the run's own folder
        assert not started.exists(), f"{started.read_text()} has started one: see the scheduler in tests/conftest.py"
        started.write_text(worker_id)
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
