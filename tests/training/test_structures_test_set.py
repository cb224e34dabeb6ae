"""test.json, predictions and pictures of a segmentation into structures, against a reference made scan by scan."""

import json
from dataclasses import replace

import numpy as np
import pytest
from heart_files import NETWORK, run_settings, write_patient
from PIL import Image
from sklearn.metrics import f1_score

from fedward.networks.checkpoint import get_parameters, save_model
from fedward.networks.registry import build_network
from fedward.rounds.run_folder import RunFolder
from fedward.training.scan_scores import NOT_PREDICTED, SPACING_UNKNOWN, hausdorff95
from fedward.training.structures_test_set import (
    load_test_set,
    patient_interval,
    write_local_test,
    write_test,
)

NAMES = ("right_ventricle", "myocardium", "left_ventricle")


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """SITES with three test patients, two frames each; one frame has no labels. Not to be changed."""
    root = tmp_path_factory.mktemp("sites")
    for number in (1, 2, 3):
        write_patient(root / "test", number, unlabelled=(9,) if number == 3 else ())
    return root


def save(folder, name, seed, constant=False):
    """A model file of random weights, or of one that finds background alone."""
    parameters = get_parameters(build_network("unet_structures", NETWORK, seed=seed))
    if constant:
        parameters = {key: np.zeros_like(value) for key, value in parameters.items()}
        parameters["head.bias"][0] = 1
    save_model(folder.model(name), parameters, "unet_structures", NETWORK, round=seed)


@pytest.fixture(scope="module")
def tested(sites, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    save(folder, "best", 3)
    save(folder, "last", 4)
    assert write_test(folder, run_settings(), sites, "cpu")
    return folder, json.loads(folder.test.read_text()), np.load(folder.root / "predictions.npz")


def test_each_scan_is_scored_in_three_dimensions(tested):
    _, written, kept = tested
    assert (written["task"], written["structures"], written["unlabelled"]) == ("structures", list(NAMES), 1)
    model = written["models"]["best"]
    assert model["round"] == 3
    assert [(e["patient"], e["frame"]) for e in model["per_scan"]] == list(
        zip(kept["patients"].tolist(), kept["frames"].tolist(), strict=True)
    )
    assert kept["truth"].shape == kept["best"].shape == kept["last"].shape == (15, 16, 16)
    for number, entry in enumerate(model["per_scan"]):
        own = kept["scan"] == number
        truth, guess = kept["truth"][own], kept["best"][own]
        dice = f1_score(truth.ravel(), guess.ravel(), labels=[1, 2, 3], average=None)
        assert [entry["structures"][n]["dice"] for n in NAMES] == pytest.approx(dice.tolist(), rel=1e-9)
        assert entry["dice"] == pytest.approx(dice.mean())
        for label, name in enumerate(NAMES, start=1):
            measured = entry["structures"][name]
            if (guess == label).any():
                expected = hausdorff95(guess == label, truth == label, tuple(kept["spacing"][number]))
                assert measured["hd95"] == pytest.approx(expected)
                assert measured["hd95_missing"] is None
            else:
                assert (measured["hd95"], measured["hd95_missing"]) == (None, NOT_PREDICTED)
    whole = f1_score(kept["truth"].ravel(), kept["best"].ravel(), labels=[1, 2, 3], average=None)
    assert [model["structures"][n]["pooled_dice"] for n in NAMES] == pytest.approx(whole.tolist())
    assert model["evaluation"]["quality"] == pytest.approx(whole.mean())
    assert kept["spacing"].tolist() == [[8.0, 1.5, 1.5]] * 5


def test_both_frames_of_a_patient_belong_together(tested):
    _, written, _ = tested
    model = written["models"]["last"]
    frames = {}
    for entry in model["per_scan"]:
        frames.setdefault(entry["patient"], []).append(entry["dice"])
    assert {p: entry["scans"] for p, entry in model["per_patient"].items()} == {
        **{"patient001": 2, "patient002": 2},
        **{"patient003": 1},
    }
    for patient, values in frames.items():
        assert model["per_patient"][patient]["dice"] == pytest.approx(np.mean(values))
    mean = model["mean_dice"]
    assert (mean["patients"], mean["scans"]) == (3, 5)
    assert mean["value"] == pytest.approx(np.mean([np.mean(v) for v in frames.values()]))
    assert mean["low"] <= mean["value"] <= mean["high"]


def test_an_interval_draws_patients_and_not_scans():
    alone = patient_interval(["a", "b", "c"], [0.2, 0.5, 0.9])
    twice = patient_interval(["a", "a", "b", "b", "c", "c"], [0.1, 0.3, 0.5, 0.5, 0.9, 0.9])
    assert [twice[key] for key in ("value", "low", "high")] == pytest.approx(
        [alone[key] for key in ("value", "low", "high")]
    )
    other = patient_interval(["c", "a", "b"], [0.9, 0.2, 0.5])
    assert other == alone
    rng = np.random.default_rng(5)
    drawn = rng.choice([0.2, 0.5, 0.9], (20_000, 3)).mean(axis=1)
    assert [alone["low"], alone["high"]] == pytest.approx(np.percentile(drawn, (2.5, 97.5)).tolist(), abs=0.03)


def test_an_interval_of_one_patient_or_none():
    one = {"value": 0.5, "low": None, "high": None, "patients": 1, "scans": 2}
    assert patient_interval(["a", "a", "b"], [0.4, 0.6, None]) == one
    assert patient_interval(["a"], [None])["value"] is None


def test_pictures_of_the_best_median_and_worst_scan(tested):
    folder, written, _ = tested
    paths = sorted((folder.root / "overlays").glob("*.png"))
    assert [path.name.split("-")[1] for path in paths] == ["best", "median", "worst"]
    best = max(entry["dice"] for entry in written["models"]["best"]["per_scan"])
    with Image.open(paths[0]) as picture:
        assert f"Dice {best:.2f}" in picture.info["Description"]
        assert min(picture.size) > 150


def test_a_model_that_finds_nothing(sites, tmp_path):
    folder = RunFolder(tmp_path)
    for name in ("best", "last"):
        save(folder, name, 1, constant=True)
    assert write_test(folder, run_settings(), sites, "cpu")
    model = json.loads(folder.test.read_text())["models"]["best"]
    assert model["mean_dice"]["value"] == model["evaluation"]["quality"] == 0
    assert model["hd95"] == {"value": None, "low": None, "high": None, "patients": 0, "scans": 0}
    assert model["structures"]["myocardium"]["hd95"]["missing"] == {NOT_PREDICTED: 5}


def test_no_distance_where_the_spacing_is_lost(tmp_path):
    write_patient(tmp_path / "test", 1, spacing=(1.0, 1.0, 1.0))
    folder = RunFolder(tmp_path / "run")
    for name in ("best", "last"):
        save(folder, name, 3)
    assert write_test(folder, run_settings(), tmp_path, "cpu")
    model = json.loads(folder.test.read_text())["models"]["best"]
    assert model["hd95"]["value"] is None
    said = {s["hd95_missing"] for entry in model["per_scan"] for s in entry["structures"].values()}
    assert SPACING_UNKNOWN in said
    assert None not in said
    assert np.isnan(np.load(folder.root / "predictions.npz")["spacing"]).all()


def test_hospitals_alone_are_averaged(sites, tested, tmp_path):
    names, folder = ("hospital-01", "hospital-02"), RunFolder(tmp_path)
    for seed, site in enumerate(names, start=3):
        for model in ("best", "last"):
            save(RunFolder(tmp_path / site), model, seed)
    assert write_local_test(folder, run_settings(sites=names), sites, names, "cpu")
    found = json.loads(folder.test.read_text())["models"]["best"]
    one, two = (tested[1]["models"][name] for name in ("best", "last"))  # the same two models
    assert found["hospitals"] == {site: m["evaluation"]["quality"] for site, m in zip(names, (one, two), strict=True)}
    assert found["evaluation"]["quality"] == pytest.approx(np.mean(list(found["hospitals"].values())))
    for number, entry in enumerate(found["per_scan"]):
        parts = [m["per_scan"][number] for m in (one, two)]
        for name in NAMES:
            assert entry["structures"][name]["dice"] == pytest.approx(
                np.mean([part["structures"][name]["dice"] for part in parts])
            )
    assert found["mean_dice"]["value"] == pytest.approx(np.mean([m["mean_dice"]["value"] for m in (one, two)]))
    missing = [m["structures"]["myocardium"]["hd95"]["missing"].get(NOT_PREDICTED, 0) for m in (one, two)]
    assert found["structures"]["myocardium"]["hd95"]["missing"].get(NOT_PREDICTED, 0) == sum(missing)


def test_no_test_patient_and_none_with_labels(tmp_path, caplog):
    folder = RunFolder(tmp_path / "run")
    assert not write_test(folder, run_settings(), None, "cpu")
    assert not write_test(folder, run_settings(), tmp_path, "cpu")
    write_patient(tmp_path / "test", 1, unlabelled=(1, 9))
    assert load_test_set(run_settings(), tmp_path) is None
    assert f"2 of 2 test scans in {tmp_path / 'test'} have no labels" in caplog.text
    assert not write_local_test(folder, replace(run_settings(), rounds=2), tmp_path, ("hospital-01",), "cpu")
    assert not folder.test.exists()
