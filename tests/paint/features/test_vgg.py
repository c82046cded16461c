"""The network against plain convolutions on the decoded weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from farm.errors import InputError, UsageError
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses.functional import gram_matrix
from farm.paint.losses.layer_losses import ContentLoss, StyleLoss
from tests.paint.reference import plain_vgg


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_equals_plain_convolutions(weights, generator, pooling):
    image = torch.rand(1, 3, 37, 50, generator=generator) * 255  # odd sizes too
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_2", "relu5_1")
    found = VGGFeatures(weights, pooling)(image, layers)
    expected = plain_vgg(image, weights, pooling)
    assert set(found) == set(layers)
    for name in layers:
        scale = expected[name].abs().max()
        assert torch.allclose(found[name], expected[name], atol=float(scale) * 1e-5, rtol=1e-4), name


def test_winograd_s_way_is_a_millionth_off(weights, generator):
    image = torch.rand(1, 3, 90, 100, generator=generator) * 255
    losses = some_losses(weights, image, generator)
    layers = ("relu2_1", "relu3_1", "relu4_2")
    plain, quick = VGGFeatures(weights), VGGFeatures(weights, winograd=True)
    for name, wanted in plain(image, layers).items():
        found = quick(image, layers)[name]
        assert 0 < (found - wanted).norm() < 1e-5 * wanted.norm(), name
    terms, gradient = plain.evaluate(image, losses)
    other, there = quick.evaluate(image, losses)
    for name, value in terms.items():
        assert float(other[name]) == pytest.approx(float(value), rel=1e-4), name
    assert cosine_similarity(there.flatten(), gradient.flatten(), dim=0) > 0.9999


def test_shows_layers_in_order_and_keeps_none(features, generator):
    seen = []
    image = torch.rand(1, 3, 16, 16, generator=generator)
    assert features(image, ("relu2_1", "relu1_2"), lambda name, found: seen.append((name, found.shape[1]))) == {}
    assert seen == [("relu1_2", 64), ("relu2_1", 128)]
    assert features(image, ()) == {}


def some_losses(weights, image, generator):
    """On shallow, deep and neighbouring layers, before a pooling too, where two losses share a layer."""
    found = plain_vgg(image, weights)
    other = {name: value + value.std() * torch.randn(value.shape, generator=generator) for name, value in found.items()}
    return {
        "relu1_1": [StyleLoss(gram_matrix(other["relu1_1"]) * 1.5, 3.0)],
        "relu1_2": [ContentLoss(other["relu1_2"], 0.2)],
        "relu2_1": [StyleLoss(gram_matrix(other["relu2_1"]) * 0.5, 5.0), ContentLoss(other["relu2_1"], 0.1)],
        "relu4_2": [ContentLoss(other["relu4_2"], 7.0)],
        "relu5_1": [StyleLoss(gram_matrix(other["relu5_1"]) * 2, 1.0)],
    }


def by_autograd(weights, pooling, image, losses, dtype=torch.float64):
    """Values by term and gradient of the sum, from the losses' definitions, with a network of that precision."""
    leaf = image.clone().requires_grad_()
    kernels = {name: (weight.to(dtype), bias.to(dtype)) for name, (weight, bias) in weights.convolutions.items()}
    found = plain_vgg(leaf, replace(weights, convolutions=kernels), pooling)
    terms = {"content": torch.zeros((), dtype=torch.float64), "style": torch.zeros((), dtype=torch.float64)}
    for name, layer in losses.items():
        features = found[name].double()
        flat = features[0].flatten(1)
        for loss in layer:
            seen = features if loss.term == "content" else flat @ flat.t() / flat.numel()
            terms[loss.term] = terms[loss.term] + loss._weight * (seen - loss._target.double()).square().mean()
    (gradient,) = torch.autograd.grad(terms["content"] + terms["style"], leaf)
    return {name: float(value.detach()) for name, value in terms.items()}, gradient


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("size", [(48, 64), (37, 50)])
def test_values_and_gradient_are_autograds(weights, generator, pooling, size):
    image = torch.rand(1, 3, *size, generator=generator) * 255
    losses = some_losses(weights, image, generator)
    terms, gradient = VGGFeatures(weights, pooling).evaluate(image, losses)
    expected, reference = by_autograd(weights, pooling, image, losses)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected, rel=1e-4)
    assert (gradient - reference).norm() < 1e-4 * reference.norm()
    only, nothing = VGGFeatures(weights, pooling).evaluate(image, losses, with_gradient=False)
    assert nothing is None
    assert only == terms


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.heavy
def test_bfloat16_gradient_is_that_of_autograd_in_bfloat16(weights, generator, pooling):
    image = torch.rand(1, 3, 32, 48, generator=generator) * 255
    losses = some_losses(weights, image, generator)
    half = VGGFeatures(weights, pooling, dtype=torch.bfloat16)
    terms, gradient = half.evaluate(image, losses)
    found = {name: float(value) for name, value in terms.items()}
    for dtype, least in ((torch.bfloat16, 0.9998), (torch.float64, 0.995)):
        expected, reference = by_autograd(weights, pooling, image, losses, dtype)
        assert found == pytest.approx(expected, rel=0.01)
        assert cosine_similarity(gradient.flatten().double(), reference.flatten().double(), 0) > least
        assert float(gradient.norm() / reference.norm()) == pytest.approx(1, abs=0.01)
    again_terms, again = half.evaluate(image, losses)
    assert torch.equal(again, gradient)
    assert again_terms == terms


def test_nothing_to_minimise_has_no_gradient(features, generator):
    terms, gradient = features.evaluate(torch.rand(1, 3, 16, 20, generator=generator), {})
    assert terms == {}
    assert gradient.shape == (1, 3, 16, 20)
    assert not gradient.any()


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
