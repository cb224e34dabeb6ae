"""Whole runs on phantom X-rays in the plain loop: pretraining, its encoder, then classification from it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from xray_run import classification, pretraining

from event_reader import curves
from fedward.datasets.selection import SelectionSettings
from fedward.datasets.xray_phantom_sets import write_chestxray14
from fedward.errors import FedwardError
from fedward.networks.checkpoint import load_model, read_model
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.running import run_and_report
from fedward.training import classification_test_set
from fedward.training.classification import predict_logits
from fedward.training.classification_task import ONE_PATIENT
from fedward.training.site import Site

FINDINGS = 14
# Golden metrics of these phantoms in float32 on a CPU; the tolerances are for other processors and torch versions.
LINEAR_COSTS = [0.718, 0.704, 0.690, 0.677]  # validation cost before and after each of three rounds
PRETEXT_LOSSES = {"moco_v2": [2.31, 2.34], "frid": [0.95, 0.67]}  # training loss of two rounds; untrained 2.73 (MoCo)


@pytest.fixture(scope="session")
def xray_sites(tmp_path_factory):
    """Three hospitals and test patients of phantoms. Runs fill its cache and register weights; nothing else changes."""
    from fedward.commands.partition import command

    root = tmp_path_factory.mktemp("xrays")
    phantoms(root / "images", 45)
    arguments = ["chestxray14", str(root / "images"), "--out", str(root / "sites"), "--sites", "3", "--fold", "1"]
    result = CliRunner().invoke(command, [*arguments, "--seed", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return root / "sites"


def phantoms(folder, patients):
    folder.mkdir(parents=True)
    write_chestxray14(folder, patients, size=48, institutions=3, seed=1, workers=1, quiet=True)


def run(settings, sites, root, mode="federated", tensorboard=False):
    folder = RunFolder(root / settings.name)
    run_and_report(settings, mode, "loop", sites, folder, 1, "cpu", tensorboard, Console(quiet=True))
    return folder


def test_the_encoder_comes_once_and_then_the_classifier_alone(xray_sites, tmp_path):
    folder = run(classification(xray_sites, {"mode": "linear", "learning_rate": 0.1}, rounds=3), xray_sites, tmp_path)
    first, second, third, final = read_records(folder.rounds)
    model, _ = read_model(folder.model("last"))
    classifier = sum(value.nbytes for key, value in model.items() if key.startswith("classifier."))
    for site in first["answers"]:
        assert first["answers"][site]["sent"] == sum(value.nbytes for value in model.values())
        assert first["answers"][site]["bytes"] == classifier
        for record in (second, third, final):
            assert record["answers"][site]["sent"] == classifier
    start, _ = read_model(run(classification(xray_sites, rounds=1, name="other"), xray_sites, tmp_path).model("last"))
    assert set(model) == set(start)  # a linear run's model is whole: predict and the next run can use it
    costs = [record["received"]["cost"] for record in (first, second, third, final)]
    assert costs == pytest.approx(LINEAR_COSTS, abs=0.01)


def test_a_site_that_failed_gets_the_encoder_again(xray_sites, tmp_path, monkeypatch):
    """It may have been set up anew, without its cache."""
    seen, train = [], Site.train

    def failing(self, parameters, round_number):
        seen.append((self.name, round_number, len(parameters)))
        if (self.name, round_number) == ("hospital-02", 2):
            raise FedwardError("the disk is gone")
        return train(self, parameters, round_number)

    monkeypatch.setattr(Site, "train", failing)
    run(classification(xray_sites, {"mode": "linear"}, rounds=3, min_sites=2), xray_sites, tmp_path)
    whole = seen[0][2]
    assert [count for name, _, count in seen if name == "hospital-02"] == [whole, 2, whole]
    assert [count for name, _, count in seen if name == "hospital-01"] == [whole, 2, 2]


@pytest.mark.parametrize("mode", ["fine_tune", "linear"])
def test_interrupted_and_continued_is_the_same_as_never_interrupted(xray_sites, tmp_path, monkeypatch, mode):
    settings = classification(xray_sites, {"mode": mode})
    whole = run(settings, xray_sites, tmp_path / "whole")
    train = Site.train

    def interrupted(self, parameters, round_number):
        if (self.name, round_number) == ("hospital-02", 2):
            raise KeyboardInterrupt
        return train(self, parameters, round_number)

    with monkeypatch.context() as patched:
        patched.setattr(Site, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(settings, xray_sites, tmp_path / "broken")
    again = run(settings, xray_sites, tmp_path / "broken")
    assert again.model("last").read_bytes() == whole.model("last").read_bytes()


def test_the_test_of_a_run_has_auc_counts_and_predictions(xray_sites, tmp_path):
    folder = run(classification(xray_sites), xray_sites, tmp_path)
    test = read_json(folder.test)
    best = test["models"]["best"]
    assert len(test["findings"]) == FINDINGS
    with np.load(folder.root / "predictions.npz") as saved:
        scores, labels, patients = saved["best"], saved["labels"], saved["patients"]
    assert scores.shape == labels.shape == (len(patients), FINDINGS)
    known = []
    for i, finding in enumerate(test["findings"]):
        entry = best["findings"][finding]
        positive, negative = scores[labels[:, i] == 1, i], scores[labels[:, i] == 0, i]
        assert (entry["positives"], entry["negatives"]) == (len(positive), len(negative))
        if len(positive) and len(negative):
            pairs = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
            assert entry["auc"] == pytest.approx(pairs)
            assert entry["low"] <= entry["auc"] <= entry["high"]
            known.append(entry["auc"])
        else:
            assert entry["auc"] is entry["low"] is entry["high"] is None
    assert best["mean_auc"]["value"] == pytest.approx(np.mean(known))
    assert list((folder.root / "saliency").glob("*.png"))
    assert folder.report.is_file()


def test_alone_and_together(xray_sites, tmp_path):
    local = run(classification(xray_sites, {"mode": "linear"}, rounds=1, name="local"), xray_sites, tmp_path, "local")
    with np.load(local.root / "predictions.npz") as saved:
        assert saved["best"].shape[0] == 3
    assert read_json(local.test)["models"]["last"]["mean_auc"]["low"] is not None
    central = run(classification(xray_sites, rounds=1, name="central"), xray_sites, tmp_path, "central")
    apart = run(classification(xray_sites, rounds=1, name="apart"), xray_sites, tmp_path)
    together = read_records(central.rounds)[0]["answers"]["central"]
    alone = read_records(apart.rounds)[0]["answers"].values()
    assert together["samples"] == sum(answer["samples"] for answer in alone)
    assert together["steps"] == sum(answer["steps"] for answer in alone)


def test_hospitals_that_are_all_sure_of_an_image_have_a_test_all_the_same(xray_sites, tmp_path, monkeypatch):
    """Each model's probability is exactly 1 in float32, whose logit is infinite."""
    monkeypatch.setattr(classification_test_set, "predict_logits", lambda *given: predict_logits(*given) + 40)
    settings = classification(xray_sites, {"mode": "linear", "batch_size": 1}, rounds=1)
    folder = run(settings, xray_sites, tmp_path, "local")
    last = read_json(folder.test)["models"]["last"]
    assert last["mean_auc"]["value"] == 0.5  # all images alike
    with np.load(folder.root / "predictions.npz") as saved:
        assert (saved["last"] == 1).all()
        absent = (saved["labels"] == 0).sum() / (~np.isnan(saved["labels"])).sum()
    # The largest float32 below 1 is 1 - 2**-24: an absent finding costs its logit, a present one nothing.
    assert last["evaluation"]["cost"] == pytest.approx(absent * np.log(2**24 - 1), rel=1e-4)


def test_a_fraction_of_the_labels_leaves_every_hospital_a_patient_and_says_so(xray_sites, tmp_path):
    few = SelectionSettings(label_fraction=0.01)
    folder = run(classification(xray_sites, {"mode": "linear"}, rounds=1, selection=few), xray_sites, tmp_path)
    record = read_records(folder.rounds)[0]
    assert {w["site"] for w in record["warnings"] if w["message"] == ONE_PATIENT} == set(record["answers"])
    assert all(answer["samples"] >= 1 for answer in record["answers"].values())


@pytest.mark.parametrize("scheme", ["costw", "costw_ce", "dcew", "fedpid"])
def test_every_scheme_weights_by_cross_entropy_and_auc(xray_sites, tmp_path, scheme):
    from fedward.settings import AggregationSettings

    settings = classification(xray_sites, {"mode": "linear"}, rounds=3, aggregation=AggregationSettings(scheme=scheme))
    records = read_records(run(settings, xray_sites, tmp_path).rounds)
    assert records[1]["weights"] != records[0]["weights"]
    assert all(sum(r["weights"].values()) == pytest.approx(1) for r in records[:3])


# --- pretraining ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["moco_v2", "frid"])
def test_only_the_online_network_is_averaged_and_the_encoder_is_handed_on(xray_sites, tmp_path, method):
    settings = pretraining(xray_sites, method, {"queue_size": 4} if method == "moco_v2" else {})
    folder = run(settings, xray_sites, tmp_path)
    model, _ = read_model(folder.model("last"))
    assert {key.split(".")[0] for key in model} <= {"encoder", "projector", "predictor"}
    encoder, about = read_model(folder.model("encoder"))
    for key, value in encoder.items():
        assert value.tobytes() == model[f"encoder.{key}"].tobytes()
    assert (about["network"], about["network_args"]["out_channels"]) == ("densenet121", 0)
    record = read_records(folder.rounds)[0]
    assert {"features.std", "features.rank"} <= set(record["received"]["details"])
    assert read_json(folder.test)["encoder"]["file"] == "models/encoder.safetensors"
    assert (folder.root / "views.png").is_file()
    assert load_model(folder.model("encoder"))[0].classifier is None


def test_the_event_file_of_a_pretraining_has_loss_feature_statistics_and_the_probe(xray_sites, tmp_path):
    pytest.importorskip("tensorboard")
    settings = pretraining(xray_sites, pretext={"probe_every": 2})
    folder = run(settings, xray_sites, tmp_path, tensorboard=True)
    found = curves(folder.root / "tensorboard")
    records = read_records(folder.rounds)
    losses = [(record["round"], record["answers"]["hospital-01"]["loss"]) for record in records[:2]]
    assert found["loss/hospital-01"] == [(number, pytest.approx(loss)) for number, loss in losses]
    for tag, steps in {"features/std": [0, 1, 2], "features/rank": [0, 1, 2], "knn/auc": [0, 2]}.items():
        assert [step for step, _ in found[tag]] == steps
        known = [(record["received"]["details"] or {}).get(tag.replace("/", ".")) for record in records]
        assert [value for _, value in found[tag]] == pytest.approx([value for value in known if value is not None])


@pytest.mark.parametrize("method", PRETEXT_LOSSES)
def test_a_pretext_learns_as_it_did(tmp_path, method):
    """Two rounds of a coordinator on weak views, from which MoCo's loss soon leaves that of a guess, ln 17 = 2.83.

    Groups of four keys: batch normalisation makes of two images nothing but a sign, which rounding can turn.
    """
    root = tmp_path / "sites"
    phantoms(root / "coordinator", 40)
    write_json(root / "partition.json", {"data_set": "chestxray14", "sites": {"coordinator": {}}})
    weak = {"crop_size": 64, "min_crop": 0.9, "rotation": 0.0, "jitter": 0.1, "blur": 0.0, "flip": False}
    own = {**weak, "private_state": "keep", "momentum": 0.9, **({"queue_size": 16} if method == "moco_v2" else {})}
    settings = pretraining(root, method, own, preprocessing=PreprocessingSettings(bias_field="none", image_size=72))
    training = replace(settings.training, batch_size=16, local_steps=16, optimizer="adam", learning_rate=0.003)
    records = read_records(run(replace(settings, training=training), root, tmp_path).rounds)
    losses = [record["answers"]["coordinator"]["loss"] for record in records[:2]]
    assert losses == pytest.approx(PRETEXT_LOSSES[method], abs=0.1)


def test_a_queue_too_large_for_a_hospital_is_refused_before_any_image_is_read(xray_sites, tmp_path):
    with pytest.raises(FedwardError, match=r"hospital-0\d: pretext: a queue of 400 keys"):
        run(pretraining(xray_sites, "moco_v2", {"queue_size": 400}, name="queue"), xray_sites, tmp_path)
    assert not (tmp_path / "queue").exists()


def test_classification_starts_from_a_registered_pretraining(xray_sites, tmp_path):
    from fedward.commands.register_weights import command

    folder = run(pretraining(xray_sites, "byol", name="byol-run"), xray_sites, tmp_path)
    registered = CliRunner().invoke(command, ["byol", str(folder.root), "--sites", str(xray_sites)])
    assert registered.exit_code == 0, registered.output
    settings = classification(xray_sites, {"mode": "linear"}, rounds=1, starting_weights="byol", name="from-byol")
    started = run(settings, xray_sites, tmp_path)
    about = read_json(started.run)["starting_weights"]
    assert about["name"] == "byol"
    assert about["fresh"] == ["classifier.weight", "classifier.bias"]
    model, encoder = read_model(started.model("last"))[0], read_model(folder.model("encoder"))[0]
    assert all(model[key].tobytes() == value.tobytes() for key, value in encoder.items())


def test_weights_of_another_width_are_refused_before_anything_is_trained(xray_sites, tmp_path):
    from fedward.commands.register_weights import command

    folder = run(pretraining(xray_sites, "rotation", name="rotation-run"), xray_sites, tmp_path)
    CliRunner().invoke(command, ["narrow", str(folder.root), "--sites", str(xray_sites)], catch_exceptions=False)
    wide = {"network_args": {"in_channels": 3, "out_channels": 14, "growth_rate": 8}}
    settings = classification(xray_sites, wide, starting_weights="narrow", name="wide")
    with pytest.raises(FedwardError, match="growth_rate"):
        run(settings, xray_sites, tmp_path)
    assert not (tmp_path / "wide" / "rounds.jsonl").exists()


def test_a_coordinator_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    """Queue, momentum encoder and optimiser are kept at the site: the same bits as without the interruption."""
    root = tmp_path / "sites"
    phantoms(root / "coordinator", 20)
    write_json(root / "partition.json", {"data_set": "chestxray14", "sites": {"coordinator": {}}})
    kept = {"queue_size": 4, "private_state": "keep"}
    settings = pretraining(root, "moco_v2", kept, rounds=3)
    whole = run(settings, root, tmp_path / "whole")
    for folder in (root / "cache").glob("state"):
        folder.rename(root / "cache" / "state-of-the-first")
    train = Site.train

    def interrupted(self, parameters, round_number):
        if round_number == 3:
            raise KeyboardInterrupt
        return train(self, parameters, round_number)

    with monkeypatch.context() as patched:
        patched.setattr(Site, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(settings, root, tmp_path / "broken")
    again = run(settings, root, tmp_path / "broken")
    assert again.model("last").read_bytes() == whole.model("last").read_bytes()
    without = run(pretraining(root, "moco_v2", {"queue_size": 4}, rounds=3), root, tmp_path / "reset")
    assert without.model("last").read_bytes() != whole.model("last").read_bytes()


def test_what_a_report_says_is_what_a_server_takes(xray_sites, tmp_path):
    from fedward.rounds.site_report import check_report

    record = read_records(run(classification(xray_sites, rounds=1), xray_sites, tmp_path).rounds)[0]
    answer = record["answers"]["hospital-01"]
    checked = check_report(json.loads(json.dumps({**answer, "warnings": []})))
    assert checked["end"].details == answer["end"]["details"]
    assert any(name.startswith("positives.") for name in answer["end"]["details"])
