"""Reports of classification and of pretraining."""

import base64
import json

import numpy as np
import pytest
from fake_run import SITES
from fake_xray_run import (
    CLASSIFIER_BYTES,
    NO_VALIDATION,
    ONE_CLASS,
    ONE_CLASS_SITE,
    UPDATE_BYTES,
    write_classification_run,
    write_pretext_run,
)
from page_reader import page_of
from PIL import Image

from fedward.datasets.chestxray14 import FINDINGS
from fedward.networks.densenet import DenseNet121
from fedward.reports.classification_page import SECTIONS
from fedward.reports.pretext_page import dimensions
from fedward.reports.run_data import load_run
from fedward.reports.saliency_pictures import save_saliency


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    root = write_classification_run(tmp_path_factory.mktemp("runs") / "moco", start="moco_v2", linear=True)
    image = np.linspace(0, 1, 32 * 32).reshape(32, 32)
    save_saliency(root / "saliency", [("Mass, <b>probability</b> 0.81", image, image)])
    return root


@pytest.fixture(scope="module")
def page(classified):
    return page_of(classified)


def test_headline_has_the_mean_auc_its_interval_and_the_patients(page, classified):
    mean = json.loads((classified / "test.json").read_text())["models"]["best"]["mean_auc"]
    text = page.text["summary"]
    assert "On 150 test patients no hospital trained on, the model of round 8 reaches a mean AUC of" in text
    assert f"{mean['value']:.3f} (95 % interval {mean['low']:.3f} to {mean['high']:.3f}) over 13 of 14" in text
    assert "linear classifier on a frozen encoder · from moco_v2 weights" in page.text["header"]
    assert not any("Dice" in text or "IoU" in text or "NaN" in text for text in page.text.values())


def test_all_sections_are_there_linked_and_safe(page):
    for section in SECTIONS:
        assert page.text[section.id].strip()
        assert f"#{section.id}" in page.addresses
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert "b" in page.tags  # of the tiles
    assert "<b>probability</b>" in page.text["saliency"]
    assert "last map has 8 × 8 places" in page.text["saliency"]


def test_every_key_that_the_starting_weights_lack_or_have_too_many_is_listed(tmp_path):
    root = write_classification_run(tmp_path / "run", start="moco_v2")
    info = json.loads((root / "run.json").read_text())
    fresh, unused = ([f"{part}.{number}" for number in range(9)] for part in ("classifier", "projector"))
    info["starting_weights"] |= {"fresh": fresh, "unused": unused}
    (root / "run.json").write_text(json.dumps(info))
    text = page_of(root).text["settings"]
    assert ", ".join(fresh) in text
    assert ", ".join(unused) in text


def test_a_finding_with_one_class_has_no_auc(page, classified):
    models = json.loads((classified / "test.json").read_text())["models"]
    rows = {row[0]: row[1:] for row in page.rows["results"]}
    assert rows[ONE_CLASS] == ["0", "300", "one class only", "one class only"]
    for finding in FINDINGS[:-1]:
        best, last = (models[name]["findings"][finding] for name in ("best", "last"))
        assert rows[finding.replace("_", " ")] == [
            str(best["positives"]),
            str(best["negatives"]),
            *(text for e in (best, last) for text in (f"{e['auc']:.3f}", f"{e['low']:.3f} to {e['high']:.3f}")),
        ]


def test_the_interval_of_a_hospitals_last_measurement_stands_beside_it(tmp_path):
    root = write_classification_run(tmp_path / "run")
    *before, final = (json.loads(line) for line in (root / "rounds.jsonl").read_text().splitlines())
    details = final["answers"]["hospital-01"]["start"].setdefault("details", {})
    details |= {"auc.low": 0.4125, "auc.high": 0.9}
    (root / "rounds.jsonl").write_text("".join(json.dumps(record) + "\n" for record in (*before, final)))
    assert page_of(root).text["hospitals"].count("[0.412, 0.900]") == 1


def test_hospitals_have_auc_and_bytes_both_ways(page):
    rows = {row[0]: row[1:] for row in page.rows["hospitals"]}
    assert list(rows)[-10:] == SITES
    assert rows[NO_VALIDATION][3:8] == ["–"] * 5  # nothing to validate on
    cost, auc = rows[ONE_CLASS_SITE][4:6]
    assert float(cost) > 0
    assert auc == "–"
    assert 0.5 < float(rows["hospital-10"][5]) < 1
    sent, received = rows["hospital-01"][10:12]
    assert sent == "688.8 kB"
    assert 12 * CLASSIFIER_BYTES == 688_800
    assert received == "28.7 MB"
    assert UPDATE_BYTES + 12 * CLASSIFIER_BYTES == 28_688_800


def svg(address: str) -> str:
    return base64.b64decode(address.partition(",")[2]).decode()


def charts(page) -> list[str]:
    return [svg(a) for a in page.addresses if a.startswith("data:image/svg")]


def test_charts_say_auc_and_leave_blanks(page):
    forest, curves, _, shares, auc_map, _, findings = charts(page)
    assert "one class only" in forest
    assert "Validation mean AUC" in curves
    assert "AUC ratio" in shares
    assert ONE_CLASS in auc_map
    assert "41 of 300" in forest
    assert findings.count("<!-- Pleural Thickening -->") == 1


@pytest.mark.parametrize("rounds", [0, 3])
def test_an_interrupted_classification(tmp_path, rounds):
    page = page_of(write_classification_run(tmp_path / "part", rounds=rounds))
    assert "no test result yet" in page.text["results"]
    told = "Not tested yet. On 352 validation patients the model of round" in page.text["summary"]
    assert told == (rounds > 0)
    assert ("No trained model has been measured yet" in page.text["summary"]) == (rounds == 0)


def test_a_test_without_any_finding_of_both_classes(tmp_path):
    root = write_classification_run(tmp_path / "blank")
    test = json.loads((root / "test.json").read_text())
    for model in test["models"].values():
        model["mean_auc"] = dict.fromkeys(("value", "low", "high"))
        for entry in model["findings"].values():
            entry.update(dict.fromkeys(("auc", "low", "high")))
    (root / "test.json").write_text(json.dumps(test))
    page = page_of(root)
    assert "No test finding has both classes. On 352 validation patients" in page.text["summary"]
    assert page.text["results"].count("one class only") == 2 * len(FINDINGS) + 1  # and the definition


def test_local_and_few_labels_are_said(tmp_path):
    page = page_of(
        write_classification_run(tmp_path / "local", mode="central", rounds=2, planned=2, label_fraction=0.1)
    )
    assert "centralised training · fine-tuning · from random weights · 10 % of the patients" in page.text["header"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    root = write_pretext_run(tmp_path_factory.mktemp("runs") / "moco-v2")
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(root / "views.png")
    return root


def test_a_pretraining_names_its_encoder_and_how_to_use_it(pretrained):
    page = page_of(pretrained)
    sha256 = json.loads((pretrained / "test.json").read_text())["encoder"]["sha256"]
    assert sha256 in page.text["results"]
    assert "fedward register-weights moco-v2 RUN --sites SITES" in page.text["results"]
    assert str(pretrained.parent) not in str(page.text)  # a report is passed on
    assert "20 rounds of moco_v2 on 2,000 images without labels: a k-NN probe" in page.text["summary"]
    assert "training at coordinator alone · moco_v2" in page.text["header"]
    assert sum(a.startswith("data:image/png") for a in page.addresses) == 1
    assert "weights" not in page.text  # of one site
    assert ["warning", "coordinator", "3", "the features have collapsed: rank 1.4"] in page.rows["remarks"]


def test_feature_statistics_have_their_bounds(pretrained):
    page = page_of(pretrained)
    values = dict(zip(*page.rows["results"], strict=False))
    assert (values["after round"], values["evenly spread"]) == ("20", "0.0312")
    std, bound = page.rows["results"][1][2], page.rows["results"][1][4]
    assert float(bound) == pytest.approx(0.05 / 1024**0.5, abs=5e-5)
    assert float(std) > float(bound)
    assert "collapsed below" in charts(page)[0]
    assert page.rows["hospitals"][-1][7] == "89.6"  # 7 steps of 256 in 20 s


def test_a_federated_pretraining_without_a_probe(tmp_path):
    page = page_of(write_pretext_run(tmp_path / "fed", rounds=4, method="byol", probe=False, sites=SITES[:3]))
    assert "3 rounds of byol on 6,000 images without labels: a validation loss of" in page.text["summary"]
    assert "There is no encoder yet" in page.text["results"]
    assert "No pictures of views" in page.text["views"]
    assert page.text["weights"].strip()
    assert "no values" in charts(page)[0]


def test_a_pretraining_that_has_only_begun(tmp_path):
    page = page_of(write_pretext_run(tmp_path / "new", rounds=0))
    assert "No model has been measured yet" in page.text["summary"]
    assert "No round has finished yet" in page.text["curves"]


@pytest.mark.parametrize("growth_rate", [4, 12])
def test_number_of_features(tmp_path, growth_rate):
    root = write_pretext_run(tmp_path / "small", rounds=0)
    settings = json.loads((root / "settings.json").read_text())
    settings["training"]["network_args"]["growth_rate"] = growth_rate
    (root / "settings.json").write_text(json.dumps(settings))
    expected = DenseNet121(out_channels=0, growth_rate=growth_rate).num_features
    assert dimensions(load_run(root)) == expected
