"""Coarse to fine: a picture is painted small, enlarged, and painted again from there.

Why: the network sees strokes of at most its receptive field, 212 pixels for relu5_1 and far fewer in effect. So a large
picture that is painted in one go has tiny strokes, and takes many steps until they agree across it. A small picture
takes little time and has large strokes; enlarged, it is a start that the steps at full size only refine.

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
from farm.paint.losses.targets import Targets
from farm.paint.optimizer.frame import FrameOptimizer, OptimizeSettings, StepProgress, StylizedFrame
from farm.paint.optimizer.memory import MemoryModel, MemoryPlan, plan_memory

COARSEST_SIDE = 192
"""Least shorter side of a level, in pixels: about the receptive field of relu5_1."""


def pyramid_sizes(size: tuple[int, int], coarsest_side: int = COARSEST_SIDE) -> list[tuple[int, int]]:
    """(height, width) of each level, twice that of the level before, up to `size`.

    No level but a single one has a shorter side below `coarsest_side`.

    >>> pyramid_sizes((576, 1024))
    [(288, 512), (576, 1024)]
    """
    levels = max(0, math.floor(math.log2(max(1.0, min(size) / coarsest_side))))
    height, width = size
    return [(round(height / 2**level), round(width / 2**level)) for level in range(levels, -1, -1)]


def split_iterations(iterations: int, levels: int) -> list[int]:
    """Iterations of each level: half for the coarsest, half of the rest for the next, what is left for the full size.

    >>> split_iterations(400, 3)
    [200, 100, 100]
    """
    shares: list[int] = []
    for _ in range(levels - 1):
        shares.append((iterations - sum(shares)) // 2)
    return [*shares, iterations - sum(shares)]


class Painter:
    """What pictures of any size are painted with: the network, one style, the settings, and the limit of memory."""

    def __init__(
        self,
        features: VGGFeatures,
        targets: Targets,
        settings: OptimizeSettings | None = None,
        max_memory: int | None = None,
    ) -> None:
        """`settings` None are the defaults; `max_memory` in bytes, None for no limit."""
        self.features = features
        self.targets = targets
        self.settings = settings or OptimizeSettings()
        self._max_memory = max_memory
        self._memory = MemoryModel.of(features, self.settings)

    def plan(self, size: tuple[int, int]) -> MemoryPlan:
        """How a picture of (height, width) fits into memory, in tiles if need be.

        Raises OptimizationError if not even the smallest tiles fit.
        """
        return plan_memory(size, self._memory, self._max_memory)

    def optimizer(self, size: tuple[int, int]) -> FrameOptimizer:
        """The optimiser for pictures of (height, width). Raises OptimizationError as `plan` does."""
        plan, targets = self.plan(size), self.targets.at(size)
        # Blocks that the targets and the level before have freed have other sizes than those that the next level needs.
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
    """Paint `content` (H, W, 3) uint8 over the levels of `pyramid_sizes`, in `iterations` steps in all.

    The first level starts from `start` (uint8, any size of the same aspect), or from the content; every other level
    from the one before. `regions_at` gives the regions that have styles of their own, at (height, width). `progress`
    counts through all levels. `keep_exact` keeps the image before rounding. Of the result, `steps` and `restarts` are
    sums over the levels; the rest is of the full size.
    Raises OptimizationError, also for a picture that does not fit into memory; then before any work.
    """
    sizes = pyramid_sizes((content.shape[0], content.shape[1]), coarsest_side)
    for size in sizes:
        painter.plan(size)  # refuses what does not fit before any work
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
