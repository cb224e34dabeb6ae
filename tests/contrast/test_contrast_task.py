"""Phantom hearts in three hospitals, through the loop: what a run of contrastive pretraining leaves behind."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fedward.contrast.settings import ContrastSettings
from fedward.contrast.task import TASK
from fedward.datasets.registry import scan_data_set
from fedward.datasets.scan_phantoms import write_acdc
from fedward.errors import DataError, UsageError
from fedward.loop import run_loop
from fedward.networks.checkpoint import read_model
from fedward.networks.initial import initial_parameters
from fedward.networks.starting import starting_parameters
from fedward.preprocessing.scan_cache import prepare_scans
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.pretext.agreed_warnings import FEW_VALIDATION, NO_VALIDATION
from fedward.rounds.run_folder import RunFolder, write_json
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings
from fedward.simulation import CACHE, SERVER_SITE, simulation_config
from fedward.training.site import Site
from fedward.training.task import get_task, join_sites

NETWORK = {"in_channels": 1, "features": 4, "depth": 2}
SITES = {"hospital-01": (3, 1), "hospital-02": (2, 0), "hospital-03": (1, 1)}  # training and validation patients


@pytest.fixture(scope="module")
def sites_folder(tmp_path_factory):
    """Ten patients of six slices: three hospitals, and two test patients. Not to be changed."""
    root = tmp_path_factory.mktemp("hearts")
    write_acdc(root / "all", patients=10, slices=6, size=32, institutions=3, seed=4, workers=1, quiet=True)
    patients = iter(sorted(path for path in (root / "all").iterdir() if path.is_dir()))
    for site, (train, validation) in {**SITES, "test": (2, 0)}.items():
        folder = root / "sites" / site
        folder.mkdir(parents=True)
        names = [shutil.move(next(patients), folder) for _ in range(train + validation)]
        names = [name.rsplit("/", 1)[-1] for name in map(str, names)]
        if site != "test":
            write_json(folder / "split.json", {"train": names[:train], "validation": names[train:]})
    reader = scan_data_set("acdc")
    scans = [scan for folder in (root / "sites").iterdir() for scan in reader.find_scans(folder)]
    prepare_scans(reader, scans, run_settings().preprocessing, root / "sites" / CACHE, workers=1, quiet=True)
    write_json(root / "sites" / "partition.json", {"data_set": "acdc", "sites": {name: {} for name in SITES}})
    return root / "sites"


def run_settings(method="fcl", **contrast):
    contrast = ContrastSettings(method=method, exchange=method == "fcl", **contrast)
    return RunSettings(
        name="run",
        sites=tuple(SITES),
        rounds=2,
        data_set="acdc",
        preprocessing=PreprocessingSettings(bias_field="none", image_size=16),
        training=TrainingSettings(
            network=contrast.network, network_args=NETWORK, loss="contrast", learning_rate=0.003, batch_size=8
        ),
        aggregation=AggregationSettings(scheme="fedavg"),
        contrast=contrast,
    )


def run(settings, sites_folder, folder):
    configs = {name: simulation_config(sites_folder, name, 1, "cpu") for name in (*settings.sites, SERVER_SITE)}
    task = get_task(settings)
    sites = {
        name: Site(name, settings, task.load(name, configs[name], settings), 1, "cpu", None, configs[name])
        for name in settings.sites
    }
    about = {"mode": "federated", "environment": "loop", "versions": {}, "machine": {}}
    run_loop(settings, RunFolder(folder), sites, about, configs[SERVER_SITE], None, lambda record: None)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def finished(sites_folder, tmp_path_factory):
    settings = run_settings(noise=0.01)
    folder = run(settings, sites_folder, tmp_path_factory.mktemp("runs") / "fcl")
    assert TASK.write_test(folder, settings, sites_folder, "cpu")
    return folder


def test_it_leaves_the_encoder_that_a_segmentation_starts_from(finished):
    encoder, metadata = read_model(finished.model("encoder"))
    last, _ = read_model(finished.model("last"))
    assert encoder.keys() == {key for key in last if key.startswith("encoder.")}
    arguments = {**NETWORK, "out_channels": 4}
    random = initial_parameters("unet_structures", arguments, 1)
    begun = starting_parameters("unet_structures", arguments, random, encoder, metadata)
    assert begun.loaded == len(encoder)
    assert all(begun.parameters[key].tobytes() == last[key].tobytes() for key in encoder)
    test = json.loads(finished.test.read_text())
    assert (test["task"], test["models"], test["data_set"]) == ("contrast", {}, "acdc")
    assert test["encoder"]["file"] == "models/encoder.safetensors"


def test_it_leaves_features_of_every_slice_without_names_of_patients(finished):
    with np.load(finished.root / "features.npz") as file:
        features = dict(file)
    assert set(features) == {"rows", "partition", "scan", "hospital", "member", "hospitals"}
    assert features["rows"].shape == (120, 16)  # ten patients, two frames, six slices
    assert np.linalg.norm(features["rows"].astype(float), axis=1) == pytest.approx(1, abs=2e-3)
    assert features["hospitals"].tolist() == list(SITES)
    assert np.bincount(features["hospital"] + 1).tolist() == [24, 48, 24, 24]
    assert features["member"].sum() == 6 * 12
    assert not features["member"][features["hospital"] == -1].any()
    assert np.bincount(features["scan"]).tolist() == [6] * 20
    assert np.bincount(features["partition"]).tolist() == [40, 20, 40, 20]  # 001223


def test_it_measures_what_is_given_away(finished):
    membership = json.loads(finished.test.read_text())["membership"]
    assert set(membership) == {"alignment", "exchanged"}
    for found in membership.values():
        assert (found["members"], found["others"]) == (12, 8)
        assert 0 <= found["low"] <= found["auc"] <= found["high"] <= 1


def test_it_leaves_a_picture_of_partitions_and_views(finished):
    with Image.open(finished.root / "views.png") as picture:
        assert picture.width > 1500
        assert np.asarray(picture.convert("L")).std() > 10


def test_every_round_but_the_first_exchanges_and_the_sentences_are_told(finished):
    first, second = [json.loads(line) for line in finished.rounds.read_text().splitlines() if "training" in line][:2]
    assert "exchange" not in first
    assert set(second["exchange"]["banks"]) == set(SITES)
    assert second["exchange"]["banks"]["hospital-01"]["rows"] == 36
    assert NO_VALIDATION in json.dumps(second)


@pytest.mark.parametrize("method", ["simclr", "rotation"])
def test_the_baselines_run_with_the_same_code(method, sites_folder, tmp_path):
    settings = replace(run_settings(method), rounds=1)
    folder = run(settings, sites_folder, tmp_path / method)
    assert TASK.write_test(folder, settings, sites_folder, "cpu")
    membership = json.loads(folder.test.read_text())["membership"]
    assert membership["exchanged"] is None
    assert membership["alignment"]["auc"] is not None
    assert folder.model("encoder").is_file()


def test_a_server_without_the_images_still_writes_the_encoder(finished, tmp_path):
    shutil.copytree(finished.models, tmp_path / "models")
    assert TASK.write_test(RunFolder(tmp_path), run_settings(), None, "cpu")
    assert "membership" not in json.loads((tmp_path / "test.json").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "test.json"]


def test_sites_are_joined_and_judged(sites_folder):
    settings = run_settings()
    images = [TASK.load(site, simulation_config(sites_folder, site, 1, "cpu"), settings) for site in SITES]
    joined = join_sites(TASK, images)
    assert len(joined.train.scans) == 12
    assert len(joined.validation.scans) == 4
    assert joined.train.labels is None  # contrastive learning never sees them
    assert TASK.judge(images[0], "validation").warnings == (FEW_VALIDATION,)
    assert TASK.judge(images[1], "validation").warnings == (NO_VALIDATION,)
    assert TASK.judge(joined, "validation").warnings == ()


def test_a_site_that_cannot_train_says_so_early(sites_folder, tmp_path):
    settings = run_settings()
    config = simulation_config(sites_folder, "hospital-01", 1, "cpu")
    TASK.check(settings, config)
    with pytest.raises(DataError):
        TASK.check(settings, replace(config, data_sets={"acdc": tmp_path}))
    with pytest.raises(DataError, match="min_patients 9"):
        TASK.load("hospital-01", replace(config, min_patients=9), settings)
    with pytest.raises(UsageError, match="no judgement of its own"):
        TASK.score(settings, config)
