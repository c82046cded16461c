"""One frame, repainted by optimisation (Gatys et al. 2015; Ruder et al. 2016).

    optimizer = FrameOptimizer(features, StyleTargets.of(features, styles, (height, width)))
    first = optimizer.stylize(frame, start=frame, iterations=400)
    later = optimizer.stylize(frame, start=warped, iterations=80, ties=[TemporalTie(warped, reliability)])

The loss is that of losses/objective.py; the minimiser is that of minimize.py. A frame that goes wrong (NaN, or an
optimiser that gives up) is noticed, redone from a safer start, and never handed on silently.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farm.errors import OptimizationError, UsageError
from farm.paint.device import free_memory, is_out_of_memory
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses.guided import Guide, StyledRegion, paste
from farm.paint.losses.objective import Anchor, Objective, OptimizeSettings, TemporalTie
from farm.paint.losses.targets import StyleTargets
from farm.paint.optimizer.memory import SHORTEST_HISTORY, usable_tiles
from farm.paint.optimizer.minimize import FIRST_STEP, LBFGS, Adam, Minimizer, SmoothingPreconditioner
from farm.paint.stopwatch import timed
from farm.paint.tensors import image_to_tensor, tensor_to_exact, tensor_to_image

Stop = Literal["iterations", "converged"]

PATIENCE = 10
"""Steps after which an image no better than its start counts as not optimised; an optimiser that gives up
sooner counts as broken."""
FLAT = 1e-6
"""Relative change of the loss that float32 cannot tell from none."""


@dataclass(frozen=True)
class StepProgress:
    """After step `step` of `iterations`; `losses` at the point just evaluated, weighted, as in StylizedFrame.

    `point` is the picture there, (1, 3, H, W) float32 in 0..255, not clipped: see `farm.paint.tensors.tensor_to_image`.
    """

    step: int
    iterations: int
    losses: Mapping[str, float]
    point: Tensor


@dataclass(frozen=True)
class StylizedFrame:
    """A finished frame, uint8 (H, W, 3), and how it came about.

    `losses`: "total" and its weighted parts "content", "style", "temporal", "tv" and "range", for the image before
    it was clipped and rounded. `restarts` counts the attempts that were thrown away. `notes`: what else the user should
    know, one line each. `exact`: float32 (H, W, 3) in 0..255, before rounding, if it was asked for.
    """

    image: NDArray[np.uint8]
    steps: int
    losses: dict[str, float]
    stop: Stop
    restarts: int
    notes: tuple[str, ...] = ()
    exact: NDArray[np.float32] | None = None


class FrameOptimizer:
    """Repaints frames of one size in one style. Holds no state from frame to frame.

    `tile`: side in pixels of the tiles that the losses are computed in, None for the whole frame at once. It changes
    memory and time, not the result (but for the order of sums); `farm.paint.optimizer.memory` says which fits.
    """

    def __init__(
        self,
        features: VGGFeatures,
        targets: StyleTargets,
        settings: OptimizeSettings | None = None,
        tile: int | None = None,
    ) -> None:
        self.features = features
        self.targets = targets
        self.settings = settings or OptimizeSettings()
        self.tile = tile
        if missing := sorted(set(self.settings.style_layers) - set(targets.grams)):
            raise UsageError(f"the style targets lack layer {missing[0]}", "compute them for the same layers")

    def stylize(
        self,
        content: NDArray[np.uint8],
        start: NDArray[Any],
        iterations: int,
        ties: Sequence[TemporalTie] = (),
        progress: Callable[[StepProgress], None] | None = None,
        regions: Sequence[StyledRegion] = (),
        keep_exact: bool = False,
        average_last: int = 1,
    ) -> StylizedFrame:
        """Minimise the loss from `start` in at most `iterations` steps.

        `content` (H, W, 3) uint8; `start` likewise, uint8 or float in 0..255. The result is the best image that was
        evaluated: with 0 iterations, the start. A step is one evaluation of loss and gradient, and one more of the loss
        alone ends the frame: at the mean of the last `average_last` points (Polyak and Juditsky 1992), which lies in
        the valley that they jump across. `regions` have styles of their own, or stay the content; see
        `farm.paint.losses.guided`. If memory runs out the frame is begun again in smaller tiles, and `notes`
        of the result says so. `keep_exact` keeps the image before rounding.
        Raises OptimizationError if the loss is not finite, or does not fall, from any start, or if the smallest
        tiles do not fit into memory.
        """
        shapes = [start.shape, *(tie.image.shape for tie in ties), *((*tie.weight.shape, 3) for tie in ties)]
        shapes += [(*region.weight.shape, 3) for region in regions]
        if any(shape != content.shape for shape in shapes):
            raise ValueError("content, start, ties and regions must have the same shape")
        request = _Request(content, start, iterations, ties, regions, progress, keep_exact, average_last)
        tile, history = self.tile, self.settings.history
        notes: list[str] = []
        while True:
            within = _Within(tile, history)
            try:
                return replace(self._stylize(request, within), notes=tuple(notes))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Here, not above: the error's traceback holds on to every tensor of the attempt.
            free_memory(self.features.device)
            smaller = usable_tiles(content.shape[:2], below=tile)
            if not smaller:
                raise OptimizationError(
                    f"memory ran out for a picture of {content.shape[1]}x{content.shape[0]}, in the smallest tiles too",
                    "give a smaller --size, or fewer workers",
                )
            before = f"in tiles of {tile} pixels" if tile else "with the picture whole"
            tile, history = smaller[0], max(history // 2, min(history, SHORTEST_HISTORY))
            notes.append(f"memory ran out {before}; painted again in tiles of {tile} pixels")

    def _stylize(self, request: _Request, within: _Within) -> StylizedFrame:
        content, regions = request.content, request.regions
        anchor = Anchor.of(request.ties, self.features.device) if request.ties else None
        guide = Guide(regions, self.targets, self.settings.style_layers, self.features.device) if regions else None
        kept = guide.kept if guide else None
        failures: list[str] = []
        for attempt in self._attempts(content, within.history):
            objective = Objective(attempt.features, self.targets, self.settings, content, anchor, guide, within.tile)
            begin = content if attempt.from_content else request.start
            if kept is not None:
                begin = kept[..., None] * content + (1 - kept[..., None]) * begin
            image = image_to_tensor(begin, self.features.device)
            try:
                outcome = self._minimize(objective, attempt.minimizer(image), request)
            except _AttemptError as error:
                failures.append(f"{attempt.name}: {error}")
                continue
            painted = tensor_to_image(outcome.image)
            exact = tensor_to_exact(outcome.image) if request.keep_exact else None
            if kept is not None:
                painted = paste(painted, content, kept)
                exact = None if exact is None else paste(exact, content, kept)
            return StylizedFrame(
                image=painted,
                steps=outcome.steps,
                losses=outcome.losses,
                stop=outcome.stop,
                restarts=len(failures),
                exact=exact,
            )
        raise OptimizationError(
            f"a frame could not be optimised ({'; '.join(failures)})",
            "try --precision fp32, or lower the style and temporal weights",
        )

    def _attempts(self, content: NDArray[np.uint8], history: int) -> Iterator[_Attempt]:
        """As asked for; then float32 and a careful first step; then Adam, in float32, from the content."""
        settings = self.settings
        precondition = None
        if settings.precondition:
            precondition = SmoothingPreconditioner(content.shape[0], content.shape[1], self.features.device)

        def lbfgs(start: Tensor, first_step: float = FIRST_STEP) -> Minimizer:
            return LBFGS(start, history, first_step, precondition)

        def careful(start: Tensor) -> Minimizer:
            return lbfgs(start, FIRST_STEP / 10)

        def adam(start: Tensor) -> Minimizer:
            return Adam(start, settings.learning_rate)

        yield _Attempt(settings.optimizer, self.features, lbfgs if settings.optimizer == "lbfgs" else adam)
        exact = self.features.with_dtype(torch.float32)  # not before it is needed: it copies the network
        yield _Attempt("lbfgs in float32, small first step", exact, careful)
        yield _Attempt("adam in float32, from the content", exact, adam, from_content=True)

    def _minimize(self, objective: Objective, minimizer: Minimizer, request: _Request) -> _Outcome:
        settings, iterations, average_last = self.settings, request.iterations, request.average_last
        best = _Outcome(minimizer.point, 0, {"total": math.inf}, "iterations")
        lowest: deque[float] = deque(maxlen=settings.window + 1)
        latest: deque[Tensor] = deque(maxlen=average_last)
        for step in range(iterations + 1):
            point = minimizer.point
            if average_last > 1:
                latest.append(point)
                point = point if step < iterations else torch.stack(tuple(latest)).mean(dim=0)
            with timed("losses"):
                values, gradient = objective.evaluate(point, with_gradient=step < iterations)
            total = values["total"]
            if not math.isfinite(total):
                raise _AttemptError(f"the loss was {total} at step {step}")
            if total < best.losses["total"]:
                best = _Outcome(point, step, values, "iterations")
            if request.progress:
                request.progress(StepProgress(step, iterations, values, point))
            lowest.append(best.losses["total"])
            if len(lowest) > settings.window and lowest[0] - lowest[-1] <= settings.convergence * lowest[0]:
                return self._finished(best, step, "converged")
            if gradient is None:
                break
            # By how much the loss could fall, to first order, if the image moved by one grey level.
            reach = float(gradient.norm()) * math.sqrt(gradient.numel())
            if not math.isfinite(reach):
                raise _AttemptError(f"the gradient was {reach} at step {step}")
            if reach <= FLAT * total:
                return replace(best, steps=step, stop="converged")
            with timed("optimizer"):
                minimizer.tell(total, gradient)
            if minimizer.stalled:
                # In float32 and far from the start this is the floor of the arithmetic. Anywhere else it is a fault.
                if objective.features.dtype == torch.float32 and best.steps >= PATIENCE:
                    return replace(best, steps=step, stop="converged")
                raise _AttemptError(f"no descent after step {step}")
        return self._finished(best, iterations, "iterations")

    def _finished(self, best: _Outcome, steps: int, stop: Stop) -> _Outcome:
        if best.steps == 0 and steps >= PATIENCE:
            raise _AttemptError(f"the loss had not fallen after {steps} steps")
        return replace(best, steps=steps, stop=stop)


class _AttemptError(Exception):
    """An attempt that must not be handed on."""


@dataclass(frozen=True)
class _Request:
    """The arguments of FrameOptimizer.stylize."""

    content: NDArray[np.uint8]
    start: NDArray[Any]
    iterations: int
    ties: Sequence[TemporalTie]
    regions: Sequence[StyledRegion]
    progress: Callable[[StepProgress], None] | None
    keep_exact: bool
    average_last: int


@dataclass(frozen=True)
class _Within:
    """What of the memory one try of a frame may take."""

    tile: int | None
    history: int


@dataclass(frozen=True)
class _Outcome:
    image: Tensor
    steps: int
    losses: dict[str, float]
    stop: Stop


@dataclass(frozen=True)
class _Attempt:
    name: str
    features: VGGFeatures
    minimizer: Callable[[Tensor], Minimizer]
    from_content: bool = False
