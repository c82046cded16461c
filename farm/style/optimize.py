"""One frame, repainted by optimisation (Gatys et al. 2015; Ruder et al. 2016).

    optimizer = FrameOptimizer(features, StyleTargets.of(features, styles, (height, width)))
    first = optimizer.stylize(frame, start=frame, iterations=400)
    later = optimizer.stylize(frame, start=warped, iterations=80, ties=[TemporalTie(warped, reliability)])

The loss is `farm.style.losses`'; the minimiser is `farm.style.minimize`'s. A frame that goes wrong (NaN, or an
optimiser that gives up) is noticed, redone from a safer start, and never handed on silently.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farm.errors import OptimizationError, UsageError
from farm.style import losses
from farm.style.device import free_memory, is_out_of_memory
from farm.style.guided import KEEP_WEIGHT, Guide, StyledRegion, paste
from farm.style.memory import SHORTEST_HISTORY, usable_tiles
from farm.style.minimize import FIRST_STEP, LBFGS, Adam, Minimizer, SmoothingPreconditioner
from farm.style.picture import image_to_tensor, tensor_to_exact, tensor_to_image
from farm.style.taps import content_tap, style_tap
from farm.style.targets import StyleTargets
from farm.style.tiles import PerceptualWeights, StyleParts, cut_tiles, network_reach, tiled_features, tiled_losses
from farm.style.vgg import VGGFeatures

Stop = Literal["iterations", "converged"]

LOSSES = ("content", "style", "temporal", "tv", "range")

PATIENCE = 10
"""Steps after which an image no better than its start counts as not optimised; an optimiser that gives up
sooner counts as broken."""
FLAT = 1e-6
"""Relative change of the loss that float32 cannot tell from none."""


@dataclass(frozen=True)
class OptimizeSettings:
    """Weights as in `farm.style.losses`. The layers are mapped to their weights in a sum."""

    content_weight: float = losses.CONTENT_WEIGHT
    style_weight: float = losses.STYLE_WEIGHT
    temporal_weight: float = losses.TEMPORAL_WEIGHT
    tv_weight: float = losses.TV_WEIGHT
    range_weight: float = losses.RANGE_WEIGHT
    content_layers: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(losses.CONTENT_LAYERS, 1.0))
    style_layers: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(losses.STYLE_LAYERS, 1.0))
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    history: int = 20
    """Pairs that L-BFGS remembers; each takes 24 bytes a pixel."""
    learning_rate: float = 2.0
    """Adam's, in grey levels."""
    precondition: bool = True
    """L-BFGS with `SmoothingPreconditioner`; False is the plain algorithm of the literature."""
    convergence: float = 1e-4
    """Stop when the loss has fallen by less than this share of itself..."""
    window: int = 50
    """... over this many steps. Ruder et al. 2016, section 7."""

    def __post_init__(self) -> None:
        weights = [self.content_weight, self.style_weight, self.temporal_weight, self.tv_weight, self.range_weight]
        weights += [*self.content_layers.values(), *self.style_layers.values()]
        if any(not (weight >= 0 and math.isfinite(weight)) for weight in weights):
            raise UsageError("weights of losses must be finite numbers of 0 or more")
        if not (self.content_weight and self.content_layers) and not (self.style_weight and self.style_layers):
            raise UsageError("content and style both weigh nothing", "give one of them a weight and a layer")
        if self.optimizer not in ("lbfgs", "adam"):
            raise UsageError(f"optimizer {self.optimizer!r} is not known", "use lbfgs or adam")
        if self.history < 1 or self.window < 1:
            raise UsageError("history and window must be 1 or more")


@dataclass(frozen=True)
class TemporalTie:
    """A picture that the result must resemble: a neighbour, already warped to this frame.

    `image` (H, W, 3) float32 or uint8 in 0..255; `weight` (H, W) float32 in 0..1. Where the weight is 0 the image may
    hold anything.
    """

    image: NDArray[Any]
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class StepProgress:
    """After step `step` of `iterations`; `losses` at the point just evaluated, weighted, as in StylizedFrame."""

    step: int
    iterations: int
    losses: Mapping[str, float]


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
    memory and time, not the result (but for the order of sums); `farm.style.memory` says which fits.
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
    ) -> StylizedFrame:
        """Minimise the loss from `start` in at most `iterations` steps.

        `content` (H, W, 3) uint8; `start` likewise, uint8 or float in 0..255. The result is the best image that was
        evaluated: with 0 iterations, the start. A step is one evaluation of loss and gradient, and one more
        of the loss alone ends the frame. `regions` have styles of their own, or stay the content; see
        `farm.style.guided`. If memory runs out the frame is begun again in smaller tiles, and `notes`
        of the result says so. `keep_exact` keeps the image before rounding.
        Raises OptimizationError if the loss is not finite, or does not fall, from any start, or if the smallest
        tiles do not fit into memory.
        """
        shapes = [start.shape, *(tie.image.shape for tie in ties), *((*tie.weight.shape, 3) for tie in ties)]
        shapes += [(*region.weight.shape, 3) for region in regions]
        if any(shape != content.shape for shape in shapes):
            raise ValueError("content, start, ties and regions must have the same shape")
        tile, history = self.tile, self.settings.history
        notes: list[str] = []
        while True:
            within = _Within(tile, history)
            try:
                frame = self._stylize(content, start, iterations, ties, regions, progress, keep_exact, within)
                return replace(frame, notes=tuple(notes))
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

    def _stylize(
        self,
        content: NDArray[np.uint8],
        start: NDArray[Any],
        iterations: int,
        ties: Sequence[TemporalTie],
        regions: Sequence[StyledRegion],
        progress: Callable[[StepProgress], None] | None,
        keep_exact: bool,
        within: _Within,
    ) -> StylizedFrame:
        anchor = _Anchor.of(ties, self.features.device) if ties else None
        guide = Guide(regions, self.targets, self.settings.style_layers, self.features.device) if regions else None
        kept = guide.kept if guide else None
        failures: list[str] = []
        for attempt in self._attempts(content, within.history):
            objective = _Objective(attempt.features, self.targets, self.settings, content, anchor, guide, within.tile)
            begin = content if attempt.from_content else start
            if kept is not None:
                begin = kept[..., None] * content + (1 - kept[..., None]) * begin
            image = image_to_tensor(begin, self.features.device)
            try:
                outcome = self._minimize(objective, attempt.minimizer(image), iterations, progress)
            except _AttemptError as error:
                failures.append(f"{attempt.name}: {error}")
                continue
            painted, exact = tensor_to_image(outcome.image), tensor_to_exact(outcome.image) if keep_exact else None
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

    def _minimize(
        self,
        objective: _Objective,
        minimizer: Minimizer,
        iterations: int,
        progress: Callable[[StepProgress], None] | None,
    ) -> _Outcome:
        settings = self.settings
        best = _Outcome(minimizer.point, 0, {"total": math.inf}, "iterations")
        lowest: deque[float] = deque(maxlen=settings.window + 1)
        for step in range(iterations + 1):
            point = minimizer.point
            values, gradient = objective.evaluate(point, with_gradient=step < iterations)
            total = values["total"]
            if not math.isfinite(total):
                raise _AttemptError(f"the loss was {total} at step {step}")
            if total < best.losses["total"]:
                best = _Outcome(point, step, values, "iterations")
            if progress:
                progress(StepProgress(step, iterations, values))
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


@dataclass(frozen=True)
class _Anchor:
    """All ties of a frame as one: `sum w_j (x - t_j)^2 = W (x - m)^2 + rest`, so that their number costs nothing.

    `weight` W (1, 1, H, W), `mean` m (1, 3, H, W), `rest` the mean of what no x can change.
    """

    weight: Tensor
    mean: Tensor
    rest: float

    @classmethod
    def of(cls, ties: Sequence[TemporalTie], device: torch.device) -> _Anchor:
        images = [image_to_tensor(tie.image, device) for tie in ties]
        weights = [torch.from_numpy(np.array(tie.weight, dtype=np.float32)).to(device) for tie in ties]
        # A warp may leave NaN where it has nothing to show, and NaN times a weight of 0 is NaN.
        images = [torch.where(weight > 0, image, 0) for image, weight in zip(images, weights, strict=True)]
        weight = torch.stack(weights).sum(0)
        mean = sum(w * image for w, image in zip(weights, images, strict=True)) / weight.clamp(min=1e-12)
        rest = sum(float((w * (image - mean).square()).mean()) for w, image in zip(weights, images, strict=True))
        return cls(weight[None, None], mean, rest)


class _Objective:
    """The loss of one frame as a function of its image."""

    def __init__(
        self,
        features: VGGFeatures,
        targets: StyleTargets,
        settings: OptimizeSettings,
        content: NDArray[np.uint8],
        anchor: _Anchor | None,
        guide: Guide | None = None,
        tile: int | None = None,
    ) -> None:
        self.features = features
        self._grams = targets.grams
        self._settings = settings
        self._anchor = anchor
        self._guide = guide
        self._photograph = image_to_tensor(content, features.device) if guide and guide.keep is not None else None
        self._style_layers = settings.style_layers if settings.style_weight else {}
        content_layers = settings.content_layers if settings.content_weight else {}
        used = {*content_layers, *self._style_layers}
        self._tiles = cut_tiles(content.shape[:2], tile, network_reach(features.layers, used)) if tile else []
        picture = image_to_tensor(content, features.device)
        if self._tiles:
            self._content = tiled_features(features, picture, content_layers, self._tiles)
            return
        with torch.no_grad():
            self._content = {name: found.float() for name, found in features(picture, content_layers).items()}

    def evaluate(self, image: Tensor, with_gradient: bool = True) -> tuple[dict[str, float], Tensor | None]:
        """The weighted losses, and the gradient (1, 3, H, W) of their sum."""
        perceptual = self._perceptual_in_tiles if self._tiles else self._perceptual
        values, gradient = perceptual(image, with_gradient)
        # In closed form as well: cheaper than autograd, and without a second graph.
        if self._anchor is not None:
            difference = image - self._anchor.mean
            self._add(values, gradient, "temporal", difference, difference * self._anchor.weight, self._anchor.rest)
        if self._guide is not None and self._guide.keep is not None and self._photograph is not None:
            difference = image - self._photograph
            self._add(values, gradient, "content", difference, difference * self._guide.keep)
        outside = image - image.clamp(0, 255)
        self._add(values, gradient, "range", outside, outside)
        if self._settings.tv_weight:
            self._add_total_variation(values, gradient, image)
        numbers = torch.stack(list(values.values())).tolist()  # one synchronisation with the device
        return {"total": sum(numbers), **dict(zip(values, numbers, strict=True))}, gradient

    def _perceptual(self, image: Tensor, with_gradient: bool) -> tuple[dict[str, Tensor], Tensor | None]:
        values = {name: torch.zeros((), device=image.device) for name in LOSSES}

        def tap(name: str, found: Tensor) -> Tensor:
            if name in self._content:
                scale = self._settings.content_weight * self._settings.content_layers[name]
                found, loss = content_tap(found, self._content[name], scale)
                values["content"] += scale * loss
            if name in self._style_layers:
                scale = self._settings.style_weight * self._style_layers[name]
                if self._guide is None:
                    found, loss = style_tap(found, self._grams[name], scale)
                else:
                    found, loss = self._guide.style_tap(name, found, scale)
                values["style"] += scale * loss
            return found

        leaf = image.detach().requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            found = self.features(leaf, {*self._content, *self._style_layers}, tap)
        if not with_gradient:
            return values, None
        deepest = list(found.values())[-1]
        # Every tap adds its own gradient; none comes from beyond the deepest.
        (gradient,) = torch.autograd.grad(deepest, leaf, torch.zeros_like(deepest))
        return values, gradient

    def _perceptual_in_tiles(self, image: Tensor, with_gradient: bool) -> tuple[dict[str, Tensor], Tensor | None]:
        values = {name: torch.zeros((), device=image.device) for name in LOSSES}
        settings = self._settings
        parts = self._guide.parts(image.shape[2:]) if self._guide else self._whole_parts()
        weights = PerceptualWeights(
            {name: settings.content_weight * settings.content_layers[name] for name in self._content},
            {name: settings.style_weight * self._style_layers[name] for name in parts},
        )
        found = tiled_losses(self.features, image, self._content, parts, weights, self._tiles, with_gradient)
        return {**values, "content": found.content, "style": found.style}, found.gradient

    def _whole_parts(self) -> dict[str, StyleParts]:
        return {name: StyleParts(self._grams[name][None]) for name in self._style_layers}

    def _add(
        self,
        values: dict[str, Tensor],
        gradient: Tensor | None,
        name: Literal["content", "temporal", "range"],
        difference: Tensor,
        pull: Tensor,
        rest: float = 0.0,
    ) -> None:
        """`weight * mean(difference * pull) + rest`, where the pull is the difference times a constant."""
        settings = self._settings
        weight = {"content": KEEP_WEIGHT, "temporal": settings.temporal_weight, "range": settings.range_weight}[name]
        values[name] = values[name] + weight * ((difference * pull).mean() + rest)
        if gradient is not None:
            gradient.add_(pull, alpha=2 * weight / difference.numel())

    def _add_total_variation(self, values: dict[str, Tensor], gradient: Tensor | None, image: Tensor) -> None:
        leaf = image.detach().requires_grad_()
        with torch.enable_grad():
            loss = self._settings.tv_weight * losses.total_variation(leaf)
        values["tv"] = loss.detach()
        if gradient is not None:
            gradient.add_(torch.autograd.grad(loss, leaf)[0])
