"""`fedward predict` with a segmentation model: from images to masks and pictures, by networks of known answers."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedward.cli import cli, run
from fedward.datasets.lgg import find_cases, read_image, read_mask
from fedward.networks.checkpoint import get_parameters, save_model
from fedward.networks.registry import build_network
from fedward.preprocessing.settings import PreprocessingSettings

PATIENT = "TCGA_CS_0001_19990101"
FLAIR = 1


def write_patient(folder: Path, size=(48, 48), slices=(1, 2, 10), masks: bool = True, name: str = PATIENT) -> Path:
    """A head with a bright block in FLAIR, at another place in each slice."""
    folder.mkdir(parents=True)
    height, width = size
    rng = np.random.default_rng(0)
    for n in slices:
        pixels = np.zeros((height, width, 3), dtype=np.uint8)
        pixels[4:-4, 4:-4] = 80 + rng.integers(0, 8, (height - 8, width - 8, 1))
        block = (slice(8, 20), slice(8 + n, 20 + n))
        pixels[(*block, FLAIR)] = 250
        truth = np.zeros((height, width), dtype=np.uint8)
        truth[block] = 255
        Image.fromarray(pixels).save(folder / f"{name}_{n}.tif")
        if masks:
            Image.fromarray(truth).save(folder / f"{name}_{n}_mask.tif")
    return folder


def write_model(path: Path, bias: float, image_size: int = 32) -> Path:
    """A U-Net whose weights are all zero, so that every logit is the bias of its last layer."""
    arguments = {"in_channels": 3, "out_channels": 1, "features": 4}
    parameters = get_parameters(build_network("unet", arguments))
    last = [key for key in parameters if key.endswith("bias")][-1]
    values = {k: np.full_like(v, bias) if k == last else np.zeros_like(v) for k, v in parameters.items()}
    settings = PreprocessingSettings(bias_field="none", image_size=image_size)
    about = {"round": 3, "run": "r", "data_set": "lgg", "preprocessing": settings.to_dict()}
    save_model(path, values, "unet", arguments, **about)
    return path


@pytest.fixture
def flair_model(monkeypatch, tmp_path):
    """A model file that stands for a network finding tumour where prepared FLAIR is above one half."""
    import torch

    class Threshold(torch.nn.Module):
        def forward(self, image):
            return 20 * (image[:, FLAIR : FLAIR + 1] - 0.5)

    settings = PreprocessingSettings(bias_field="none", image_size=64, percentiles=(0.0, 100.0)).to_dict()
    monkeypatch.setattr(
        "fedward.networks.checkpoint.load_model",
        lambda path: (Threshold(), {"network": "unet", "network_args": {}, "preprocessing": settings}),
    )
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path / "model.safetensors"


def predict(model: Path, source: Path, out: Path, *more: str) -> int:
    arguments = ["--model", model, "--input", source, "--output", out, "--workers", "1", "--device", "cpu", *more]
    return run(cli, ["predict", *map(str, arguments)])


@pytest.mark.parametrize(("bias", "value"), [(5.0, 255), (-5.0, 0)])
def test_masks_have_the_names_and_sizes_of_the_images(tmp_path, bias, value):
    source = write_patient(tmp_path / "in" / PATIENT, size=(40, 64)).parent
    out = tmp_path / "out"
    assert predict(write_model(tmp_path / "m.safetensors", bias), source, out) == 0
    names = sorted(p.name for p in (out / PATIENT).iterdir())
    assert names == sorted(f"{PATIENT}_{n}_mask.tif" for n in (1, 2, 10))
    with Image.open(out / PATIENT / f"{PATIENT}_10_mask.tif") as mask:
        assert (mask.mode, mask.size) == ("L", (64, 40))
        assert set(np.unique(mask)) == {value}
    pictures = sorted(p.name for p in (out / "overlays" / PATIENT).iterdir())
    assert pictures == sorted(f"{PATIENT}_{n}.png" for n in (1, 2, 10))
    with Image.open(out / "overlays" / PATIENT / f"{PATIENT}_1.png") as picture:
        assert picture.size == (640, 400)


@pytest.mark.parametrize("size", [(48, 48), (40, 64), (70, 50), (128, 128)])
def test_the_mask_lies_where_the_tumour_is(tmp_path, flair_model, capsys, size):
    source = write_patient(tmp_path / "in" / PATIENT, size=size)
    assert predict(flair_model, source.parent, tmp_path / "out") == 0
    for n in (1, 2, 10):
        truth, found = (read_mask(p / f"{PATIENT}_{n}_mask.tif") for p in (source, tmp_path / "out" / PATIENT))
        assert found.shape == size
        dice = 2 * (truth & found).sum() / (truth.sum() + found.sum())
        assert dice > 0.9  # a pixel of the border may go, by resizing to 64 and back
    assert float(capsys.readouterr().out.splitlines()[1].split()[-1]) > 0.9


def test_what_was_written_can_be_read_as_a_data_set(tmp_path, flair_model):
    source = write_patient(tmp_path / "in" / PATIENT)
    assert predict(flair_model, source.parent, tmp_path / "out") == 0
    for image in source.glob("*.tif"):
        if "_mask" not in image.name:
            os.link(image, tmp_path / "out" / PATIENT / image.name)
    (case,) = find_cases(tmp_path / "out")
    assert case.slices == (1, 2, 10)
    assert all(read_mask(m).shape == read_image(i).shape[:2] for i, m in zip(case.images, case.masks, strict=True))


def test_a_flat_folder_without_masks_and_with_other_names(tmp_path, flair_model, capsys):
    source = write_patient(tmp_path / "in", masks=False, name="scan")
    (source / ".hidden.tif").write_bytes(b"x")
    (source / "Thumbs.db").write_bytes(b"x")
    (source / "notes.txt").write_text("x")
    assert predict(flair_model, source, tmp_path / "out") == 0
    masks = sorted(p.name for p in (tmp_path / "out").glob("*.tif"))
    assert masks == sorted(f"scan_{n}_mask.tif" for n in (1, 2, 10))
    assert capsys.readouterr().out.splitlines()[1].split() == ["in", "3", "3", "–"]


def test_best_and_last_of_a_run_folder(tmp_path):
    source = write_patient(tmp_path / "in")
    root = tmp_path / "run"
    (root / "models").mkdir(parents=True)
    (root / "run.json").write_text("{}")
    write_model(root / "models" / "best.safetensors", 5.0)
    write_model(root / "models" / "last.safetensors", -5.0)
    assert predict(root, source, tmp_path / "best") == 0
    assert predict(root, source, tmp_path / "last", "--which", "last") == 0
    name = f"{PATIENT}_1_mask.tif"
    assert read_mask(tmp_path / "best" / name).all()
    assert not read_mask(tmp_path / "last" / name).any()


def test_bad_models(tmp_path, capsys):
    source = write_patient(tmp_path / "in")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a model")
    empty_run = tmp_path / "run"
    empty_run.mkdir()
    for model, code, words in (
        (tmp_path / "nowhere", 2, "does not exist: give a run folder or a .safetensors file"),
        (broken, 1, "is not a readable model file"),
        (empty_run, 1, "is no run folder"),
    ):
        assert predict(model, source, tmp_path / "out") == code
        assert words in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    (empty_run / "run.json").write_text("{}")
    assert predict(empty_run, source, tmp_path / "out") == 1
    assert "best.safetensors is missing" in capsys.readouterr().err


def broken_image(source: Path) -> None:
    (source / f"{PATIENT}_2.tif").write_bytes(b"II*\0 cut short")


def other_size(source: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(source / f"{PATIENT}_2.tif")


def grey_image(source: Path) -> None:
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(source / f"{PATIENT}_2.tif")


def other_mask(source: Path) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(source / f"{PATIENT}_2_mask.tif")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (broken_image, "unreadable"),
        (other_size, "all images of a patient must have one size"),
        (grey_image, "wrong type"),
        (other_mask, "has another size than"),
    ],
)
def test_bad_images_name_the_file_and_leave_nothing_behind(tmp_path, flair_model, capsys, damage, words):
    source = write_patient(tmp_path / "in")
    damage(source)
    assert predict(flair_model, source, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert words in error
    assert f"{PATIENT}_2" in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "model.safetensors"]


def test_bad_folders(tmp_path, flair_model, capsys):
    source = write_patient(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    assert predict(flair_model, tmp_path / "empty", tmp_path / "out") == 1
    assert "holds neither images" in capsys.readouterr().err
    assert predict(flair_model, tmp_path / "nowhere", tmp_path / "out") == 2
    assert predict(flair_model, source, source / "out") == 2
    assert "lies inside --input" in capsys.readouterr().err
    assert predict(flair_model, source, source) == 2  # would write over the true masks
    assert "not an empty folder" in capsys.readouterr().err
    assert len(list(source.iterdir())) == 6


def test_overlays_are_not_counted_for_a_segmentation(tmp_path, flair_model, capsys):
    source = write_patient(tmp_path / "in")
    assert predict(flair_model, source, tmp_path / "out", "--overlays", "2") == 2
    assert "--overlays is for X-rays" in capsys.readouterr().err
