from __future__ import annotations

import numpy as np
import pytest

from farm.paint.losses.targets import SizedTargets, Style, StyleTargets
from farm.paint.optimizer import memory
from farm.paint.optimizer.frame import FrameOptimizer, OptimizeSettings
from farm.paint.optimizer.pyramid import Painter, pyramid_sizes, split_iterations, stylize_coarse_to_fine


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 100), [(100, 100)]),
        ((383, 600), [(383, 600)]),
        ((384, 600), [(192, 300), (384, 600)]),
        ((1080, 1920), [(270, 480), (540, 960), (1080, 1920)]),
        ((16, 4000), [(16, 4000)]),
    ],
)
def test_sizes_double_up_to_the_full_one(size, expected):
    assert pyramid_sizes(size) == expected


@pytest.mark.parametrize(
    ("iterations", "levels", "expected"),
    [(400, 1, [400]), (400, 2, [200, 200]), (400, 3, [200, 100, 100]), (7, 3, [3, 2, 2]), (0, 2, [0, 0])],
)
def test_iterations_are_split_and_none_is_lost(iterations, levels, expected):
    assert split_iterations(iterations, levels) == expected


def painter_of(features, styles, settings=None, max_memory=None):
    settings = settings or OptimizeSettings()
    return Painter(features, SizedTargets(features, styles, 1.0, settings.style_layers), settings, max_memory)


@pytest.mark.heavy
def test_repaints_at_full_size_through_a_smaller_one(features, painting, content):
    seen = []
    styles = [Style(painting)]
    found = stylize_coarse_to_fine(painter_of(features, styles), content, 16, coarsest_side=32, progress=seen.append)
    assert found.image.shape == content.shape
    assert (found.steps, found.restarts) == (16, 0)
    assert [step.step for step in seen] == [*range(9), *range(8, 17)]
    assert {step.iterations for step in seen} == {16}
    at_full_size = FrameOptimizer(features, StyleTargets.of(features, styles, (64, 80)))
    start = at_full_size.stylize(content, content, 0).losses["total"]
    assert found.losses["total"] < 0.3 * start
    # The start at full size already had the coarse picture's strokes.
    assert seen[9].losses["total"] < start


def test_a_small_picture_is_repainted_in_one_go(features, painting, content):
    found = stylize_coarse_to_fine(painter_of(features, [Style(painting)]), content, 3)
    optimizer = FrameOptimizer(features, StyleTargets.of(features, [Style(painting)], (64, 80)))
    assert np.array_equal(found.image, optimizer.stylize(content, content, 3).image)


def test_within_less_memory_it_is_the_same_picture_from_tiles(features, painting, content):
    styles, picture = [Style(painting)], np.tile(content, (2, 2, 1))
    settings = OptimizeSettings(history=4, style_layers={"relu1_1": 1.0}, content_layers={"relu2_1": 1.0})
    seen = []
    stylize = FrameOptimizer.stylize

    def watched(self, *args, **kwargs):
        seen.append(self.tile)
        return stylize(self, *args, **kwargs)

    whole = stylize_coarse_to_fine(painter_of(features, styles, settings), picture, 2, keep_exact=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameOptimizer, "stylize", watched)
        patch.setattr(memory, "PROCESS_BYTES", 0)
        patch.setattr(memory.MemoryModel, "feature_bytes", lambda self, pixels: 1000 * pixels)
        limit = round(memory.MemoryModel.of(features, settings).estimate((128, 160)) / memory.HEADROOM) - 10
        tiled = stylize_coarse_to_fine(painter_of(features, styles, settings, limit), picture, 2, keep_exact=True)
    assert seen == [128]
    assert np.abs(tiled.exact - whole.exact).max() < 0.5
    assert tiled.losses == pytest.approx(whole.losses, rel=1e-3)
