"""DenseNet-121 against MONAI's, and what the heads and the files of weights rely on."""

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet121 as MonaiDenseNet121

from fedward.networks.densenet import DenseNet121
from fedward.networks.initial import initial_parameters
from fedward.networks.registry import build_network


def monai_state(model):
    """A state dict of ours in MONAI's names."""

    def rename(key):
        if key.startswith("classifier."):
            return key.replace("classifier.", "class_layers.out.")
        head, layer, rest = key.partition(".denselayer")
        number, _, name = rest.partition(".")
        return f"{head}{layer}{number}.layers.{name}" if layer else key

    return {rename(key): value for key, value in model.state_dict().items()}


def with_random_statistics(model, seed=3):
    """Running statistics and affine parameters that differ from 0 and 1, so that a swapped one shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model


@pytest.mark.parametrize(("growth_rate", "in_channels", "outputs"), [(32, 3, 14), (6, 1, 2)])
def test_outputs_equal_monais(growth_rate, in_channels, outputs):
    own = with_random_statistics(
        build_network(
            "densenet121", {"in_channels": in_channels, "out_channels": outputs, "growth_rate": growth_rate}, seed=1
        )
    ).eval()
    other = MonaiDenseNet121(2, in_channels, outputs, init_features=2 * growth_rate, growth_rate=growth_rate).eval()
    other.load_state_dict(monai_state(own))
    image = torch.rand(2, in_channels, 70, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = other(image)
        assert expected.std() > 0
        torch.testing.assert_close(own(image), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_training_equals_monais():
    """Gradients and running statistics after one step in training mode, where activations work in place."""
    own = with_random_statistics(build_network("densenet121", {"growth_rate": 4}, seed=1)).train()
    other = MonaiDenseNet121(2, 3, 14, init_features=8, growth_rate=4).train()
    other.load_state_dict(monai_state(own))
    image = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for model in (own, other):
        model(image).square().sum().backward()
    gradients = dict(other.named_parameters())
    names = dict(zip(own.state_dict(), monai_state(own), strict=True))
    for key, parameter in own.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[names[key]].grad, rtol=1e-3, atol=1e-4)
    after = other.state_dict()
    for key, value in own.state_dict().items():
        torch.testing.assert_close(value, after[names[key]], rtol=1e-4, atol=1e-5)


def test_number_of_parameters_and_keys():
    """6,953,856 as published, and 1024 weights and a bias for each output; keys as in torchvision."""
    model = build_network("densenet121", {})
    assert sum(p.numel() for p in model.features.parameters()) == 6_953_856
    assert sum(p.numel() for p in model.parameters()) == 6_953_856 + 14 * 1025
    keys = list(model.state_dict())
    assert keys[0] == "features.conv0.weight"
    assert keys[-2:] == ["classifier.weight", "classifier.bias"]
    layer = "features.denseblock3.denselayer24"
    for key in ("features.norm0.running_mean", f"{layer}.norm1.weight", f"{layer}.conv2.weight"):
        assert key in keys
    assert {"features.transition3.norm.bias", "features.transition3.conv.weight", "features.norm5.weight"} <= set(keys)


def test_the_encoder_alone_gives_pooled_features():
    encoder = build_network("densenet121", {"out_channels": 0}, seed=1).eval()
    assert not any("classifier" in key for key in encoder.state_dict())
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = encoder(image)
        maps = encoder.feature_map(image)
    assert features.shape == (2, 1024) == (2, encoder.num_features)
    assert maps.shape == (2, 1024, 2, 2)
    assert maps.min() == 0  # after ReLU
    torch.testing.assert_close(features, maps.mean(dim=(2, 3)))


@pytest.mark.parametrize(("size", "early", "late"), [(32, 2, 1), (64, 4, 2), (97, 6, 3), (128, 8, 4)])
def test_the_feature_map_a_stage_earlier(size, early, late):
    model = build_network("densenet121", {"growth_rate": 4}, seed=1).eval()
    image = torch.rand(1, 3, size, size)
    with torch.no_grad():
        first = model.early(image)
        assert first.shape == (1, model.early_features, early, early)
        kept = first.clone()
        last = model.late(first)
        assert torch.equal(first, kept)  # in-place activations must not reach into it
        assert last.shape == (1, model.num_features, late, late)
        assert torch.equal(last, model.feature_map(image))
        assert torch.equal(model(image), model.classifier(last.mean(dim=(2, 3))))


def test_a_change_of_the_early_map_gets_its_gradient():
    model = build_network("densenet121", {"growth_rate": 4}, seed=1).train()
    gate = torch.zeros(1, requires_grad=True)
    first = model.early(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    model.late(first * (1 + gate * first.mean(dim=1, keepdim=True))).square().sum().backward()
    assert gate.grad.abs() > 0
    assert model.features.conv0.weight.grad.abs().sum() > 0


def test_initial_weights():
    """Kaiming normal convolutions (variance 2 / inputs), no bias, neutral batch normalisation."""
    first = initial_parameters("densenet121", {}, 1)
    for key in ("features.conv0.weight", "features.denseblock3.denselayer9.conv1.weight"):
        weight = first[key]
        assert weight.std() == pytest.approx(np.sqrt(2 / weight[0].size), rel=0.03)
        assert abs(weight.mean()) < 0.05 * weight.std() + 1e-3
    assert not first["classifier.bias"].any()
    assert (first["features.norm5.weight"] == 1).all()
    assert not first["features.norm5.bias"].any()
    again, other = initial_parameters("densenet121", {}, 1), initial_parameters("densenet121", {}, 2)
    assert all(np.array_equal(value, again[key]) for key, value in first.items())
    assert not np.array_equal(first["features.conv0.weight"], other["features.conv0.weight"])


def test_the_encoder_begins_the_same_with_and_without_classifier():
    """So that random starts of linear evaluation and of fine-tuning compare the same encoder."""
    whole = initial_parameters("densenet121", {"growth_rate": 4}, 1)
    encoder = initial_parameters("densenet121", {"growth_rate": 4, "out_channels": 0}, 1)
    assert all(np.array_equal(value, whole[key]) for key, value in encoder.items())


def test_channels_last_gives_the_same_outputs():
    model = with_random_statistics(DenseNet121(growth_rate=4)).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        plain = model(image)
        other = model.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, other, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))
