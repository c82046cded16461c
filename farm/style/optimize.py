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
from farm.style.minimize import FIRST_STEP, LBFGS, Adam, Minimizer
from farm.style.picture import image_to_tensor, tensor_to_image
from farm.style.taps import content_tap, style_tap
from farm.style.targets import StyleTargets
from farm.style.vgg import VGGFeatures

Stop = Literal["iterations", "converged"]


@dataclass(frozen=True)
class OptimizeSettings:
    """Weights as in `farm.style.losses`. `style_layers` maps a layer to its weight in the sum."""

    content_weight: float = losses.CONTENT_WEIGHT
    style_weight: float = losses.STYLE_WEIGHT
    temporal_weight: float = losses.TEMPORAL_WEIGHT
    tv_weight: float = losses.TV_WEIGHT
    content_layers: tuple[str, ...] = losses.CONTENT_LAYERS
    style_layers: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(losses.STYLE_LAYERS, 1.0))
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    history: int = 20
    """Pairs that L-BFGS remembers; each takes 24 bytes a pixel."""
    learning_rate: float = 2.0
    """Adam's, in grey levels."""
    convergence: float = 1e-4
    """Stop when the loss has fallen by less than this share of itself..."""
    window: int = 50
    """... over this many steps. Ruder et al. 2016, section 7."""


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
    """`losses` has "total" and its weighted parts "content", "style", "temporal", "tv", for the image before it
    was rounded to 8 bits. `restarts` counts the attempts that were thrown away."""

    image: NDArray[np.uint8]
    steps: int
    losses: dict[str, float]
    stop: Stop
    restarts: int


class FrameOptimizer:
    """Repaints frames of one size in one style. Holds no state from frame to frame."""

    def __init__(
        self, features: VGGFeatures, targets: StyleTargets, settings: OptimizeSettings | None = None
    ) -> None:
        self.features = features
        self.targets = targets
        self.settings = settings or OptimizeSettings()
        if missing := sorted(set(self.settings.style_layers) - set(targets.grams)):
            raise UsageError(f"the style targets lack layer {missing[0]}", "compute them for the same layers")

    def stylize(
        self,
        content: NDArray[np.uint8],
        start: NDArray[Any],
        iterations: int,
        ties: Sequence[TemporalTie] = (),
        progress: Callable[[StepProgress], None] | None = None,
    ) -> StylizedFrame:
        """Minimise the loss from `start` in at most `iterations` steps.

        `content` (H, W, 3) uint8; `start` likewise, uint8 or float in 0..255. The result is the best image that was
        evaluated: with 0 iterations, the start. A step is one evaluation of loss and gradient, and one more
        of the loss alone ends the frame.
        Raises OptimizationError if the loss is not finite, or does not fall, from any start.
        """
        if start.shape != content.shape or any(tie.image.shape != content.shape for tie in ties):
            raise ValueError("content, start and ties must have the same shape")
        anchor = _Anchor.of(ties, self.features.device) if ties else None
        failures: list[str] = []
        for attempt in _attempts(self.settings, self.features, start, content):
            objective = _Objective(attempt.features, self.targets, self.settings, content, anchor)
            try:
                outcome = self._minimize(objective, attempt, iterations, progress)
            except _Failure as failure:
                failures.append(f"{attempt.name}: {failure}")
                continue
            return StylizedFrame(
                image=tensor_to_image(outcome.image),
                steps=outcome.steps,
                losses=outcome.losses,
                stop=outcome.stop,
                restarts=len(failures),
            )
        raise OptimizationError(
            f"a frame could not be optimised ({'; '.join(failures)})",
            "try --precision fp32, or lower the style and temporal weights",
        )

    def _minimize(
        self,
        objective: _Objective,
        attempt: _Attempt,
        iterations: int,
        progress: Callable[[StepProgress], None] | None,
    ) -> _Outcome:
        settings = self.settings
        start = image_to_tensor(attempt.start, self.features.device)
        minimizer = attempt.minimizer(start, objective)
        best = _Outcome(start, 0, {"total": math.inf}, "iterations")
        lowest: deque[float] = deque(maxlen=settings.window + 1)
        for step in range(iterations + 1):
            point = minimizer.point
            values, gradient = objective.evaluate(point, with_gradient=step < iterations)
            total = values["total"]
            if not math.isfinite(total):
                raise _Failure(f"loss {total} at step {step}")
            if total < best.losses["total"]:
                best = _Outcome(point, step, values, "iterations")
            if progress:
                progress(StepProgress(step, iterations, values))
            lowest.append(best.losses["total"])
            if len(lowest) > settings.window and lowest[0] - lowest[-1] <= settings.convergence * lowest[0]:
                return replace(best, steps=step, stop="converged")
            if gradient is None:
                break
            norm = float(gradient.abs().max())
            if norm == 0:
                return replace(best, steps=step, stop="converged")
            if not math.isfinite(norm):
                raise _Failure(f"gradient {norm} at step {step}")
            minimizer.tell(total, gradient)
            if minimizer.stalled:
                raise _Failure(f"no descent after step {step}")
        return replace(best, steps=iterations)


class _Failure(Exception):
    """An attempt that must not be handed on."""


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
    start: NDArray[Any]
    minimizer: Callable[[Tensor, _Objective], Minimizer]


def _attempts(
    settings: OptimizeSettings, features: VGGFeatures, start: NDArray[Any], content: NDArray[np.uint8]
) -> Iterator[_Attempt]:
    """As asked for; then float32 and a careful first step; then Adam from the content."""

    def lbfgs(first_step: float) -> Callable[[Tensor, _Objective], Minimizer]:
        return lambda image, objective: LBFGS(image, settings.history, first_step, objective.preconditioner)

    def adam(learning_rate: float) -> Callable[[Tensor, _Objective], Minimizer]:
        return lambda image, _: Adam(image, learning_rate)

    first = lbfgs(FIRST_STEP) if settings.optimizer == "lbfgs" else adam(settings.learning_rate)
    exact = features.with_dtype(torch.float32)
    yield _Attempt(settings.optimizer, features, start, first)
    yield _Attempt("lbfgs, float32, small first step", exact, start, lbfgs(FIRST_STEP / 10))
    yield _Attempt("adam, float32, from the content", exact, content, adam(settings.learning_rate))


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
    ) -> None:
        self._features = features
        self._grams = targets.grams
        self._settings = settings
        self._anchor = anchor
        self._layers = (*settings.content_layers, *settings.style_layers)
        with torch.no_grad():
            seen = features(image_to_tensor(content, features.device), settings.content_layers)
            self._content = {name: found.float() for name, found in seen.items()}

    @property
    def preconditioner(self) -> Tensor | None:
        """For LBFGS."""
        return None

    def evaluate(self, image: Tensor, with_gradient: bool = True) -> tuple[dict[str, float], Tensor | None]:
        """The weighted losses, and the gradient (1, 3, H, W) of their sum."""
        settings = self._settings
        terms: dict[str, list[Tensor]] = {"content": [], "style": []}

        def tap(name: str, found: Tensor) -> Tensor:
            if name in self._content:
                scale = settings.content_weight
                found, loss = content_tap(found, self._content[name], scale)
                terms["content"].append(loss * scale)
            if name in settings.style_layers:
                scale = settings.style_weight * settings.style_layers[name]
                found, loss = style_tap(found, self._grams[name], scale)
                terms["style"].append(loss * scale)
            return found

        leaf = image.detach().requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            found = self._features(leaf, self._layers, tap)
        gradient = None
        if with_gradient:
            deepest = list(found.values())[-1]
            # Every tap has its own gradient; there is none to come from beyond the deepest.
            (gradient,) = torch.autograd.grad(deepest, leaf, torch.zeros_like(deepest))
        values = {name: sum((loss.detach() for loss in parts), torch.zeros(())) for name, parts in terms.items()}
        values["temporal"] = self._add_temporal(image, gradient)
        values["tv"] = self._add_total_variation(image, gradient)
        numbers = dict(zip(values, torch.stack([v.to(image.device) for v in values.values()]).tolist(), strict=True))
        return {"total": sum(numbers.values()), **numbers}, gradient

    def _add_temporal(self, image: Tensor, gradient: Tensor | None) -> Tensor:
        if self._anchor is None or self._settings.temporal_weight == 0:
            return torch.zeros(())
        difference = image - self._anchor.mean
        pull = difference * self._anchor.weight
        loss = (pull * difference).mean() + self._anchor.rest
        if gradient is not None:
            gradient.add_(pull, alpha=2 * self._settings.temporal_weight / image.numel())
        return self._settings.temporal_weight * loss

    def _add_total_variation(self, image: Tensor, gradient: Tensor | None) -> Tensor:
        weight = self._settings.tv_weight
        if weight == 0:
            return torch.zeros(())
        leaf = image.detach().requires_grad_()
        with torch.enable_grad():
            loss = weight * losses.total_variation(leaf)
        if gradient is not None:
            gradient.add_(torch.autograd.grad(loss, leaf)[0])
        return loss.detach()
