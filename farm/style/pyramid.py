"""Coarse to fine: repaint small, enlarge, go on.

At a fixed size the network sees strokes of at most its receptive field, 212 pixels for relu5_1 and far fewer in
effect, so a large picture painted in one go has tiny strokes, and takes many steps until they agree across
it. A small picture is cheap and its strokes are large; enlarged, it is a start that the steps at full size only refine.

    stylize_coarse_to_fine(features, styles, content, iterations=400)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.style.guided import RegionStyles
from farm.style.optimize import FrameOptimizer, OptimizeSettings, StepProgress, StylizedFrame
from farm.style.picture import resize
from farm.style.targets import Style, StyleTargets
from farm.style.vgg import VGGFeatures

COARSEST_SIDE = 192
"""Pixels of the shorter side below which no level is started: about the receptive field of relu5_1."""


def pyramid_sizes(size: tuple[int, int], coarsest_side: int = COARSEST_SIDE) -> list[tuple[int, int]]:
    """(height, width), each twice the one before up to `size`, none with a shorter side below `coarsest_side`.

    >>> pyramid_sizes((576, 1024))
    [(288, 512), (576, 1024)]
    """
    levels = max(0, math.floor(math.log2(max(1.0, min(size) / coarsest_side))))
    height, width = size
    return [(round(height / 2**level), round(width / 2**level)) for level in range(levels, -1, -1)]


def split_iterations(iterations: int, levels: int) -> list[int]:
    """Half to the coarsest level, half of the rest to the next, what is left to the full size.

    >>> split_iterations(400, 3)
    [200, 100, 100]
    """
    shares: list[int] = []
    for _ in range(levels - 1):
        shares.append((iterations - sum(shares)) // 2)
    return [*shares, iterations - sum(shares)]


def stylize_coarse_to_fine(
    features: VGGFeatures,
    styles: Sequence[Style],
    content: NDArray[np.uint8],
    iterations: int,
    settings: OptimizeSettings | None = None,
    style_scale: float = 1.0,
    coarsest_side: int = COARSEST_SIDE,
    progress: Callable[[StepProgress], None] | None = None,
    start: NDArray[np.uint8] | None = None,
    regions: Sequence[RegionStyles] = (),
) -> StylizedFrame:
    """Repaint `content` (H, W, 3), from itself or from `start`, over `pyramid_sizes`, `iterations` steps in all.

    `start` may have any size of the same aspect: it is brought to that of the first level.
    `progress` counts through all levels. Of the result, `steps` and `restarts` are sums, the rest is the full size's.
    `regions` have styles of their own. The style targets are computed for every level: see StyleTargets.
    Raises OptimizationError.
    """
    settings = settings or OptimizeSettings()
    sizes = pyramid_sizes((content.shape[0], content.shape[1]), coarsest_side)
    image: NDArray[Any] = content if start is None else start
    done = steps = restarts = 0
    for size, share in zip(sizes, split_iterations(iterations, len(sizes)), strict=True):
        targets = StyleTargets.of(features, styles, size, style_scale, settings.style_layers)
        guided = [region.at(features, size, style_scale, settings.style_layers) for region in regions]
        shown = _shifted(progress, done, iterations)
        frame = FrameOptimizer(features, targets, settings).stylize(
            resize(content, size), resize(image, size), share, progress=shown, regions=guided
        )
        image, done, steps, restarts = frame.image, done + share, steps + frame.steps, restarts + frame.restarts
    return replace(frame, steps=steps, restarts=restarts)


def _shifted(
    progress: Callable[[StepProgress], None] | None, done: int, iterations: int
) -> Callable[[StepProgress], None] | None:
    if progress is None:
        return None
    return lambda step: progress(replace(step, step=done + step.step, iterations=iterations))
