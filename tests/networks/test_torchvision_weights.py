"""Files as torchvision publishes them, made from our own network; and files that are something else."""

import os
import pickle
import re

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet121 as MonaiDenseNet121
from weight_files import SMALL

from fedward.errors import FedwardError
from fedward.networks.checkpoint import get_parameters, load_model, read_model, sha256_of
from fedward.networks.densenet import DenseNet121
from fedward.networks.registry import build_network
from fedward.networks.torchvision_weights import read_torchvision, save_torchvision_encoder


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return DenseNet121(**SMALL, out_channels=1000)  # ImageNet has more classes than a job may name


def older(state):
    """The keys of torchvision's published file, which is older than batch normalisation's counters."""
    return {
        re.sub(r"(denselayer\d+\.)(norm|conv)(\d)", r"\1\2.\3", key): value
        for key, value in state.items()
        if "num_batches" not in key
    }


def check(path, model):
    encoder, arguments = read_torchvision(path)
    assert arguments == {**SMALL, "out_channels": 0}
    expected = {key: value for key, value in get_parameters(model).items() if key.startswith("features.")}
    assert list(encoder) == list(expected)
    assert all(np.array_equal(value, expected[key]) for key, value in encoder.items())
    assert all(value.dtype == expected[key].dtype for key, value in encoder.items())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("change", [dict, older])
def test_both_styles_of_keys_and_of_files(model, tmp_path, change, zipped):
    state = change(model.state_dict())
    assert any("denselayer1.norm.1.weight" in key for key in state) == (change is older)
    torch.save(state, tmp_path / "d.pth", _use_new_zipfile_serialization=zipped)
    check(tmp_path / "d.pth", model)


def test_monais_names(tmp_path):
    monai = MonaiDenseNet121(2, 3, 14, init_features=8, growth_rate=4)
    torch.save(monai.state_dict(), tmp_path / "d.pth")
    encoder, _ = read_torchvision(tmp_path / "d.pth")
    own = build_network("densenet121", {**SMALL, "out_channels": 0})
    own.load_state_dict({key: torch.from_numpy(value) for key, value in encoder.items()})
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = torch.relu(monai.eval().features(image)).mean(dim=(2, 3))
        torch.testing.assert_close(own.eval()(image), expected, rtol=1e-4, atol=1e-5)


def test_half_precision_is_widened(model, tmp_path):
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}, tmp_path / "d.pth")
    encoder, _ = read_torchvision(tmp_path / "d.pth")
    assert encoder["features.conv0.weight"].dtype == np.float32


def test_the_encoder_file(model, tmp_path):
    source, out = tmp_path / "densenet121-a639ec97.pth", tmp_path / "imagenet.safetensors"
    torch.save(older(model.state_dict()), source)
    metadata = save_torchvision_encoder(source, out)
    assert metadata["origin"] == "densenet121-a639ec97.pth"
    assert metadata["source_sha256"] == sha256_of(source)
    _, written = read_model(out)
    assert {key: written[key] for key in metadata} == metadata
    encoder, _ = load_model(out)
    assert torch.equal(encoder.features.conv0.weight, model.features.conv0.weight)


class Code:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


@pytest.fixture
def another(model):
    """What a file may hold instead: name -> the object, and what the message says of it."""
    state = model.state_dict()
    third = {k.replace("block3", "block9"): v for k, v in state.items() if "denseblock4" in k}
    deeper = {**state, **{k.replace("denselayer24", "denselayer25"): v for k, v in state.items() if "layer24." in k}}
    broken = {**state, "features.norm5.bias": torch.full((128,), torch.nan)}
    return {
        "resnet": ({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(9)}, "another network than"),
        "nothing": ({}, "no state dict"),
        "a list": ([torch.zeros(1)], "no state dict"),
        "numbers for names": ({1: torch.zeros(1)}, "no state dict"),
        "numbers for tensors": ({"features.conv0.weight": 3}, "no state dict"),
        "a checkpoint around it": ({"state_dict": state}, "no state dict"),
        "the module itself": (model, "code in it is never run"),
        "code": ({"features.conv0.weight": Code()}, "code in it is never run"),
        "a deeper DenseNet": (deeper, r"its blocks have \[6, 12, 25, 16\] layers"),
        "a part": ({k: v for k, v in state.items() if k not in third}, r"its blocks have \[6, 12, 24, 0\] layers"),
        "a missing tensor": ({k: v for k, v in state.items() if "transition2.conv" not in k}, r"1 missing \(feat"),
        "a further tensor": ({**state, "features.extra": torch.zeros(1)}, r"1 unexpected \(features.extra\)"),
        "another shape": ({**state, "features.norm5.bias": torch.zeros(3)}, r"1 misshapen \(features.norm5.bias\)"),
        "too wide": ({**state, "features.conv0.weight": torch.zeros(200, 3, 7, 7)}, "growth_rate must be"),
        "NaN": (broken, r"features.norm5.bias .* NaN"),
    }


@pytest.mark.parametrize(
    "what",
    [
        "resnet",
        "nothing",
        "a list",
        "numbers for names",
        "numbers for tensors",
        "a checkpoint around it",
        "the module itself",
        "code",
        "a deeper DenseNet",
        "a part",
        "a missing tensor",
        "a further tensor",
        "another shape",
        "too wide",
        "NaN",
    ],
)
def test_files_of_something_else(another, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, message = another[what]
    torch.save(value, "d.pth")
    with pytest.raises(FedwardError, match=rf"d.pth .*{message}.*give a state dict of torchvision's densenet121"):
        read_torchvision(tmp_path / "d.pth")
    assert os.listdir() == ["d.pth"]  # no code ran


@pytest.mark.parametrize("part", [0, 10, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_cut_short(model, tmp_path, part, zipped):
    path = tmp_path / "d.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: part if part in (0, 10) else int(part * len(data))])
    with pytest.raises(FedwardError, match="damaged"):
        read_torchvision(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("data", [b"<html>404 not found</html>", b"\x00" * 100, b"PK\x03\x04", pickle.dumps(Code())])
def test_files_that_torch_did_not_write(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.pth").write_bytes(data)
    with pytest.raises(FedwardError, match="damaged"):
        read_torchvision(tmp_path / "d.pth")
    assert os.listdir() == ["d.pth"]


@pytest.mark.parametrize("name", ["nowhere.pth", "."])
def test_no_file(tmp_path, name):
    with pytest.raises(FedwardError, match="is no file"):
        read_torchvision(tmp_path / name)
