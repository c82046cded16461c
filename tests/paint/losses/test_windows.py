"""Windows: they cover what changes, their losses are those of the whole, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.windowed import Window
from farm.paint.losses.guided import Guide, StyledRegion
from farm.paint.losses.objective import Anchor, Objective, OptimizeSettings
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.losses.ties import TemporalTie
from farm.paint.losses.windows import MOST_CELLS, WHOLE_STYLE, Steps, content_in_windows, cover, share_of
from farm.paint.optimizer.frame import FrameOptimizer
from farm.paint.optimizer.minimize import SmoothingPreconditioner, WithinChange
from farm.paint.tensors import image_to_tensor

HEIGHT, WIDTH = 101, 133  # odd, so that the last cells are larger
BOX = Window(32, 64, 48, 80)
CORNER = Window(64, HEIGHT, 96, WIDTH)
NOWHERE = np.zeros((HEIGHT, WIDTH), np.float32)


@pytest.fixture
def pictures(generator):
    """A photograph and a start, rough enough for every layer to see something."""
    return [torch.rand(HEIGHT, WIDTH, 3, generator=generator).mul(255).byte().numpy() for _ in range(2)]


@pytest.fixture
def targets(features, painting):
    return StyleTargets.of(features, [Style(painting)], (HEIGHT, WIDTH))


def rectangle(top, bottom, left, right, size=(96, 160), value=1.0):
    change = np.zeros(size, np.float32)
    change[top:bottom, left:right] = value
    return change


@pytest.mark.parametrize(
    ("change", "windows"),
    [
        (np.zeros((96, 160), np.float32), []),
        (rectangle(40, 41, 70, 71), []),  # one pixel of a cell of 256
        (rectangle(32, 48, 64, 80, value=0.2), [Window(32, 48, 64, 80)]),
        (rectangle(32, 48, 64, 80, value=0.1), []),
        (rectangle(40, 56, 72, 88), [Window(32, 64, 64, 96)]),
        (rectangle(0, 16, 0, 16) + rectangle(0, 16, 32, 48), [Window(0, 16, 0, 48)]),  # near: together
        (rectangle(0, 16, 0, 16) + rectangle(80, 96, 144, 160), [Window(0, 16, 0, 16), Window(80, 96, 144, 160)]),
        (np.ones((96, 160), np.float32), [Window(0, 96, 0, 160)]),
        (rectangle(90, 101, 130, 133, (101, 133)), []),
        (rectangle(80, 101, 112, 133, (101, 133)), [Window(80, 101, 112, 133)]),  # with what fills no cell
        (np.ones((20, 30), np.float32), [Window(0, 20, 0, 30)]),
    ],
)
def test_windows_cover_what_changes(change, windows):
    assert cover(change) == windows


@pytest.mark.parametrize("size", [(96, 160), (101, 133), (540, 960)])
def test_windows_are_disjoint_and_leave_nothing_out(size):
    rough = np.random.default_rng(3).random((size[0] // 40 + 1, size[1] // 40 + 1)) < 0.2
    change = np.kron(rough, np.ones((40, 40)))[: size[0], : size[1]].astype(np.float32)
    windows = cover(change)
    covered = np.zeros(size, int)
    for window in windows:
        covered[window.top : window.bottom, window.left : window.right] += 1
        assert window.top % 16 == window.left % 16 == 0
    assert covered.max() == 1
    assert covered[change > 0].mean() > 0.9  # but for the edges of cells that hardly change
    assert share_of(windows, size) == pytest.approx(covered.mean())
    assert len(windows) < MOST_CELLS


def objective(features, targets, pictures, windows, guide=None, anchor=None):
    photograph, start = pictures
    image = image_to_tensor(start, features.device)
    inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for window in windows:
        window.of(inside).fill_(True)
    windowed = Objective(features, targets, OptimizeSettings(), photograph, anchor, guide, windows=windows)
    windowed.narrow(image, windows, inside)
    return windowed, image, inside


@pytest.mark.parametrize("guided", [False, True])
def test_a_window_that_is_the_whole_picture_has_its_losses_and_gradient(features, targets, pictures, guided):
    guide = None
    if guided:
        weight = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
        guide = Guide([StyledRegion(weight, targets)], targets, list(targets.grams), features.device)
    anchor = Anchor.of([TemporalTie(pictures[0], np.ones((HEIGHT, WIDTH), np.float32))], features.device)
    window = [Window(0, HEIGHT, 0, WIDTH)]
    windowed, image, _ = objective(features, targets, pictures, window, guide, anchor)
    image = image.add(3).flip(3)
    found, gradient = windowed.evaluate(image)
    whole = Objective(features, targets, OptimizeSettings(), pictures[0], anchor, guide)
    expected, expected_gradient = whole.evaluate(image)
    assert found.pop(WHOLE_STYLE) == pytest.approx(expected["style"], rel=1e-5)
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-4 * float(expected_gradient.abs().max()))


@pytest.mark.parametrize("guided", [False, True])
def test_the_losses_of_the_start_are_those_of_the_whole(features, targets, pictures, guided):
    guide = None
    if guided:
        weight = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
        guide = Guide([StyledRegion(weight, targets)], targets, list(targets.grams), features.device)
    whole = Objective(features, targets, OptimizeSettings(), pictures[0], None, guide)
    image = image_to_tensor(pictures[1], features.device)
    expected, _ = whole.evaluate(image)
    whole.narrow(image, [BOX, CORNER], torch.ones(HEIGHT, WIDTH, dtype=torch.bool))
    found, _ = whole.evaluate(image)
    assert found[WHOLE_STYLE] == pytest.approx(expected["style"], rel=1e-5)
    assert found["content"] == pytest.approx(expected["content"], rel=1e-5)
    if not guided:  # otherwise each region has a share of its own
        assert found["style"] == pytest.approx(expected["style"] * share_of([BOX, CORNER], (HEIGHT, WIDTH)), rel=1e-5)


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_the_gradient_is_that_of_the_loss_in_its_windows(weights, painting, pictures, pooling):
    features = VGGFeatures(weights, pooling)
    targets = StyleTargets.of(features, [Style(painting)], (HEIGHT, WIDTH))
    windowed, image, inside = objective(features, targets, pictures, [BOX, CORNER])
    _, gradient = windowed.evaluate(image)
    assert float(gradient.where(inside, 0).norm()) == float(gradient.norm()) > 0
    step = gradient / gradient.norm() * 4
    ahead, behind = (windowed.evaluate(image + sign * step, with_gradient=False)[0]["total"] for sign in (1, -1))
    slope = float((gradient * step).sum())
    assert ahead - behind == pytest.approx(2 * slope, rel=0.02)


def test_the_gradient_is_nearly_that_of_the_whole_in_the_middle_of_a_window(features, targets, pictures):
    window = Window(16, 96, 16, 128)
    windowed, image, _ = objective(features, targets, pictures, [window])
    _, gradient = windowed.evaluate(image)
    _, whole = Objective(features, targets, OptimizeSettings(), pictures[0], None).evaluate(image)
    middle = (..., slice(40, 72), slice(48, 96))
    error = (gradient[middle] - whole[middle]).norm() / whole[middle].norm()
    assert float(error) < 0.1


def test_content_is_right_within_the_windows(features, pictures):
    image = image_to_tensor(pictures[0], features.device)
    window = Window(80, HEIGHT, 112, WIDTH)  # its halo is less than the picture
    whole = features(image, ["relu3_1", "relu1_1"])
    found = content_in_windows(features, image, ["relu3_1", "relu1_1"], [window])
    for name, stride in (("relu3_1", 4), ("relu1_1", 1)):
        torch.testing.assert_close(window.of(found[name], stride), window.of(whole[name], stride), rtol=1e-3, atol=0.01)
        assert found[name].shape == whole[name].shape
    assert float(found["relu1_1"][..., 0, 0].abs().max()) == 0


def change_in(window, soft=1.0):
    change = np.zeros((HEIGHT, WIDTH), np.float32)
    change[window.top : window.bottom, window.left : window.right] = soft
    return change


@pytest.mark.parametrize("everywhere", [0, 2])
def test_what_rests_stays_as_it_is_and_what_changes_is_painted(features, targets, pictures, everywhere):
    photograph, start = pictures
    optimizer = FrameOptimizer(features, targets)
    painted = optimizer.stylize(photograph, start, Steps(5, change_in(BOX), everywhere))
    inside = change_in(BOX) > 0
    assert (painted.image != start)[inside].mean() > 0.5
    assert painted.steps == 5
    share = BOX.area / (HEIGHT * WIDTH)
    assert painted.work == pytest.approx(everywhere + 1 / 2 + (5 - everywhere) * share, abs=1e-3)
    assert ("total" in painted.losses) is (everywhere > 0)
    whole = optimizer.stylize(photograph, start, 2) if everywhere else None
    assert (painted.image[~inside] == (start if whole is None else whole.image)[~inside]).all()


def test_where_nothing_changes_nothing_is_done(features, targets, pictures):
    photograph, start = pictures
    optimizer = FrameOptimizer(features, targets)
    painted = optimizer.stylize(photograph, start, Steps(5, NOWHERE))
    assert (painted.image == start).all()
    assert (painted.steps, painted.work, painted.losses) == (0, 0, {})
    some = optimizer.stylize(photograph, start, Steps(5, NOWHERE, everywhere=2))
    assert (some.image == optimizer.stylize(photograph, start, 2).image).all()
    assert (some.steps, some.work) == (2, 2)


def test_a_region_that_lies_in_a_window_is_painted_as_without_windows(features, pictures, generator):
    """Its share in the windows is all of it, whatever share of the picture that is."""
    photograph, start = pictures
    other = torch.rand(96, 96, 3, generator=generator).mul(120).byte().numpy()
    region = StyledRegion(change_in(BOX), StyleTargets.of(features, [Style(other)], (HEIGHT, WIDTH)))
    background = StyleTargets.of(features, [Style(start)], (HEIGHT, WIDTH))  # it has its style already
    optimizer = FrameOptimizer(features, background, OptimizeSettings(content_weight=0))
    windowed, whole, before = (
        optimizer.stylize(photograph, start, steps, regions=[region]).losses["style"]
        for steps in (Steps(8, change_in(BOX)), Steps(8), Steps(0))
    )
    assert before - windowed > 0.5 * (before - whole) > 0


def test_a_kept_region_is_the_photograph_where_nothing_changes(features, targets, pictures):
    photograph, start = pictures
    kept = StyledRegion(change_in(BOX), None)
    painted = FrameOptimizer(features, targets).stylize(photograph, start, Steps(5, NOWHERE), regions=[kept])
    inside = change_in(BOX) > 0
    assert (painted.image[inside] == photograph[inside]).all()
    assert (painted.image[:8] == start[:8]).all()


def test_a_picture_without_any_loss_of_the_network(features, targets, pictures):
    photograph, start = pictures
    optimizer = FrameOptimizer(features, targets, OptimizeSettings(content_weight=0))
    everything = StyledRegion(np.ones((HEIGHT, WIDTH), np.float32), None)
    painted = optimizer.stylize(photograph, start, Steps(2, change_in(BOX)), regions=[everything])
    assert (painted.image == photograph).all()


def test_a_change_of_another_size_is_refused(features, targets, pictures):
    with pytest.raises(ValueError, match="same shape"):
        FrameOptimizer(features, targets).stylize(*pictures, Steps(2, np.zeros((8, 8), np.float32)))


def test_where_most_changes_the_whole_picture_is_painted(features, targets, pictures):
    photograph, start = pictures
    optimizer = FrameOptimizer(features, targets)
    painted = optimizer.stylize(photograph, start, Steps(3, NOWHERE + 1))
    assert (painted.image == optimizer.stylize(photograph, start, 3).image).all()
    assert painted.work == 3


def test_a_pixel_moves_as_far_as_it_may_change(generator):
    change = torch.zeros(20, 24)
    change[5:15, 5:20] = torch.linspace(0, 1, 15)
    smooth = SmoothingPreconditioner(20, 24)
    a, b = torch.rand(2, 1, 3, 20, 24, generator=generator)
    within = WithinChange(change, smooth)
    torch.testing.assert_close(within(a), change * smooth(change * a))
    assert float((within(a) * b).sum()) == pytest.approx(float((a * within(b)).sum()), rel=1e-4)
    assert not within(a).where(change > 0, 0).ne(within(a)).any()
    torch.testing.assert_close(WithinChange(change)(a), change * change * a)


@pytest.mark.parametrize(
    ("steps", "work"),
    [
        (Steps(5), 5),
        (Steps(5, NOWHERE), 0),
        (Steps(5, NOWHERE, everywhere=2), 2),
        (Steps(5, NOWHERE + 1), 5),
        (Steps(5, NOWHERE, everywhere=5), 5),
        (Steps(6, change_in(BOX), everywhere=2), 2 + 1 / 2 + 4 * BOX.area / (HEIGHT * WIDTH)),
    ],
)
def test_work_is_steps_times_the_share_of_the_picture(steps, work):
    assert steps.work == pytest.approx(work)
