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

from farm.media.pictures import resize
from farm.paint.device import free_memory
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses.guided import RegionStyles
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.optimizer.frame import FrameOptimizer, OptimizeSettings, StepProgress, StylizedFrame
from farm.paint.optimizer.memory import MemoryModel, plan_memory

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
    max_memory: int | None = None,
    keep_exact: bool = False,
) -> StylizedFrame:
    """Repaint `content` (H, W, 3), from itself or from `start`, over `pyramid_sizes`, `iterations` steps in all.

    `start` may have any size of the same aspect: it is brought to that of the first level.
    `progress` counts through all levels. Of the result, `steps` and `restarts` are sums, the rest is the full size's.
    `regions` have styles of their own. The style targets are computed for every level: see StyleTargets. Every level is
    painted within `max_memory` bytes, in tiles if need be (memory.py); `keep_exact` as in FrameOptimizer.
    Raises OptimizationError.
    """
    settings = settings or OptimizeSettings()
    sizes = pyramid_sizes((content.shape[0], content.shape[1]), coarsest_side)
    model = MemoryModel.of(features, settings)
    plans = [plan_memory(size, model, max_memory) for size in sizes]  # before any work
    image: NDArray[Any] = content if start is None else start
    notes: tuple[str, ...] = ()
    done = steps = restarts = 0
    for size, plan, share in zip(sizes, plans, split_iterations(iterations, len(sizes)), strict=True):
        targets = StyleTargets.of(features, styles, size, style_scale, settings.style_layers)
        # What the targets and the level before have freed has other sizes than what comes, and would lie there.
        free_memory(features.device)
        guided = [region.at(features, size, style_scale, settings.style_layers) for region in regions]
        frame = FrameOptimizer(features, targets, replace(settings, history=plan.history), plan.tile).stylize(
            resize(content, size),
            resize(image, size),
            share,
            progress=_shifted(progress, done, iterations),
            regions=guided,
            keep_exact=keep_exact and size == sizes[-1],
        )
        notes += frame.notes
        image, done, steps, restarts = frame.image, done + share, steps + frame.steps, restarts + frame.restarts
    return replace(frame, steps=steps, restarts=restarts, notes=notes)


def _shifted(
    progress: Callable[[StepProgress], None] | None, done: int, iterations: int
) -> Callable[[StepProgress], None] | None:
    if progress is None:
        return None
    return lambda step: progress(replace(step, step=done + step.step, iterations=iterations))
