"""`fedward predict` with a classification model, from a folder of X-rays to probabilities and pictures."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fedward.cli import cli, run
from fedward.datasets.chestxray14 import FINDINGS
from fedward.datasets.xray_image import read_resized
from fedward.networks.checkpoint import get_parameters, load_model, save_model
from fedward.networks.encoder import save_encoder
from fedward.networks.registry import build_network
from fedward.prediction_findings import picture_names
from fedward.pretext.augmentation import centre_crop
from fedward.reports.overlays import read_overlays
from fedward.rounds.run_folder import RunFolder, write_json

ARGUMENTS = {"in_channels": 3, "out_channels": 14, "growth_rate": 4}
SIZE, CROP = 40, 32


def save(path: Path, size: int, crop: int) -> Path:
    """Random weights, whose classifier tells the images apart."""
    parameters = get_parameters(build_network("densenet121", ARGUMENTS, seed=1))
    parameters["classifier.bias"] = np.linspace(-1, 1, 14, dtype=np.float32)
    about = {
        "round": 3,
        "run": "r",
        "data_set": "chestxray14",
        "crop_size": crop,
        "preprocessing": {"image_size": size},
    }
    save_model(path, parameters, "densenet121", ARGUMENTS, **about)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("model") / "best.safetensors", SIZE, CROP)


@pytest.fixture
def xrays(tmp_path) -> Path:
    """Five images of all kinds in two folders."""
    source = tmp_path / "in"
    (source / "b").mkdir(parents=True)
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (50, 60), dtype=np.uint8) for _ in range(5)]
    Image.fromarray(pixels[0]).save(source / "z.png")
    Image.fromarray(pixels[1]).save(source / "a.JPG", "JPEG")
    Image.fromarray(pixels[2]).convert("RGBA").save(source / "b" / "a.png")
    Image.fromarray(pixels[3].astype(np.uint16) * 257).save(source / "b" / "deep.png")
    Image.fromarray(pixels[4]).save(source / "b" / "a.jpeg")
    (source / "notes.txt").write_text("x")
    return source


NAMES = ["a.JPG", "b/a.jpeg", "b/a.png", "b/deep.png", "z.png"]


def predict(model: Path, source: Path, out: Path, *more: str) -> int:
    arguments = ["--model", model, "--input", source, "--output", out, "--workers", "1", "--device", "cpu", *more]
    return run(cli, ["predict", *map(str, arguments)])


def table(out: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader((out / "predictions.csv").read_text().splitlines())
    return header, rows


def test_every_image_has_a_row_with_what_the_network_says(tmp_path, model, xrays):
    assert predict(model, xrays, tmp_path / "out") == 0
    header, rows = table(tmp_path / "out")
    assert header == ["image", *FINDINGS]
    assert [row[0] for row in rows] == NAMES
    network, _ = load_model(model)
    for name, *values in rows:
        image = torch.from_numpy(read_resized(xrays / name, SIZE).copy())[None, None]
        with torch.inference_mode():
            expected = network(centre_crop(image, CROP)).sigmoid()[0].numpy()
        assert np.array(values, float) == pytest.approx(expected, abs=1e-5)
        assert all(len(value) == 8 for value in values)  # six digits


def test_no_pictures_of_a_map_of_one_place(tmp_path, model, xrays, capsys):
    assert predict(model, xrays, tmp_path / "out") == 0
    assert "No pictures: the model's crop is below 64 pixels" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["predictions.csv"]


def test_pictures_of_the_most_probable_finding(tmp_path, xrays, capsys):
    larger = save(tmp_path / "larger.safetensors", 72, 64)
    assert predict(larger, xrays, tmp_path / "out", "--overlays", "3") == 0
    assert "No pictures" not in capsys.readouterr().out
    _, rows = table(tmp_path / "out")
    likeliest = [FINDINGS[int(np.argmax(np.array(row[1:], float)))] for row in rows]
    stems = ["a", "b/a.jpeg", "b/a.png"]  # two of one name keep their endings
    expected = [f"{stem}-{finding}.png" for stem, finding in zip(stems, likeliest, strict=False)]
    overlays = tmp_path / "out" / "overlays"
    assert sorted(p.relative_to(overlays).as_posix() for p in overlays.rglob("*.png")) == sorted(expected)
    (label,) = [label for label, _ in read_overlays(overlays)]
    assert label.startswith(f"{likeliest[0]}, probability 0.")
    with Image.open(overlays / expected[0]) as picture:
        assert picture.size == (2 * 384, 384)


@pytest.mark.parametrize("state", ["interrupted", "finished"])
def test_the_model_of_a_run_that_is_not_finished(tmp_path, model, xrays, capsys, state):
    folder = RunFolder(tmp_path / "run")
    folder.models.mkdir(parents=True)
    shutil.copy(model, folder.model("best"))
    write_json(folder.run, {"state": state, "rounds_done": 2, "rounds": 5})
    assert predict(folder.root, xrays, tmp_path / "out") == 0
    assert ("is not finished (interrupted, 2 of 5 rounds)" in capsys.readouterr().err) == (state == "interrupted")


def test_no_pictures_where_none_are_wanted(tmp_path, model, xrays):
    assert predict(model, xrays, tmp_path / "out", "--overlays", "0") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["predictions.csv"]


def test_the_batch_does_not_matter(tmp_path, model, xrays, monkeypatch):
    assert predict(model, xrays, tmp_path / "whole") == 0
    monkeypatch.setattr("fedward.prediction_findings.BATCH", 2)
    assert predict(model, xrays, tmp_path / "parts") == 0
    whole, parts = (np.array([r[1:] for r in table(tmp_path / n)[1]], float) for n in ("whole", "parts"))
    assert parts == pytest.approx(whole, abs=2e-6)


def test_bad_images_are_named_and_cost_no_other(tmp_path, model, xrays, capsys):
    (xrays / "b" / "empty.png").write_bytes(b"")
    (xrays / "cut.png").write_bytes((xrays / "z.png").read_bytes()[:200])
    (xrays / "text.jpg").write_text("no picture")
    assert predict(model, xrays, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "3 of 8 images" in error
    for name in ("empty.png: empty file", "cut.png: unreadable", "text.jpg: unreadable"):
        assert name in error
    assert [row[0] for row in table(tmp_path / "out")[1]] == NAMES


def test_nothing_is_left_where_no_image_can_be_read(tmp_path, model, capsys):
    (tmp_path / "in").mkdir()
    assert predict(model, tmp_path / "in", tmp_path / "out") == 1
    assert "holds no PNG or JPEG" in capsys.readouterr().err
    for n in range(30):
        (tmp_path / "in" / f"{n}.png").write_bytes(b"")
    assert predict(model, tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "none of the 30 images" in error
    assert "and 10 more" in error
    assert not (tmp_path / "out").exists()


def test_an_encoder_tells_no_findings(tmp_path, model, xrays, capsys):
    encoder = tmp_path / "encoder.safetensors"
    save_encoder(model, encoder)
    assert predict(encoder, xrays, tmp_path / "out") == 1
    assert "holds an encoder (densenet121), which predicts nothing by itself" in capsys.readouterr().err
    online = tmp_path / "byol.safetensors"
    arguments = {"in_channels": 3, "growth_rate": 4}
    save_model(online, get_parameters(build_network("byol", arguments)), "byol", arguments)
    assert predict(online, xrays, tmp_path / "out") == 1
    assert "holds an encoder (byol)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_set": "image_folder"}, "14 outputs but image_folder has 0 findings"),
        ({"data_set": "unheard"}, "does not say which findings"),
        ({"preprocessing": None}, "does not say which findings"),
    ],
)
def test_a_model_that_does_not_say_what_it_tells(tmp_path, model, xrays, capsys, change, words):
    network, metadata = load_model(model)
    about = {key: metadata[key] for key in ("round", "data_set", "crop_size", "preprocessing")} | change
    other = tmp_path / "other.safetensors"
    save_model(other, get_parameters(network), "densenet121", ARGUMENTS, **about)
    assert predict(other, xrays, tmp_path / "out") == 1
    assert words in capsys.readouterr().err


def test_broken_weights_are_an_error(tmp_path, model, xrays, capsys):
    network, metadata = load_model(model)
    parameters = get_parameters(network)
    parameters["classifier.bias"][:] = np.nan
    about = {key: metadata[key] for key in ("data_set", "crop_size", "preprocessing")}
    save_model(tmp_path / "nan.safetensors", parameters, "densenet121", ARGUMENTS, **about)
    assert predict(tmp_path / "nan.safetensors", xrays, tmp_path / "out") == 1
    assert "not finite" in capsys.readouterr().err


def test_names_of_pictures():
    root = Path("x")
    names = picture_names(root, [root / "a.png", root / "b" / "a.png", root / "b" / "a.jpg"])
    assert list(names.values()) == ["a", "b/a.png", "b/a.jpg"]
