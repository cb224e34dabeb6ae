"""Federated contrastive learning through the FLARE simulator, on phantoms: the same bits as in the plain loop."""

from dataclasses import replace

import pytest
from test_xray_simulator import check_same_bits, lay_out

from fedward.cardiac_contrastive import SETTINGS
from fedward.datasets.scan_phantoms import write_acdc
from fedward.flare.recipe import export_job
from fedward.flare.simulator_workspace import write_simulator_workspace
from fedward.loop import run_loop
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.simulation import SERVER_SITE, find_sites, simulation_config
from fedward.simulator import simulate
from fedward.training.site import Site
from fedward.training.task import get_task

pytestmark = [pytest.mark.slow, pytest.mark.simulator, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def sites_folder(tmp_path_factory):
    """Two hospitals of three patients, five slices a scan."""
    root = tmp_path_factory.mktemp("hearts")
    write_acdc(root / "images", patients=6, slices=5, size=32, institutions=1, seed=2, workers=1, quiet=True)
    lay_out("partition", "acdc", root / "images", "--out", root / "sites", "--sites", 2, "--workers", 1)
    return root / "sites"


@pytest.fixture(scope="module")
def settings(sites_folder):
    """Two rounds, the second with an exchange before it."""
    training = {"network_args": {"in_channels": 1, "features": 2, "depth": 2}, "batch_size": 8}
    return replace(
        SETTINGS,
        name="run",
        sites=find_sites(sites_folder),
        min_sites=None,
        rounds=2,
        round_deadline=120.0,
        preprocessing=replace(SETTINGS.preprocessing, image_size=32, pixel_spacing=2.0),
        training=replace(SETTINGS.training, **training),
    )


def simulated(settings, sites_folder, root) -> RunFolder:
    folder = RunFolder(root / "run")
    folder.root.mkdir(parents=True)
    job, workspace, log = export_job(settings, root / "job", False), root / "workspace", root / "log.txt"
    write_simulator_workspace(workspace, sites_folder, root, 1, "cpu")
    simulate(job, workspace, settings.sites, folder, settings.round_deadline, log, lambda record: None)
    return folder


def looped(settings, sites_folder, root) -> RunFolder:
    folder = RunFolder(root / "run")
    configs = {name: simulation_config(sites_folder, name, 1, "cpu") for name in (*settings.sites, SERVER_SITE)}
    load = get_task(settings).load
    sites = {
        name: Site(name, settings, load(name, configs[name], settings), 1, "cpu", None, configs[name])
        for name in settings.sites
    }
    run_loop(settings, folder, sites, {"mode": "federated", "environment": "loop"}, configs[SERVER_SITE])
    return folder


def test_encoders_are_the_same_bit_for_bit(settings, sites_folder, tmp_path):
    in_loop = looped(settings, sites_folder, tmp_path / "loop")  # first: it fills the cache
    in_simulator = simulated(settings, sites_folder, tmp_path / "sim")
    assert read_json(in_simulator.run)["state"] == "finished"
    check_same_bits(in_simulator, in_loop)
    exchanged = [[record.get("exchange") for record in read_records(run.rounds)] for run in (in_simulator, in_loop)]
    assert [one is not None for one in exchanged[0]] == [False, True, False]
    for one, other in zip(*exchanged, strict=True):
        assert (one is None) == (other is None)
        if one:
            assert one["sent"] == other["sent"]
            assert all(size > 0 for size in one["sent"].values())
            assert all(bank["rows"] > 0 for bank in one["banks"].values())
