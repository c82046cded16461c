"""Losses against values worked out by hand, and the closed-form gradients against autograd."""

from __future__ import annotations

import pytest
import torch

from farm.paint.losses.functional import (
    content_loss,
    flatten_positions,
    gram_matrix,
    gram_sum,
    range_loss,
    style_loss,
    temporal_loss,
    total_variation,
)
from farm.paint.losses.layer_losses import ContentLoss, StyleLoss


def test_gram_of_a_known_tensor():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # 2 channels, 1 x 2 positions
    expected = torch.tensor([[5.0, 11.0], [11.0, 25.0]]) / 4  # C H W = 4
    assert torch.equal(gram_matrix(features), expected)


def test_gram_does_not_depend_on_the_memory_format(generator):
    features = torch.randn(1, 8, 5, 7, generator=generator)
    last = features.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(gram_matrix(features), gram_matrix(last), atol=1e-6)
    assert flatten_positions(last).data_ptr() == last.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gram_is_float32_where_the_features_would_overflow(dtype):
    gram = gram_matrix(torch.full((1, 4, 16, 16), 3000.0, dtype=dtype))
    assert gram.dtype == torch.float32
    assert torch.allclose(gram, torch.full((4, 4), float(torch.tensor(3000.0, dtype=dtype)) ** 2 / 4), rtol=1e-3)


def test_content_loss_is_the_mean_squared_error():
    assert content_loss(torch.full((1, 2, 3, 3), 5.0), torch.full((1, 2, 3, 3), 2.0)) == 9


def test_style_loss_sums_weighted_layers():
    grams = {"a": torch.full((2, 2), 3.0), "b": torch.full((4, 4), 1.0)}
    targets = {"a": torch.full((2, 2), 1.0), "b": torch.full((4, 4), 0.0)}
    assert style_loss(grams, targets, {"a": 1.0, "b": 0.5}) == 4.5


def test_total_variation():
    assert total_variation(torch.full((1, 3, 8, 9), 77.0)) == 0
    ramp = torch.arange(9.0).expand(1, 3, 8, 9)
    assert total_variation(ramp) == 1
    assert total_variation(2 * ramp.mT) == 4


def test_range_loss_is_zero_inside_and_squared_outside():
    assert range_loss(torch.tensor([0.0, 128.0, 255.0])) == 0
    assert range_loss(torch.tensor([-3.0, 258.0])) == 9


def test_temporal_loss_and_its_gradient_follow_the_formula(generator):
    image = (torch.rand(1, 3, 6, 5, generator=generator) * 255).requires_grad_()
    warped = torch.rand(1, 3, 6, 5, generator=generator) * 255
    weight = torch.rand(6, 5, generator=generator)
    loss = temporal_loss(image, warped, weight)
    difference = (image - warped).detach()
    assert loss.item() == pytest.approx(float((weight * difference**2).sum() / (3 * 6 * 5)), rel=1e-6)
    loss.backward()
    assert torch.allclose(image.grad, 2 * weight * difference / 90, rtol=1e-5)


@pytest.mark.parametrize("size", [(6, 7), (1, 1)])
def test_layer_losses_have_the_value_and_gradient_of_the_plain_losses(generator, size):
    channels_last = torch.channels_last
    features = torch.randn(1, 8, *size, generator=generator).contiguous(memory_format=channels_last)
    gram = torch.randn(8, 8, generator=generator)
    gram = gram + gram.t()  # as every Gram matrix, symmetric
    target = torch.randn(1, 8, *size, generator=generator)
    downstream = torch.randn(1, 8, *size, generator=generator).contiguous(memory_format=channels_last)

    plain = features.clone().requires_grad_()
    style = style_loss({"a": gram_matrix(plain)}, {"a": gram}, {"a": 1.0})
    content = content_loss(plain, target)
    (downstream * plain).sum().add(30 * style + 7 * content).backward()

    gradient = downstream.clone()
    values = []
    for loss in (ContentLoss(target, 7.0), StyleLoss(gram, 30.0)):
        value, remembered = loss.measure(features)
        loss.add_gradient(features, remembered, gradient)
        values.append(value.item())
    assert values == pytest.approx([7 * content.item(), 30 * style.item()], rel=1e-6)
    assert torch.allclose(gradient, plain.grad, rtol=1e-4, atol=1e-5)


def test_a_gradient_in_any_memory_format_is_added_to(generator):
    features = torch.randn(1, 8, 5, 6, generator=generator).contiguous(memory_format=torch.channels_last)
    loss = StyleLoss(torch.zeros(8, 8), 1.0)
    remembered = loss.measure(features)[1]
    last, first = torch.ones_like(features), torch.ones(1, 8, 5, 6)
    loss.add_gradient(features, remembered, last)
    loss.add_gradient(features, remembered, first)
    assert torch.allclose(first, last)
    assert not torch.equal(first, torch.ones(1, 8, 5, 6))


@pytest.mark.parametrize("positions", [1, 7, 8, 1000, 1003])
def test_a_gram_matrix_of_bfloat16_features_is_that_of_their_values(generator, positions):
    flat = torch.randn(positions, 16, generator=generator).relu().bfloat16()
    exact = flat.double().t() @ flat.double()
    found = gram_sum(flat)
    assert found.dtype == torch.float32
    assert (found - exact).norm() < 2e-3 * exact.norm()
    assert torch.equal(found, gram_sum(flat))
    assert torch.allclose(found, found.t())
