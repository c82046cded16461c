"""The optimisation of one frame: what it minimises, that it gets there, and what it does when it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from farm.errors import OptimizationError, UsageError
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses import functional as losses
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.optimizer.frame import Anchor, FrameOptimizer, Objective, OptimizeSettings, TemporalTie
from farm.paint.tensors import image_to_tensor
from tests.paint.reference import plain_vgg

SMALL = OptimizeSettings(style_layers={"relu1_1": 1.0, "relu2_1": 1.0}, content_layers={"relu2_2": 1.0})
"""Two blocks of the network: a step takes milliseconds."""


@pytest.fixture(scope="module")
def targets(features, painting):
    return StyleTargets.of(features, [Style(painting)], (64, 80))


@pytest.fixture
def tie(generator):
    image = torch.rand(64, 80, 3, generator=generator).numpy() * 255
    return TemporalTie(image, torch.rand(64, 80, generator=generator).numpy())


class FaultyFeatures:
    """A network that does what `fault` makes of image and gradient in the evaluations numbered in `calls`."""

    def __init__(self, inner, calls, fault):
        self.inner, self.calls, self.fault, self.count = inner, calls, fault, 0
        self.device, self.dtype = inner.device, inner.dtype

    def with_dtype(self, dtype):
        return self

    def __call__(self, image, layers):
        return self.inner(image, layers)

    def evaluate(self, image, losses, with_gradient=True):
        self.count += 1
        terms, gradient = self.inner.evaluate(image, losses, with_gradient)
        return self.fault(terms, gradient) if self.count in self.calls else (terms, gradient)


def becomes_nan(terms, gradient):
    return {name: value * float("nan") for name, value in terms.items()}, gradient


def reversed_gradient(terms, gradient):
    return terms, None if gradient is None else -gradient


@pytest.mark.parametrize("tile", [None, 48])
def test_losses_weighed_anew_are_as_made_with_those_weights(features, targets, content, tie, generator, tile):
    image = torch.rand(1, 3, 64, 80, generator=generator) * 255
    other = OptimizeSettings(style_weight=7.0, temporal_weight=30.0)
    anchor = Anchor.of([tie], image.device)
    made = Objective(features, targets, other, content, anchor, tile=tile)
    weighed = Objective(features, targets, OptimizeSettings(), content, anchor, tile=tile)
    weighed.weigh(7.0, 30.0)
    (values, gradient), (wanted, at_wanted) = weighed.evaluate(image), made.evaluate(image)
    assert values == wanted
    assert torch.equal(gradient, at_wanted)


def test_the_objective_is_the_sum_of_the_plain_losses(features, targets, content, tie, generator):
    """Values and gradient, every term on, against `farm.paint.losses.functional` and autograd."""
    settings = OptimizeSettings(tv_weight=3.0, style_layers={**dict.fromkeys(losses.STYLE_LAYERS, 1.0), "relu3_1": 0.5})
    other = TemporalTie(255 - tie.image, 1 - 0.7 * tie.weight)
    objective = Objective(features, targets, settings, content, Anchor.of([tie, other], torch.device("cpu")))
    image = torch.rand(1, 3, 64, 80, generator=generator) * 300 - 20  # some of it out of range
    values, gradient = objective.evaluate(image)

    leaf = image.clone().requires_grad_()
    found = plain_vgg(leaf, features.weights)
    seen = features(image_to_tensor(content), ("relu4_2",))
    grams = {name: losses.gram_matrix(found[name]) for name in settings.style_layers}
    expected = {
        "content": 5 * losses.content_loss(found["relu4_2"], seen["relu4_2"]),
        "style": 100 * losses.style_loss(grams, targets.grams, settings.style_layers),
        "temporal": 1000
        * sum(losses.temporal_loss(leaf, image_to_tensor(t.image), torch.from_numpy(t.weight)) for t in (tie, other)),
        "tv": 3 * losses.total_variation(leaf),
        "range": 1e5 * losses.range_loss(leaf),
    }
    assert {name: pytest.approx(loss.item(), rel=1e-4) for name, loss in expected.items()} == {
        name: value for name, value in values.items() if name != "total"
    }
    assert values["total"] == pytest.approx(sum(loss.item() for loss in expected.values()), rel=1e-5)
    (reference,) = torch.autograd.grad(sum(expected.values()), leaf)
    assert (gradient - reference).norm() < 1e-4 * reference.norm()
    assert objective.evaluate(image, with_gradient=False) == (pytest.approx(values, rel=1e-6), None)


def test_a_tie_with_nothing_to_show_may_hold_nan(tie):
    image, weight = tie.image.copy(), tie.weight.copy()
    image[:20], weight[:20] = np.nan, 0
    anchor = Anchor.of([TemporalTie(image, weight), tie], torch.device("cpu"))
    assert anchor.mean.isfinite().all()
    assert math.isfinite(anchor.rest)
    assert torch.allclose(anchor.mean[0, :, :20], image_to_tensor(tie.image)[0, :, :20], rtol=1e-4)
    everywhere = Anchor.of([TemporalTie(image, 0 * weight)], torch.device("cpu"))
    assert float(everywhere.weight.abs().max()) == everywhere.rest == 0


def test_no_iterations_return_the_start_and_its_loss(features, targets, content, painting):
    start = np.roll(content, 9, axis=1)
    found = FrameOptimizer(features, targets).stylize(content, start, 0)
    assert np.array_equal(found.image, start)
    assert (found.steps, found.stop, found.restarts) == (0, "iterations", 0)
    assert found.losses["total"] > 0


@pytest.mark.parametrize(("optimizer", "share"), [("lbfgs", 0.2), ("adam", 0.8)])
def test_the_loss_falls_and_every_step_is_reported(features, targets, content, optimizer, share):
    seen = []
    settings = OptimizeSettings(optimizer=optimizer)
    found = FrameOptimizer(features, targets, settings).stylize(content, content, 14, progress=seen.append)
    assert [step.step for step in seen] == list(range(15))
    assert found.losses["total"] < share * seen[0].losses["total"]
    assert found.losses["total"] == min(step.losses["total"] for step in seen)
    assert found.losses["total"] == pytest.approx(sum(v for k, v in found.losses.items() if k != "total"))
    assert found.image.dtype == np.uint8
    assert found.image.shape == content.shape
    assert (found.steps, found.stop, found.restarts) == (14, "iterations", 0)


@pytest.mark.heavy
@pytest.mark.slow
def test_the_range_loss_makes_the_clipped_picture_better(features, targets, content):
    def delivered(range_weight):
        settings = OptimizeSettings(range_weight=range_weight)
        image = FrameOptimizer(features, targets, settings).stylize(content, content, 25).image
        return FrameOptimizer(features, targets).stylize(content, image, 0).losses["total"]

    assert delivered(losses.RANGE_WEIGHT) < 0.9 * delivered(0.0)


def test_the_same_again_is_the_same_bits(features, targets, content, tie):
    optimizer = FrameOptimizer(features, targets, SMALL)
    first, second = (optimizer.stylize(content, content, 12, [tie]) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.losses == second.losses


@pytest.mark.heavy
def test_the_last_points_may_be_averaged(features, targets, content, tie):
    optimizer = FrameOptimizer(features, targets, SMALL)

    def exact(steps, average_last=1):
        return optimizer.stylize(content, content, steps, [tie], keep_exact=True, average_last=average_last)

    alone = [exact(steps) for steps in (29, 30)]
    assert alone[0].losses["total"] > alone[1].losses["total"]  # so each is its last point
    averaged = exact(30, average_last=2)
    inside = np.all([(one.exact > 0) & (one.exact < 255) for one in alone], axis=0)  # points go beyond, images do not
    mean = np.mean([one.exact for one in alone], axis=0)
    assert inside.mean() > 0.8
    assert np.allclose(averaged.exact[inside], mean[inside], atol=1e-3)
    assert averaged.steps == 30


def test_a_mean_that_is_no_better_than_what_was_evaluated_is_not_taken(features, targets, content):
    optimizer = FrameOptimizer(features, targets, SMALL)
    found = optimizer.stylize(content, content, 10, average_last=11)
    assert np.array_equal(found.image, optimizer.stylize(content, content, 9).image)


def test_a_tie_pulls_where_it_has_weight(features, targets, content):
    image = np.full(content.shape, 128, np.float32)
    weight = np.zeros(content.shape[:2], np.float32)
    weight[:, :40] = 1
    settings = OptimizeSettings(
        style_layers=SMALL.style_layers, content_layers=SMALL.content_layers, temporal_weight=1e5
    )
    tied = FrameOptimizer(features, targets, settings).stylize(content, content, 30, [TemporalTie(image, weight)])
    distance = np.abs(tied.image.astype(float) - 128)
    assert distance[:, :36].mean() < 6
    assert distance[:, 44:].mean() > 30


def test_stops_when_converged(features, targets, content):
    settings = OptimizeSettings(
        style_layers=SMALL.style_layers, content_layers=SMALL.content_layers, convergence=0.2, window=5
    )
    seen = []
    found = FrameOptimizer(features, targets, settings).stylize(content, content, 500, progress=seen.append)
    assert found.stop == "converged"
    assert 5 <= found.steps < 100
    assert len(seen) == found.steps + 1
    best = np.minimum.accumulate([step.losses["total"] for step in seen])
    falls = 1 - best[5:] / best[:-5]
    assert falls[-1] <= 0.2
    assert (falls[:-1] > 0.2).all()


def test_a_start_that_cannot_be_bettered_is_converged(features, targets, content):
    found = FrameOptimizer(features, targets, OptimizeSettings(style_weight=0)).stylize(content, content, 20)
    assert np.array_equal(found.image, content)
    assert (found.stop, found.steps, found.losses["total"], found.restarts) == ("converged", 0, 0, 0)


@pytest.mark.parametrize("size", [(16, 16), (17, 31)])
def test_smallest_and_odd_sizes(features, painting, content, size):
    small = content[: size[0], : size[1]]
    targets = StyleTargets.of(features, [Style(painting)], size)
    found = FrameOptimizer(features, targets).stylize(small, small, 3)
    assert found.image.shape == small.shape
    assert found.restarts == 0


@pytest.mark.parametrize("level", [0, 255])
def test_a_black_or_white_frame_is_repainted(features, targets, level):
    flat = np.full((64, 80, 3), level, np.uint8)
    found = FrameOptimizer(features, targets).stylize(flat, flat, 10)
    assert found.image.std() > 0
    assert found.restarts == 0


@pytest.mark.parametrize("call", [1, 4, 9])
def test_nan_is_noticed_and_the_frame_redone(features, targets, content, call):
    faulty = FaultyFeatures(features, {call}, becomes_nan)
    found = FrameOptimizer(faulty, targets, SMALL).stylize(content, content, 8)
    assert found.restarts == 1
    assert math.isfinite(found.losses["total"])
    assert faulty.count == call + 9
    sound = FrameOptimizer(features, targets, SMALL).stylize(content, content, 8)
    assert found.losses["total"] < 3 * sound.losses["total"]


def test_an_optimizer_that_gives_up_is_noticed_and_the_frame_redone(features, targets, content):
    faulty = FaultyFeatures(features, range(1, 15), reversed_gradient)
    found = FrameOptimizer(faulty, targets, SMALL).stylize(content, content, 30)
    assert found.restarts == 1
    start = FrameOptimizer(features, targets, SMALL).stylize(content, content, 0)
    assert found.losses["total"] < 0.5 * start.losses["total"]


@pytest.mark.heavy
def test_giving_up_after_real_progress_in_float32_is_convergence(features, targets, content):
    faulty = FaultyFeatures(features, range(22, 1000), reversed_gradient)
    found = FrameOptimizer(faulty, targets, SMALL).stylize(content, content, 200)
    sound = FrameOptimizer(features, targets, SMALL).stylize(content, content, 20)
    assert (found.stop, found.restarts) == ("converged", 0)
    assert 20 < found.steps < 60
    assert found.losses["total"] <= sound.losses["total"]


def test_adam_from_the_content_is_the_last_resort(features, targets, content):
    faulty = FaultyFeatures(features, {1, 2}, becomes_nan)
    start = np.full_like(content, 7)
    seen = []
    found = FrameOptimizer(faulty, targets, SMALL).stylize(content, start, 6, progress=seen.append)
    assert found.restarts == 2
    assert seen[0].losses["content"] == 0
    assert found.losses["total"] < seen[0].losses["total"]


@pytest.mark.parametrize("fault", [becomes_nan, reversed_gradient])
def test_a_frame_that_always_fails_is_an_error_and_not_a_picture(features, targets, content, fault):
    faulty = FaultyFeatures(features, range(1, 1000), fault)
    with pytest.raises(OptimizationError, match=r"lbfgs: .*lbfgs in float32.*adam in float32") as caught:
        FrameOptimizer(faulty, targets, SMALL).stylize(content, content, 20)
    assert caught.value.remedy


@pytest.mark.heavy
def test_bfloat16_features(features, painting, content):
    half = VGGFeatures(features.weights, dtype=torch.bfloat16)
    small = content[:32, :32]
    targets = StyleTargets.of(half, [Style(painting)], (32, 32))
    seen = []
    found = FrameOptimizer(half, targets).stylize(small, small, 4, progress=seen.append)
    exact = FrameOptimizer(features, StyleTargets.of(features, [Style(painting)], (32, 32)))
    assert exact.stylize(small, small, 0).losses["total"] == pytest.approx(seen[0].losses["total"], rel=0.02)
    assert found.losses["total"] < 0.8 * seen[0].losses["total"]
    assert found.restarts == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"content_weight": -1.0},
        {"style_weight": float("nan")},
        {"style_layers": {"relu1_1": float("inf")}},
        {"content_weight": 0.0, "style_weight": 0.0},
        {"content_layers": {}, "style_layers": {}},
        {"optimizer": "sgd"},
        {"history": 0},
        {"window": 0},
    ],
)
def test_settings_without_a_meaning_are_refused(wrong):
    with pytest.raises(UsageError):
        OptimizeSettings(**wrong)


def test_targets_and_shapes_must_fit(features, targets, content, tie):
    with pytest.raises(UsageError, match="lack layer relu3_2"):
        FrameOptimizer(features, targets, OptimizeSettings(style_layers={"relu3_2": 1.0}))
    with pytest.raises(ValueError, match="same shape"):
        FrameOptimizer(features, targets).stylize(content, content[1:], 1)
    with pytest.raises(ValueError, match="same shape"):
        FrameOptimizer(features, targets).stylize(content, content, 1, [TemporalTie(tie.image[1:], tie.weight)])
    with pytest.raises(ValueError, match="same shape"):
        FrameOptimizer(features, targets).stylize(content, content, 1, [TemporalTie(tie.image, tie.weight[1:])])
