"""A style for each region: Gram matrices over a part of the picture, and photographs that stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from farm.paint.losses import functional as losses
from farm.paint.losses.guided import (
    Guide,
    GuidedStyleLoss,
    StyledRegion,
    guided_gram,
    layer_weights,
    paste,
    pool_to_layer,
    region_at,
)
from farm.paint.losses.layer_losses import StyleLoss
from farm.paint.losses.targets import SizedTargets, Style, StyleTargets
from farm.paint.optimizer.frame import FrameOptimizer, Objective, OptimizeSettings
from farm.paint.optimizer.pyramid import Painter, stylize_coarse_to_fine
from farm.paint.tensors import image_to_tensor
from tests.paint.reference import plain_vgg

SIZE = (64, 80)
SMALL = OptimizeSettings(style_layers={"relu1_1": 1.0, "relu2_1": 1.0}, content_layers={"relu2_2": 1.0})
LEFT = np.zeros(SIZE, np.float32)
LEFT[:, :40] = 1


def some_features(generator, channels=8, height=6, width=10):
    return torch.randn(1, channels, height, width, generator=generator).contiguous(memory_format=torch.channels_last)


def value_and_gradient(loss, features):
    value, remembered = loss.measure(features)
    gradient = torch.zeros_like(features)
    loss.add_gradient(features, remembered, gradient)
    return value, gradient


@pytest.fixture(scope="module")
def targets(features, painting):
    return StyleTargets.of(features, [Style(painting)], SIZE)


@pytest.fixture(scope="module")
def other_targets(features, painting):
    return StyleTargets.of(features, [Style(255 - painting[:, ::-1])], SIZE)


def test_a_mask_of_ones_gives_the_plain_gram_matrix_loss_and_gradient_exactly(generator):
    found, target = some_features(generator), torch.rand(8, 8, generator=generator)
    ones = torch.ones(60)
    assert torch.equal(guided_gram(found, ones), losses.gram_matrix(found))
    plain, guided = (
        value_and_gradient(loss, found)
        for loss in (StyleLoss(target, 100.0), GuidedStyleLoss(ones[None], target[None], 100.0))
    )
    assert torch.equal(plain[0], guided[0])
    assert torch.equal(plain[1], guided[1])


def test_the_regions_of_a_picture_add_up_to_its_gram_matrix(generator):
    found, weight = some_features(generator), torch.rand(60, generator=generator)
    parts = [weight, 1 - weight]
    together = sum(part.mean() * guided_gram(found, part) for part in parts)
    assert torch.allclose(together, losses.gram_matrix(found), atol=1e-6)


def test_the_gradient_is_autograds(generator):
    found = some_features(generator)
    weights = torch.rand(3, 60, generator=generator)
    targets = torch.rand(3, 8, 8, generator=generator)
    targets = targets + targets.mT  # Gram matrices are symmetric
    leaf = found.clone().requires_grad_()
    terms = [w.mean() * (guided_gram(leaf, w) - t).square().mean() for w, t in zip(weights, targets, strict=True)]
    plain = torch.stack(terms).sum()
    (expected,) = torch.autograd.grad(plain, leaf)
    loss, gradient = value_and_gradient(GuidedStyleLoss(weights, targets, 1.0), found)
    assert float(loss) == pytest.approx(float(plain.detach()), rel=1e-5)
    assert (gradient - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_region_does_not_see_outside_itself(generator):
    found = some_features(generator)
    inside = torch.zeros(6, 10)
    inside[:, :4] = 1
    changed = found.clone()
    changed[..., 4:] = 1000.0
    assert torch.equal(guided_gram(found, inside.flatten()), guided_gram(changed, inside.flatten()))
    _, gradient = value_and_gradient(GuidedStyleLoss(inside.flatten()[None], torch.zeros(1, 8, 8), 1.0), found)
    assert gradient[..., 4:].abs().max() == 0
    assert gradient[..., :4].abs().min() > 0


def test_two_halves_of_two_textures_have_the_textures_gram_matrices(features, painting):
    """Away from the border between them, where the network sees both."""
    one, other = np.tile(painting, (1, 2, 1))[:64, :128], np.tile(255 - painting[::-1], (1, 2, 1))[:64, :128]
    both = np.concatenate([one[:, :64], other[:, 64:]], axis=1)
    weight = torch.zeros(64, 128)
    weight[:, :56] = 1
    for layer in ("relu1_1", "relu2_1"):
        guided = guided_gram(features(image_to_tensor(both), (layer,))[layer], pool_to_layer(weight, layer))
        alone = guided_gram(features(image_to_tensor(one), (layer,))[layer], pool_to_layer(weight, layer))
        elsewhere = guided_gram(features(image_to_tensor(other), (layer,))[layer], pool_to_layer(weight, layer))
        assert (guided - alone).norm() < 1e-5 * alone.norm()
        assert (guided - elsewhere).norm() > 0.05 * alone.norm()


@pytest.mark.parametrize("size", [(64, 80), (67, 45)])
def test_masks_are_pooled_onto_the_networks_own_grid(features, size):
    layers = losses.STYLE_LAYERS
    found = features(torch.zeros(1, 3, *size), layers)
    for layer in layers:
        weight = torch.full(size, 0.25)
        pooled = pool_to_layer(weight, layer)
        assert pooled.shape == (found[layer].shape[2] * found[layer].shape[3],)
        assert torch.allclose(pooled, torch.tensor(0.25))


def test_layers_cover_each_other_and_sum_to_one_with_the_background():
    below, above = np.full((2, 2), 255, np.uint8), np.array([[0, 255], [51, 0]], np.uint8)
    first, second = layer_weights([below, above])
    assert np.allclose(second, [[0, 1], [0.2, 0]])
    assert np.allclose(first, [[1, 0], [0.8, 1]])
    assert layer_weights([]) == []


def test_the_objective_with_regions_is_the_sum_of_its_terms(features, targets, other_targets, content, generator):
    soft = cv2.GaussianBlur(LEFT, (0, 0), 4)
    top = np.zeros(SIZE, np.float32)
    top[:20] = 0.3
    regions = [StyledRegion(soft * 0.7, other_targets), StyledRegion(top * soft, None)]
    settings = OptimizeSettings()
    guide = Guide(regions, targets, settings.style_layers, "cpu")
    objective = Objective(features, targets, settings, content, None, guide)
    image = torch.rand(1, 3, *SIZE, generator=generator) * 250
    values, gradient = objective.evaluate(image)

    leaf = image.clone().requires_grad_()
    found = plain_vgg(leaf, features.weights)
    seen = features(image_to_tensor(content), ("relu4_2",))["relu4_2"]
    style = torch.zeros(())
    background = StyledRegion(1 - regions[0].weight - regions[1].weight, targets)
    for region in (background, regions[0]):
        for name in settings.style_layers:
            weight = pool_to_layer(torch.from_numpy(region.weight), name)
            difference = guided_gram(found[name], weight) - region.targets.grams[name]
            style = style + 100 * weight.mean() * difference.square().mean()
    pull = torch.from_numpy(regions[1].weight) * (leaf - image_to_tensor(content)).square()
    kept = 1000 * pull.mean()
    shape = 5 * losses.content_loss(found["relu4_2"], seen)
    assert values["style"] == pytest.approx(float(style.detach()), rel=1e-4)
    assert values["content"] == pytest.approx(float((shape + kept).detach()), rel=1e-4)
    (expected,) = torch.autograd.grad(style + shape + kept, leaf)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()


def test_a_kept_region_keeps_its_pixels_and_the_rest_is_painted(features, targets, content):
    made = FrameOptimizer(features, targets, SMALL).stylize(content, content, 8, regions=[StyledRegion(LEFT, None)])
    assert np.array_equal(made.image[:, :40], content[:, :40])
    assert np.abs(made.image[:, 44:].astype(int) - content[:, 44:]).mean() > 2


def test_the_paste_has_a_soft_edge_outside():
    black, white = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 255, np.uint8)
    row = paste(black, white, LEFT)[10, :, 0].astype(int)
    assert (row[:40] == 255).all()
    assert 0 < row[41] < row[40] < 255
    assert (row[46:] == 0).all()


def test_each_half_is_nearer_to_its_own_style(features, targets, other_targets, content):
    optimizer = FrameOptimizer(features, targets, SMALL)
    made = optimizer.stylize(content, content, 30, regions=[StyledRegion(LEFT, other_targets)])
    found = features(image_to_tensor(made.image), ("relu2_1",))["relu2_1"]
    for weight, own, foreign in ((LEFT, other_targets, targets), (1 - LEFT, targets, other_targets)):
        gram = guided_gram(found, pool_to_layer(torch.from_numpy(weight), "relu2_1"))
        assert (gram - own.grams["relu2_1"]).norm() < 0.5 * (gram - foreign.grams["relu2_1"]).norm()


def test_a_region_of_the_same_style_as_the_rest_changes_little(features, targets, content):
    """The share of the area as weight: a small region is drawn to its style no harder than the rest is."""
    corner = np.zeros(SIZE, np.float32)
    corner[:16, :16] = 1
    plain = Objective(features, targets, SMALL, content, None)
    guided = Objective(
        features,
        targets,
        SMALL,
        content,
        None,
        Guide([StyledRegion(corner, targets)], targets, SMALL.style_layers, "cpu"),
    )
    image = image_to_tensor(content)
    slope = [objective.evaluate(image)[1][..., :12, :12].norm() for objective in (plain, guided)]
    assert 0.3 < float(slope[1] / slope[0]) < 3


def test_coarse_to_fine_takes_regions_along(features, painting, content):
    large = cv2.resize(content, (160, 128))
    weight = cv2.resize(LEFT, (160, 128), interpolation=cv2.INTER_NEAREST)
    painter = Painter(features, SizedTargets(features, [Style(painting)], 1.0, SMALL.style_layers), SMALL)
    made = stylize_coarse_to_fine(
        painter, large, 4, coarsest_side=64, regions_at=lambda size: [StyledRegion(region_at(weight, size), None)]
    )
    assert np.array_equal(made.image[:, :80], large[:, :80])
    assert np.abs(made.image[:, 88:].astype(int) - large[:, 88:]).mean() > 2
