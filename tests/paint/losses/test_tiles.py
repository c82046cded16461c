"""Tiles: every position once, and losses and gradients that are those of the whole picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from farm.errors import OptimizationError
from farm.paint.features.vgg import VGGFeatures, relu_names
from farm.paint.losses import functional as losses
from farm.paint.losses.guided import Guide, StyledRegion
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.losses.tiles import Reach, cut_tiles, network_reach, tiled_features, tiled_grams
from farm.paint.optimizer import frame as optimize
from farm.paint.optimizer.frame import Anchor, FrameOptimizer, Objective, OptimizeSettings, TemporalTie
from tests.paint.reference import plain_vgg


@pytest.fixture
def picture(generator):
    """Odd sides; rough enough for every layer to see something."""
    return torch.rand(100, 133, 3, generator=generator).mul(255).byte().numpy()


def test_reach_is_counted_from_the_architecture(features):
    reach = {layer: network_reach(features.layers, ["relu1_1", layer]) for layer in features.layers}
    assert reach["relu1_1"] == Reach(1, 1)
    assert reach["relu1_2"] == Reach(2, 1)
    assert reach["relu2_1"] == Reach(4, 2)
    assert reach["relu3_1"] == Reach(12, 4)  # 1 + 1 + 2 + 2 + 4 = 10, to multiples of 4
    assert reach["relu5_1"] == Reach(80, 16)
    assert network_reach(features.layers, []) == Reach(0, 1)


@pytest.mark.parametrize("layer", ["relu2_1", "relu3_2", "relu5_1"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_nothing_beyond_the_halo_is_felt(weights, layer, pooling, generator):
    """The gradient of one position of the deepest layer ends inside the halo."""
    reach = network_reach(relu_names(weights.architecture), [layer])
    side = 2 * (reach.halo + 2 * reach.stride)
    leaf = (torch.rand(1, 3, side, side, generator=generator) * 255).requires_grad_()
    found = plain_vgg(leaf, weights, pooling)[layer]
    middle = found.shape[-1] // 2
    (gradient,) = torch.autograd.grad(found[..., middle, middle].sum(), leaf)
    touched = gradient.abs().sum((0, 1)).nonzero()
    first = middle * reach.stride
    assert touched.min() >= first - reach.halo
    assert touched.max() < first + reach.stride + reach.halo


@pytest.mark.parametrize("size", [(100, 333), (64, 64), (203, 97), (16, 2000)])
@pytest.mark.parametrize("side", [16, 64, 100])
@pytest.mark.parametrize("reach", [Reach(80, 16), Reach(4, 2)])
def test_cores_cover_every_map_once(size, side, reach):
    tiles = cut_tiles(size, side, reach)
    stride = 1
    while stride <= reach.stride:
        count = torch.zeros(size[0] // stride, size[1] // stride)
        for tile in tiles:
            tile.of_whole(count, stride).add_(1)
            assert tile.rows.seen_start % reach.stride == tile.columns.seen_start % reach.stride == 0
            assert tile.rows.stop - tile.rows.start <= max(side, reach.stride)
        assert (count == 1).all()
        stride *= 2


@pytest.mark.parametrize(("pooling", "side"), [("max", 48), ("avg", 112)])
@pytest.mark.heavy
def test_losses_and_gradient_are_those_of_the_whole(weights, picture, painting, generator, pooling, side):
    """With ties, total variation, unequal layer weights, a shallow and a deep content layer."""
    features = VGGFeatures(weights, pooling)
    settings = OptimizeSettings(
        tv_weight=3.0,
        content_layers={"relu2_2": 0.7, "relu4_2": 1.0},
        style_layers={**dict.fromkeys(losses.STYLE_LAYERS, 1.0), "relu3_1": 0.5},
    )
    targets = StyleTargets.of(features, [Style(painting)], (64, 80))
    tie = TemporalTie(picture[::-1], torch.rand(100, 133, generator=generator).numpy())
    anchor = Anchor.of([tie], torch.device("cpu"))
    whole = Objective(features, targets, settings, picture, anchor)
    tiled = Objective(features, targets, settings, picture, anchor, tile=side)
    image = torch.rand(1, 3, 100, 133, generator=generator) * 300 - 20
    values, gradient = whole.evaluate(image)
    found, tiled_gradient = tiled.evaluate(image)
    assert found == pytest.approx(values, rel=1e-5)
    assert (tiled_gradient - gradient).norm() < 1e-5 * gradient.norm()
    assert (tiled_gradient - gradient).abs().max() < 1e-4 * gradient.abs().max()
    assert tiled.evaluate(image, with_gradient=False) == (pytest.approx(values, rel=1e-5), None)


@pytest.mark.parametrize("side", [48, 112])
@pytest.mark.heavy
def test_with_regions_too(features, picture, painting, generator, side):
    """Three soft parts, one of which keeps the photograph, and one too small for the deepest layer."""
    targets = StyleTargets.of(features, [Style(painting)], (64, 80))
    other = StyleTargets.of(features, [Style(painting[:, ::-1, [2, 0, 1]])], (64, 80))
    ramp = np.tile(np.linspace(0, 0.8, 133, dtype=np.float32), (100, 1))
    kept, small = np.zeros_like(ramp), np.zeros_like(ramp)
    kept[:40] = 0.2
    small[80:86, 20:26] = 0.1
    regions = [StyledRegion(ramp, other), StyledRegion(kept, None), StyledRegion(small, other)]
    settings = OptimizeSettings(content_layers={"relu3_1": 1.0})
    guide = Guide(regions, targets, settings.style_layers, "cpu")
    whole = Objective(features, targets, settings, picture, None, guide)
    tiled = Objective(features, targets, settings, picture, None, guide, tile=side)
    image = torch.rand(1, 3, 100, 133, generator=generator) * 255
    values, gradient = whole.evaluate(image)
    found, tiled_gradient = tiled.evaluate(image)
    assert len(guide.parts((100, 133))["relu1_1"].grams) == 3
    assert len(guide.parts((100, 133))["relu5_1"].grams) == 2
    assert found == pytest.approx(values, rel=1e-5)
    assert (tiled_gradient - gradient).abs().max() < 1e-4 * gradient.abs().max()
    assert values["style"] != pytest.approx(
        Objective(features, targets, settings, picture, None).evaluate(image)[0]["style"], rel=0.01
    )


def test_features_and_gram_matrices_are_those_of_the_whole(features, picture):
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    layers = ("relu1_2", "relu3_1", "relu4_1")
    whole = features(image, layers)
    tiles = cut_tiles((100, 133), 64, network_reach(features.layers, layers))
    assert len(tiles) > 4
    parts = tiled_features(features, image, layers, tiles)
    grams = tiled_grams(features, image, layers, tiles)
    for name in layers:
        # oneDNN may choose another algorithm for another size, and a sum of 2304 products ends in other last digits
        assert torch.allclose(parts[name], whole[name], rtol=1e-4, atol=1e-6 * float(whole[name].max()))
        expected = losses.gram_matrix(whole[name])
        assert (grams[name] - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.heavy
def test_bfloat16_in_tiles_is_near_the_whole(features, picture, painting):
    half = features.with_dtype(torch.bfloat16)
    targets = StyleTargets.of(features, [Style(painting)], (64, 80))
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    settings = OptimizeSettings(style_layers={"relu1_1": 1.0, "relu2_1": 1.0}, content_layers={"relu2_2": 1.0})
    values, gradient = Objective(half, targets, settings, picture[::-1], None).evaluate(image)
    found, tiled_gradient = Objective(half, targets, settings, picture[::-1], None, tile=64).evaluate(image)
    assert found == pytest.approx(values, rel=0.01)
    assert (tiled_gradient - gradient).norm() < 0.03 * gradient.norm()


def out_of_memory_above(monkeypatch, side):
    """Evaluations of more than `side` pixels in tiles fail as PyTorch's CPU allocator does."""
    evaluate = Objective.evaluate

    def failing(self, image, with_gradient=True):
        largest = max(tile.rows.stop - tile.rows.start for tile in self._tiles) if self._tiles else 10_000
        if largest > side:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return evaluate(self, image, with_gradient)

    monkeypatch.setattr(Objective, "evaluate", failing)


def test_memory_that_runs_out_leads_to_smaller_tiles_and_a_note(features, picture, painting, monkeypatch):
    settings = OptimizeSettings(style_layers={"relu1_1": 1.0}, content_layers={"relu2_1": 1.0})
    optimizer = FrameOptimizer(features, StyleTargets.of(features, [Style(painting)], (64, 80)), settings)
    whole = optimizer.stylize(picture, picture, 3)
    out_of_memory_above(monkeypatch, 100)
    found = optimizer.stylize(picture, picture, 3)
    assert found.notes == ("memory ran out with the picture whole; painted again in tiles of 128 pixels",)
    assert whole.notes == ()
    assert np.abs(found.image.astype(int) - whole.image).max() <= 1
    out_of_memory_above(monkeypatch, 0)
    with pytest.raises(OptimizationError, match="in the smallest tiles too") as caught:
        optimizer.stylize(picture, picture, 3)
    assert "--size" in caught.value.remedy


def test_other_errors_are_not_taken_for_a_lack_of_memory(features, picture, painting, monkeypatch):
    def failing(*_, **__):
        raise RuntimeError("expected scalar type Float")

    monkeypatch.setattr(optimize.Objective, "evaluate", failing)
    optimizer = FrameOptimizer(features, StyleTargets.of(features, [Style(painting)], (64, 80)))
    with pytest.raises(RuntimeError, match="scalar type"):
        optimizer.stylize(picture, picture, 3)


def test_the_image_before_rounding_on_request(features, content, painting):
    settings = OptimizeSettings(style_layers={"relu1_1": 1.0}, content_layers={"relu1_2": 1.0})
    optimizer = FrameOptimizer(features, StyleTargets.of(features, [Style(painting)], (64, 80)), settings)
    assert optimizer.stylize(content, content, 2).exact is None
    found = optimizer.stylize(content, content, 2, keep_exact=True)
    assert found.exact.dtype == np.float32
    assert np.array_equal(found.exact.round().astype(np.uint8), found.image)
    assert len(np.unique(found.exact)) > 256


def test_before_rounding_with_a_region_that_stays_the_photograph(features, content, painting):
    settings = OptimizeSettings(style_layers={"relu1_1": 1.0}, content_layers={"relu1_2": 1.0})
    optimizer = FrameOptimizer(features, StyleTargets.of(features, [Style(painting)], (64, 80)), settings)
    left = np.zeros(content.shape[:2], np.float32)
    left[:, :30] = 1
    found = optimizer.stylize(content, content, 2, regions=[StyledRegion(left, None)], keep_exact=True)
    assert np.array_equal(found.exact[:, :30], content[:, :30])
    assert np.abs(found.exact - found.image).max() <= 1  # each rounded by itself
    assert len(np.unique(found.exact)) > 256


def test_the_plain_algorithm_is_there_and_is_another(features, content, painting):
    targets = StyleTargets.of(features, [Style(painting)], (64, 80))
    layers = {"style_layers": {"relu1_1": 1.0, "relu2_1": 1.0}, "content_layers": {"relu2_2": 1.0}}
    usual, plain = (
        FrameOptimizer(features, targets, OptimizeSettings(precondition=on, **layers)).stylize(content, content, 8)
        for on in (True, False)
    )
    assert usual.losses != plain.losses
    start = FrameOptimizer(features, targets, OptimizeSettings(**layers)).stylize(content, content, 0)
    assert plain.losses["total"] < start.losses["total"]
