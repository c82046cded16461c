"""The network against plain convolutions on the decoded weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from farm.errors import InputError, UsageError
from farm.style.vgg import VGGFeatures

BLUE_GREEN_RED_MEAN = torch.tensor([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1)


def plain_vgg(image, weights, pool, until):
    """As the original network is described: BGR, mean subtracted, 3x3 convolutions, ReLU, 2x2 pooling."""
    x, found, block = image.flip(1) - BLUE_GREEN_RED_MEAN, {}, "1"
    for name, (weight, bias) in weights.convolutions.items():
        if name[4] != block:
            x, block = pool(x, 2), name[4]
        kernel = weight.flip(1) if name == "conv1_1" else weight
        x = torch.relu(functional.conv2d(x, kernel, bias, padding=1))
        found[name.replace("conv", "relu")] = x
        if name.replace("conv", "relu") == until:
            return found
    return found


@pytest.mark.parametrize(("pooling", "pool"), [("max", functional.max_pool2d), ("avg", functional.avg_pool2d)])
def test_equals_plain_convolutions(weights, generator, pooling, pool):
    image = torch.rand(1, 3, 37, 50, generator=generator) * 255  # odd sizes too
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_2", "relu5_1")
    found = VGGFeatures(weights, pooling)(image, layers)
    expected = plain_vgg(image, weights, pool, "relu5_1")
    assert set(found) == set(layers)
    for name in layers:
        scale = expected[name].abs().max()
        assert torch.allclose(found[name], expected[name], atol=float(scale) * 1e-5, rtol=1e-4), name


def test_runs_only_as_deep_as_needed(features, generator):
    seen = []

    def tap(name, found):
        seen.append(name)
        return found

    with torch.no_grad():
        features(torch.rand(1, 3, 16, 16, generator=generator), ("relu2_1", "relu1_2"), tap)
    assert seen == ["relu1_2", "relu2_1"]


def test_gradients_reach_the_image_and_nothing_else(features, generator):
    image = torch.rand(1, 3, 16, 16, generator=generator).requires_grad_()
    features(image, ("relu3_1",))["relu3_1"].sum().backward()
    assert image.grad.abs().sum() > 0
    assert not list(features.parameters())
    assert all(not kernel.requires_grad for pair in features._kernels.values() for kernel in pair)


def test_bfloat16_is_close_to_float32(features, content):
    image = torch.from_numpy(content[:32, :32].copy()).permute(2, 0, 1)[None].float()
    half = features.with_dtype(torch.bfloat16)(image, ("relu4_2",))["relu4_2"]
    full = features(image, ("relu4_2",))["relu4_2"]
    assert half.dtype == torch.bfloat16
    assert (half.float() - full).norm() < 0.03 * full.norm()
    assert features.with_dtype(torch.float32) is features


def test_refuses_what_it_cannot_see(features):
    with pytest.raises(InputError, match="15x40 pixels is too small"):
        features(torch.zeros(1, 3, 40, 15), ("relu1_1",))
    with pytest.raises(UsageError, match="no layer 'relu6_1'"):
        features(torch.zeros(1, 3, 16, 16), ("relu6_1",))
    with pytest.raises(ValueError, match="shape"):
        features(torch.zeros(3, 16, 16), ("relu1_1",))
    with pytest.raises(UsageError, match="pooling"):
        VGGFeatures(features.weights, "median")  # type: ignore[arg-type]
