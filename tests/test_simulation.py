"""Where the sites of a simulation find their data."""

import os

import pytest
import yaml

from fedward.errors import FedwardError
from fedward.rounds.run_folder import write_json
from fedward.simulation import find_sites, simulation_config, threads_per_site, workspace_values
from fedward.site_config import read_site_config


@pytest.fixture
def sites(tmp_path):
    for name in ("hospital-02", "hospital-01", "test", "server", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "hospital-03").write_text("a file")
    write_json(tmp_path / "partition.json", {"data_set": "lgg", "sites": {"hospital-01": {}, "hospital-02": {}}})
    return tmp_path


def test_hospitals_are_the_folders_of_that_name(sites):
    assert find_sites(sites) == ("hospital-01", "hospital-02")


def test_no_hospitals(tmp_path):
    with pytest.raises(FedwardError, match="fedward partition"):
        find_sites(tmp_path)
    with pytest.raises(FedwardError, match="is no folder"):
        find_sites(tmp_path / "nothing")


def test_a_site_finds_its_own_images_and_no_others(sites):
    config = simulation_config(sites, "hospital-01", 1, "cpu")
    assert config.data_sets == {"lgg": sites / "hospital-01"}
    assert config.validation == {}
    server = simulation_config(sites, "server", 1, "cpu")
    assert server.data_sets == {}
    assert server.validation == {"lgg": sites / "server"}


@pytest.mark.parametrize("site", ["hospital-01", "server"])
def test_the_file_of_a_workspace_says_the_same(sites, tmp_path, site):
    path = tmp_path / "fedward.yml"
    path.write_text(yaml.safe_dump(workspace_values(sites, tmp_path / "runs", 1, "cpu")))
    read, direct = read_site_config(path, site), simulation_config(sites, site, 1, "cpu", tmp_path / "runs")
    if site != "server":  # the server's entry for hospitals leads nowhere: it has no folder of that name's images
        assert read.data_sets == direct.data_sets
    assert (read.cache, read.runs, read.threads, read.device) == (direct.cache, direct.runs, 1, "cpu")
    assert read.validation == {"lgg": sites / "server"}


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": 1}', '{"a": {"file": "x"}}'])
def test_a_damaged_list_of_weights_says_what_to_do(sites, text):
    (sites / "weights.json").write_text(text)
    with pytest.raises(FedwardError, match=r"weights\.json is damaged: remove it, and register"):
        simulation_config(sites, "server", 1, "cpu")


def test_together_the_sites_do_not_outnumber_the_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [threads_per_site(n) for n in (1, 2, 3, 8, 10)] == [8, 4, 2, 1, 1]
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads_per_site(3) == 1
