"""Coarse to fine: repaint small, enlarge, go on.

At a fixed size the network sees strokes of at most its receptive field, 212 pixels for relu5_1 and far fewer in
effect, so a large picture painted in one go has tiny strokes, and takes many steps until they agree across
it. A small picture is cheap and its strokes are large; enlarged, it is a start that the steps at full size only refine.

    painter = Painter(features, SizedTargets(features, styles, style_scale=1.0, layers=STYLE_LAYERS))
    stylize_coarse_to_fine(painter, content, iterations=400)
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
from farm.paint.losses.guided import StyledRegion
from farm.paint.losses.targets import SizedTargets
from farm.paint.optimizer.frame import FrameOptimizer, OptimizeSettings, StepProgress, StylizedFrame
from farm.paint.optimizer.memory import MemoryModel, MemoryPlan, plan_memory

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


class Painter:
    """What pictures of any size are painted with: the network, the style, the settings, and the memory there is."""

    def __init__(
        self,
        features: VGGFeatures,
        targets: SizedTargets,
        settings: OptimizeSettings | None = None,
        max_memory: int | None = None,
    ) -> None:
        self.features = features
        self.targets = targets
        self.settings = settings or OptimizeSettings()
        self._max_memory = max_memory
        self._memory = MemoryModel.of(features, self.settings)

    def plan(self, size: tuple[int, int]) -> MemoryPlan:
        """How (height, width) fits into `max_memory` bytes, in tiles if need be. Raises UsageError if it does not."""
        return plan_memory(size, self._memory, self._max_memory)

    def optimizer(self, size: tuple[int, int]) -> FrameOptimizer:
        """What paints pictures of (height, width), within the memory that there is."""
        plan, targets = self.plan(size), self.targets.at(size)
        # What the targets and the level before have freed has other sizes than what comes, and would lie there.
        free_memory(self.features.device)
        return FrameOptimizer(self.features, targets, replace(self.settings, history=plan.history), plan.tile)


def stylize_coarse_to_fine(
    painter: Painter,
    content: NDArray[np.uint8],
    iterations: int,
    start: NDArray[np.uint8] | None = None,
    regions_at: Callable[[tuple[int, int]], Sequence[StyledRegion]] = lambda size: (),
    progress: Callable[[StepProgress], None] | None = None,
    keep_exact: bool = False,
    coarsest_side: int = COARSEST_SIDE,
) -> StylizedFrame:
    """Repaint `content` (H, W, 3), from itself or from `start`, over `pyramid_sizes`, `iterations` steps in all.

    `start` may have any size of the same aspect: it is brought to that of the first level. `regions_at` gives the
    regions that have styles of their own, at (height, width). `progress` counts through all levels. `keep_exact` is
    that of FrameOptimizer. Of the result, `steps` and `restarts` are sums; the rest is the full size's.
    Raises OptimizationError, and UsageError for a picture that does not fit into memory.
    """
    sizes = pyramid_sizes((content.shape[0], content.shape[1]), coarsest_side)
    for size in sizes:
        painter.plan(size)  # what does not fit is refused before any work
    image: NDArray[Any] = content if start is None else start
    notes: tuple[str, ...] = ()
    done = steps = restarts = 0
    for size, share in zip(sizes, split_iterations(iterations, len(sizes)), strict=True):
        frame = painter.optimizer(size).stylize(
            resize(content, size),
            resize(image, size),
            share,
            progress=_shifted(progress, done, iterations),
            regions=regions_at(size),
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
