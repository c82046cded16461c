"""One frame painted by optimisation (Gatys et al. 2015; Ruder et al. 2016).

    optimizer = FrameOptimizer(features, StyleTargets.of(features, styles, (height, width)))
    first = optimizer.stylize(frame, start=frame, iterations=400)
    later = optimizer.stylize(frame, start=warped, iterations=80, ties=[TemporalTie(warped, reliability)])

losses/objective.py has the loss, minimize.py the minimiser. A frame that goes wrong (NaN, or an optimiser that gives
up) is painted again with safer settings, at most twice. If that fails too, OptimizationError is raised: no such frame
is returned.
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
from farm.paint.losses.objective import Anchor, Objective, OptimizeSettings
from farm.paint.losses.targets import StyleTargets
from farm.paint.losses.ties import TemporalTie
from farm.paint.losses.windows import SURROUNDINGS, WHOLE_STYLE, Steps, share_of
from farm.paint.optimizer.memory import SHORTEST_HISTORY, usable_tiles
from farm.paint.optimizer.minimize import LBFGS, Adam, Minimizer, SmoothingPreconditioner, WithinChange
from farm.paint.stopwatch import timed
from farm.paint.tensors import image_to_tensor, tensor_to_exact, tensor_to_image

Stop = Literal["iterations", "converged"]
"""Why an optimisation ended: all its steps were done, or its loss hardly fell any more."""

PATIENCE = 10
"""Steps after which an image no better than its start counts as a failure. An optimiser that gives up within fewer
steps counts as a failure too; one that gives up later, in float32, has converged.
"""
FLAT = 1e-6
"""Relative change of the loss that float32 cannot distinguish from no change."""


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
    """A finished frame, and how the optimisation went."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB, clipped and rounded."""
    steps: int
    """Steps of the optimiser that were done."""
    losses: dict[str, float]
    """"total" and its weighted parts "content", "style", "temporal", "tv" and "range", of the image before clipping and
    rounding."""
    stop: Stop
    restarts: int
    """Attempts that failed before this one."""
    notes: tuple[str, ...] = ()
    """Lines that the user should read, such as that memory ran out."""
    work: float = 0.0
    """Steps times the share of the picture that they were taken over."""
    exact: NDArray[np.float32] | None = None
    """(H, W, 3) in 0..255 before rounding, if the caller asked for it."""


class FrameOptimizer:
    """Paints frames of one size in one style. It holds no state from frame to frame."""

    def __init__(
        self,
        features: VGGFeatures,
        targets: StyleTargets,
        settings: OptimizeSettings | None = None,
        tile: int | None = None,
    ) -> None:
        """`targets` are those for the size of the frames; `settings` None are the defaults.

        `tile` is the side in pixels of the tiles that the losses are computed in, None for the whole frame at once. It
        changes memory and time; of the result it changes rounding, by the order of sums, and steps that would be taken
        in windows are taken over the whole picture.
        `farm.paint.optimizer.memory` computes which side fits.
        Raises UsageError where the targets lack a style layer of the settings.
        """
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
        iterations: int | Steps,
        ties: Sequence[TemporalTie] = (),
        progress: Callable[[StepProgress], None] | None = None,
        regions: Sequence[StyledRegion] = (),
        keep_exact: bool = False,
        average_last: int = 1,
    ) -> StylizedFrame:
        """Minimise the loss from `start` in at most `iterations` steps.

        `content` (H, W, 3) uint8; `start` of the same shape, uint8 or float in 0..255. `regions` have styles of their
        own, or stay the content; see `farm.paint.losses.guided`. `progress` is called after every evaluation.
        `keep_exact` keeps the image before rounding.

        `iterations` also says where steps are taken, if it is a Steps (farm.paint.losses.windows). Where nothing may
        change, none is taken but those everywhere; without any, the result is the start, and no loss is computed. The
        losses of steps in windows alone lack "content" and "total", and `progress` begins at 0 again with them. In
        tiles, all steps are over the whole picture, where anything may change.

        A step is one evaluation of loss and gradient. One more evaluation, of the loss alone, ends the frame: at the
        mean of the last `average_last` points (Polyak and Juditsky 1992), which lies in the valley that they jump
        across. The result is the best image that was evaluated; with 0 iterations, the start. If memory runs out, the
        frame is begun again in smaller tiles, and `notes` of the result says so.
        Raises OptimizationError if the loss is not finite or does not fall in any attempt, or if the smallest tiles do
        not fit into memory; ValueError for pictures of unequal shapes.
        """
        shapes = [start.shape, *(tie.image.shape for tie in ties), *((*tie.weight.shape, 3) for tie in ties)]
        shapes += [(*region.weight.shape, 3) for region in regions]
        steps = Steps(iterations) if isinstance(iterations, int) else iterations
        shapes += [] if steps.change is None else [(*steps.change.shape, 3)]
        if any(shape != content.shape for shape in shapes):
            raise ValueError("content, start, ties, regions and the change must have the same shape")
        if steps.windows == []:
            steps = Steps(steps.everywhere)
            if not steps.count:
                return _as_it_is(_with_kept(start, content, regions), keep_exact)
        request = _Request(content, start, steps, ties, regions, progress, keep_exact, average_last)
        tile, history = self.tile, self.settings.history
        notes: list[str] = []
        while True:
            within = _Within(tile, history)
            try:
                return replace(self._stylize(request, within), notes=tuple(notes))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the except block, because the error's traceback holds on to every tensor of the attempt.
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
            in_windows = attempt.in_windows and not within.tile
            steps = request.steps if in_windows else Steps(request.steps.count)
            begin = content if attempt.from_content else request.start
            if kept is not None:
                begin = kept[..., None] * content + (1 - kept[..., None]) * begin
            image = image_to_tensor(begin, self.features.device)
            alone = None if steps.everywhere else steps.windows
            objective = Objective(
                attempt.features, self.targets, self.settings, content, anchor, guide, within.tile, alone
            )
            try:
                outcome = self._minimize_in_turn(objective, attempt, image, request, steps)
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
                work=round(outcome.work, 3),
            )
        raise OptimizationError(
            f"a frame could not be optimised ({'; '.join(failures)})",
            "try --precision fp32, or lower the style and temporal weights",
        )

    def _minimize_in_turn(
        self, objective: Objective, attempt: _Attempt, image: Tensor, request: _Request, steps: Steps
    ) -> _Outcome:
        """Steps over the whole picture, and then those in windows."""
        if steps.change is None or not steps.windows:
            outcome = self._minimize(objective, attempt.minimizer(image, None), request, steps.count)
            return replace(outcome, work=float(outcome.steps))
        before = _Outcome(image, 0, {}, "iterations")
        if steps.everywhere:
            before = self._minimize(objective, attempt.minimizer(image, None), request, steps.everywhere)
            image = before.image
        change = torch.zeros(steps.change.shape)
        for window in steps.windows:
            window.of(change).copy_(window.of(torch.from_numpy(steps.change)))
        change = change.to(self.features.device)
        objective.narrow(image, steps.windows, change > 0)
        left = steps.count - steps.everywhere
        outcome = self._minimize(objective, attempt.minimizer(image, change), request, left)
        losses = _of_the_whole(outcome.losses, with_content=steps.everywhere > 0)
        share = share_of(steps.windows, steps.change.shape)
        work = before.steps + SURROUNDINGS + share * outcome.steps
        return replace(outcome, steps=before.steps + outcome.steps, losses=losses, work=work)

    def _attempts(self, content: NDArray[np.uint8], history: int) -> Iterator[_Attempt]:
        """The attempts in order: as the settings say; L-BFGS in float32 with a small first step; Adam in float32, from
        the content.
        """
        settings = self.settings
        smoothing = None
        if settings.precondition:
            height, width = content.shape[:2]
            smoothing = SmoothingPreconditioner(height, width, settings.lowest_frequency, self.features.device)

        def lbfgs(start: Tensor, change: Tensor | None, first_step: float = settings.first_step) -> Minimizer:
            precondition = smoothing if change is None else WithinChange(change, smoothing)
            return LBFGS(start, history, first_step, precondition)

        def careful(start: Tensor, change: Tensor | None) -> Minimizer:
            return lbfgs(start, change, settings.first_step / 10)

        def adam(start: Tensor, change: Tensor | None) -> Minimizer:
            return Adam(start, settings.learning_rate)

        yield _Attempt(settings.optimizer, self.features, lbfgs if settings.optimizer == "lbfgs" else adam)
        exact = self.features.with_dtype(torch.float32)  # only now, because it copies the network
        yield _Attempt("lbfgs in float32, small first step", exact, careful, in_windows=False)
        yield _Attempt("adam in float32, from the content", exact, adam, from_content=True, in_windows=False)

    def _minimize(self, objective: Objective, minimizer: Minimizer, request: _Request, iterations: int) -> _Outcome:
        settings, average_last = self.settings, request.average_last
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
            # By this much the loss could fall, to first order, if the image moved by one grey level.
            reach = float(gradient.norm()) * math.sqrt(gradient.numel())
            if not math.isfinite(reach):
                raise _AttemptError(f"the gradient was {reach} at step {step}")
            if reach <= FLAT * total:
                return replace(best, steps=step, stop="converged")
            with timed("optimizer"):
                minimizer.tell(total, gradient)
            if minimizer.stalled:
                # In float32 and far from the start, this is the limit of the arithmetic. Anywhere else it is a fault.
                if objective.features.dtype == torch.float32 and best.steps >= PATIENCE:
                    return replace(best, steps=step, stop="converged")
                raise _AttemptError(f"no descent after step {step}")
        return self._finished(best, iterations, "iterations")

    def _finished(self, best: _Outcome, steps: int, stop: Stop) -> _Outcome:
        if best.steps == 0 and steps >= PATIENCE:
            raise _AttemptError(f"the loss had not fallen after {steps} steps")
        return replace(best, steps=steps, stop=stop)


def _with_kept(start: NDArray[Any], content: NDArray[np.uint8], regions: Sequence[StyledRegion]) -> NDArray[Any]:
    """The start with the photograph in the regions that keep it."""
    keeping = [region.weight for region in regions if region.targets is None]
    if not keeping:
        return start
    return paste(start.astype(np.float32), content, np.sum(keeping, axis=0, dtype=np.float32).clip(0, 1))


def _as_it_is(start: NDArray[Any], keep_exact: bool) -> StylizedFrame:
    """The start as a result of no step."""
    image = image_to_tensor(start, "cpu")
    return StylizedFrame(
        tensor_to_image(image), 0, {}, "iterations", 0, exact=tensor_to_exact(image) if keep_exact else None
    )


def _of_the_whole(losses: dict[str, float], *, with_content: bool) -> dict[str, float]:
    """The losses of a picture that was painted in windows.

    `with_content` says that the content of all of it was looked at, and not that within the windows alone.
    """
    whole = {name: loss for name, loss in losses.items() if name != WHOLE_STYLE}
    whole["style"] = losses[WHOLE_STYLE]
    whole["total"] += whole["style"] - losses["style"]
    return whole if with_content else {name: loss for name, loss in whole.items() if name not in ("content", "total")}


class _AttemptError(Exception):
    """An attempt failed: its image must not be returned."""


@dataclass(frozen=True)
class _Request:
    """The arguments of FrameOptimizer.stylize."""

    content: NDArray[np.uint8]
    start: NDArray[Any]
    steps: Steps
    ties: Sequence[TemporalTie]
    regions: Sequence[StyledRegion]
    progress: Callable[[StepProgress], None] | None
    keep_exact: bool
    average_last: int


@dataclass(frozen=True)
class _Within:
    """How one try of a frame keeps within memory: side of the tiles in pixels (None: whole), pairs of L-BFGS."""

    tile: int | None
    history: int


@dataclass(frozen=True)
class _Outcome:
    image: Tensor
    steps: int
    losses: dict[str, float]
    stop: Stop
    work: float = 0.0


@dataclass(frozen=True)
class _Attempt:
    name: str
    features: VGGFeatures
    minimizer: Callable[[Tensor, Tensor | None], Minimizer]
    """Of a start, and of how far each pixel may change, (H, W); None is everywhere."""
    from_content: bool = False
    in_windows: bool = True
