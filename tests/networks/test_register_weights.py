"""`fedward register-weights`, and that a job can start from what it registered."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from weight_files import SMALL, model_file

from fedward.cli import cli, run
from fedward.errors import FedwardError
from fedward.networks.checkpoint import get_parameters, read_model, save_model, sha256_of
from fedward.networks.initial import start_from
from fedward.networks.registry import build_network
from fedward.rounds.run_folder import write_json
from fedward.simulation import registered_weights
from fedward.site_config import RegisteredWeights, read_site_config

TEMPLATES = Path(__file__).parents[2] / "workspace_templates"


@pytest.fixture
def sites(tmp_path):
    folder = tmp_path / "sites"
    write_json(folder / "partition.json", {"data_set": "chestxray14", "sites": {"hospital-01": {}}})
    return folder


@pytest.fixture
def server(tmp_path):
    """What of a server's kit counts here: its role, the network's facts and its fedward.yml."""
    kit = tmp_path / "kits" / "server"
    target = {"servers": [{"service": {"target": "server.example:8002", "scheme": "grpc"}}]}
    write_json(kit / "startup" / "fed_server.json", target)
    facts = {
        "name": "consortium",
        "server": {"name": "server", "host": "server.example", "port": 8002, "admin_port": 8003, "org": "lead"},
        "hospitals": ["hospital-01"],
        "coordinator": None,
        "orgs": {"hospital-01": "one"},
        "studies": {},
        "users": {},
        "fedward": "1",
        "nvflare": "2",
        "ca_sha256": "0",
    }
    write_json(kit / "local" / "network.json", facts)
    shutil.copy(TEMPLATES / "server" / "fedward.yml", kit / "local" / "fedward.yml")
    os.chmod(kit / "local" / "fedward.yml", 0o640)
    return kit


@pytest.fixture
def pretraining(tmp_path):
    """The run folder of a pretraining, and its last model's parameters."""
    folder = tmp_path / "runs" / "moco"
    write_json(folder / "run.json", {"name": "moco", "state": "finished"})
    about = {"run": "moco", "data_set": "chexpert", "preprocessing": {"image_size": 64}}
    model_file(folder / "models" / "best.safetensors", "moco_v2", seed=2, about={**about, "round": 4})
    return folder, model_file(folder / "models" / "last.safetensors", "moco_v2", about={**about, "round": 9})


def register(*arguments):
    return run(cli, ["register-weights", *map(str, arguments)])


def test_a_pretraining_for_simulations(pretraining, sites, capsys):
    folder, parameters = pretraining
    assert register("moco-v2", folder, "--sites", sites) == 0
    file = sites / "weights" / "moco-v2.safetensors"
    digest = sha256_of(file)
    assert json.loads((sites / "weights.json").read_text()) == {
        "moco-v2": {"file": "weights/moco-v2.safetensors", "sha256": digest}
    }
    out = capsys.readouterr().out
    assert f"SHA-256  {digest}" in out
    assert "tensors  725 of densenet121 (growth_rate 4, in_channels 3, out_channels 0)" in out
    assert "from     moco_v2, run moco, round 9, data set chexpert" in out
    assert "--starting-weights moco-v2" in out
    entry = RegisteredWeights(**registered_weights(sites)["moco-v2"])
    start = start_from("moco-v2", entry, "densenet121", {**SMALL, "out_channels": 2}, 1)
    assert start.loaded == 725
    key = "features.denseblock2.denselayer3.conv2.weight"
    assert np.array_equal(start.parameters[key], parameters[f"encoder.{key}"])
    assert start.source["source_sha256"] == sha256_of(folder / "models" / "last.safetensors")


def test_the_best_model_of_a_run_and_a_second_name(pretraining, sites):
    folder, _ = pretraining
    assert register("a", folder, "--sites", sites) == 0
    assert register("b", folder, "--sites", sites, "--which", "best") == 0
    assert list(json.loads((sites / "weights.json").read_text())) == ["a", "b"]
    assert read_model(sites / "weights" / "b.safetensors")[1]["round"] == 4


@pytest.mark.parametrize("state", ["interrupted", "finished"])
def test_a_run_that_is_not_finished_is_named_as_that(pretraining, sites, capsys, state):
    folder, _ = pretraining
    write_json(folder / "run.json", {"name": "moco", "state": state, "rounds_done": 2, "rounds": 5})
    assert register("early", folder, "--sites", sites) == 0
    told = capsys.readouterr()
    assert "(its last model)" in told.out
    note = f"Note: the run in {folder} is not finished (interrupted, 2 of 5 rounds); the command that began it goes on"
    assert (note in told.err) == (state == "interrupted")


def test_a_torchvision_file_at_a_server(server, tmp_path, capsys):
    text = (server / "local" / "fedward.yml").read_bytes()
    source = tmp_path / "densenet121-a639ec97.pth"
    model = build_network("densenet121", {**SMALL, "out_channels": 14}, seed=1)
    torch.save(model.state_dict(), source)
    assert register("imagenet", source, "--kit", server) == 0
    assert "from     torchvision, file densenet121-a639ec97.pth" in capsys.readouterr().out
    entry = read_site_config(server / "local" / "fedward.yml", "server").registered_weights("imagenet")
    assert entry.file == server / "weights" / "imagenet.safetensors"
    assert entry.sha256 == sha256_of(entry.file)
    assert (server / "local" / "fedward.yml").read_bytes().startswith(text)
    assert (server / "local" / "fedward.yml").stat().st_mode & 0o777 == 0o640
    start = start_from("imagenet", entry, "densenet121", {**SMALL, "out_channels": 2}, 1)
    assert np.array_equal(start.parameters["features.conv0.weight"], model.features.conv0.weight.detach().numpy())


@pytest.mark.parametrize("where", ["--sites", "--kit"])
def test_a_name_keeps_its_weights_unless_asked(where, sites, server, tmp_path, capsys):
    folder = sites if where == "--sites" else server
    listed_in = sites / "weights.json" if where == "--sites" else server / "local" / "fedward.yml"
    for seed in (1, 2):
        model_file(tmp_path / f"{seed}.safetensors", seed=seed, out_channels=2)
    assert register("w", tmp_path / "1.safetensors", where, folder) == 0
    file, before = folder / "weights" / "w.safetensors", listed_in.read_bytes()
    digest = sha256_of(file)
    assert register("w", tmp_path / "1.safetensors", where, folder) == 0  # the same weights again
    assert (listed_in.read_bytes(), sha256_of(file)) == (before, digest)
    capsys.readouterr()
    assert register("w", tmp_path / "2.safetensors", where, folder) == 2
    error = capsys.readouterr().err
    assert f"w is registered with SHA-256 {digest}" in error
    assert "--replace" in error
    assert (listed_in.read_bytes(), sha256_of(file)) == (before, digest)
    assert register("w", tmp_path / "2.safetensors", where, folder, "--replace") == 0
    after = sha256_of(file)
    assert after != digest
    assert listed_in.read_bytes() == before.replace(digest.encode(), after.encode())


def test_hospitals_alone_are_for_simulations_and_keep_a_name_of_their_own(pretraining, sites, server, capsys):
    together, _ = pretraining
    alone = together.parent / "alone"
    write_json(alone / "run.json", {"name": "alone", "state": "finished", "mode": "local"})
    write_json(alone / "settings.json", {"sites": ["hospital-01"]})
    shutil.copytree(together, alone / "hospital-01")
    assert register("own", alone, "--kit", server) == 2
    assert "is a run of hospitals alone (--mode local), which a network has no use for" in capsys.readouterr().err
    assert register("own", alone, "--sites", sites) == 0
    assert register("own", together, "--sites", sites, "--replace") == 2
    assert "own is the name of other weights (own@hospital-01)" in capsys.readouterr().err
    assert register("shared", together, "--sites", sites) == 0
    assert register("shared", alone, "--sites", sites) == 2
    assert "shared is the name of other weights (shared)" in capsys.readouterr().err
    assert set(registered_weights(sites)) == {"own@hospital-01", "shared"}


def test_an_encoder_file_keeps_its_sha256(sites, pretraining, tmp_path):
    """So that the name in a simulation and at a server stand for the same file."""
    assert register("a", pretraining[0], "--sites", sites) == 0
    first = sites / "weights" / "a.safetensors"
    assert register("b", first, "--sites", sites) == 0
    assert (sites / "weights" / "b.safetensors").read_bytes() == first.read_bytes()


@pytest.mark.parametrize("network", ["unet_contrast", "unet_rotation"])
def test_a_pretraining_on_volumes_starts_a_segmentation(network, sites, tmp_path, capsys):
    arguments = {"in_channels": 1, "features": 2, "depth": 2}
    folder = tmp_path / "runs" / "fcl"
    write_json(folder / "run.json", {"name": "fcl", "state": "finished"})
    learned = get_parameters(build_network(network, arguments, 3))
    about = {"run": "fcl", "round": 2, "data_set": "acdc"}
    save_model(folder / "models" / "last.safetensors", learned, network, arguments, **about)
    assert register("fcl-v1", folder, "--sites", sites) == 0
    encoder = [key for key in learned if key.startswith("encoder.")]
    out = capsys.readouterr().out
    assert f"tensors  {len(encoder)} of unet_encoder (depth 2, features 2, in_channels 1)" in out
    assert f"from     {network}, run fcl, round 2, data set acdc" in out
    entry = RegisteredWeights(**registered_weights(sites)["fcl-v1"])
    start = start_from("fcl-v1", entry, "unet_structures", {**arguments, "out_channels": 4}, 1)
    assert (start.loaded, start.unused) == (len(encoder), ())
    assert all(np.array_equal(start.parameters[key], learned[key]) for key in encoder)
    assert not any(key.startswith("encoder.") for key in start.fresh)
    with pytest.raises(FedwardError, match="the registered weights are of unet_encoder"):
        start_from("fcl-v1", entry, "unet_structures", {**arguments, "features": 4, "out_channels": 4}, 1)
    assert register("whole", folder / "models" / "last.safetensors", "--sites", sites) == 0  # the same, from the file
    files = [(sites / "weights" / f"{name}.safetensors").read_bytes() for name in ("fcl-v1", "whole")]
    assert files[0] == files[1]


def test_a_unet_is_registered_as_a_whole(sites, tmp_path):
    arguments = {"in_channels": 3, "out_channels": 1, "features": 2, "depth": 1}
    save_model(tmp_path / "m.safetensors", get_parameters(build_network("unet", arguments, 3)), "unet", arguments)
    assert register("brain-v1", tmp_path / "m.safetensors", "--sites", sites) == 0
    assert (sites / "weights" / "brain-v1.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    model_file(path, out_channels=2)
    return path


@pytest.mark.parametrize("name", ["random", "../w", "", ".w", "a/b", "a b"])
def test_names_that_are_none(name, model, sites, capsys):
    assert register(name, model, "--sites", sites) == 2
    assert "random starting weights" in (error := capsys.readouterr().err) or "is not allowed" in error
    assert not (sites / "weights.json").exists()


def test_where_is_one_of_two(model, sites, server, capsys):
    for arguments in ([], ["--sites", sites, "--kit", server]):
        assert register("w", model, *arguments) == 2
        assert "give either --sites (simulations) or --kit" in capsys.readouterr().err


def test_folders_that_are_no_sites_and_no_server(model, server, tmp_path, capsys):
    assert register("w", model, "--sites", tmp_path) == 1
    assert "no partition.json" in capsys.readouterr().err
    assert register("w", model, "--kit", tmp_path / "nowhere") == 2
    assert "unpacked startup kit" in capsys.readouterr().err
    (server / "startup" / "fed_server.json").rename(server / "startup" / "fed_client.json")
    client = {"servers": [{"service": {"target": "h:1"}}], "client": {"fqsn": "hospital-01"}}
    write_json(server / "startup" / "fed_client.json", client)
    assert register("w", model, "--kit", server) == 2
    assert "is the kit of hospital-01: starting weights are registered in the server's kit" in capsys.readouterr().err


def test_a_fedward_yml_of_an_odd_form_is_left_alone(model, server, capsys):
    file = server / "local" / "fedward.yml"
    file.write_text("{runs: /data/runs}\n")
    assert register("w", model, "--kit", server) == 1
    assert "is left as it was" in capsys.readouterr().err
    assert file.read_text() == "{runs: /data/runs}\n"
    assert not (server / "weights").exists()


def test_a_damaged_list_is_not_overwritten(model, sites, capsys):
    for text, message in (("[1]", "must map names"), ('{"w": 3}', "must map names"), ("{", "not valid JSON")):
        (sites / "weights.json").write_text(text)
        assert register("w", model, "--sites", sites) == 1
        assert message in capsys.readouterr().err
        assert (sites / "weights.json").read_text() == text


def nan(path):
    parameters, metadata = read_model(path)
    parameters["features.norm5.weight"][5] = np.nan
    save_model(path, parameters, metadata["network"], metadata["network_args"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "not a readable model file"),
        (lambda path: path.write_bytes(b""), "not a readable model file"),
        (lambda path: save_model(path, {"a": np.zeros(1)}, "resnet", {}), "network 'resnet' is unknown"),
        (lambda path: save_model(path, {"a": np.zeros(1)}, "densenet121", {}), r"missing \(features"),
        (lambda path: save_model(path, {"a": np.zeros(1)}, "densenet121", {"out_channels": 0}), r"missing \(features"),
        (nan, "features.norm5.weight .* holds NaN or infinity"),
    ],
)
@pytest.mark.parametrize("where", ["--sites", "--kit"])
def test_models_that_nobody_should_start_from(damage, message, where, model, sites, server, capsys):
    damage(model)
    folder = sites if where == "--sites" else server
    before = (server / "local" / "fedward.yml").read_bytes()
    assert register("w", model, where, folder) in (1, 2)
    assert re.search(message, capsys.readouterr().err)
    assert not (folder / "weights").exists()
    assert (server / "local" / "fedward.yml").read_bytes() == before


def test_sources_that_are_no_weights(sites, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x")
    assert register("w", tmp_path / "notes.txt", "--sites", sites) == 2
    assert "no run folder, .safetensors model or torchvision .pth file" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert register("w", tmp_path / "empty", "--sites", sites) == 1
    assert "no run folder" in capsys.readouterr().err
    write_json(tmp_path / "empty" / "run.json", {"state": "running"})
    assert register("w", tmp_path / "empty", "--sites", sites) == 1
    assert "has the run finished its first round" in capsys.readouterr().err
