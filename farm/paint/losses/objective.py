"""The loss of one picture as a function of its pixels. The optimiser minimises it, and a network is trained on it.

objective = Objective(features, targets, settings, content, Anchor.of(ties, features.device))
values, gradient = objective.evaluate(image)       # image (1, 3, H, W); gradient of the sum of the values
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farm.errors import UsageError
from farm.paint.features.vgg import LayerLoss, VGGFeatures
from farm.paint.losses import functional as losses
from farm.paint.losses.guided import KEEP_WEIGHT, Guide
from farm.paint.losses.layer_losses import ContentLoss, StyleLoss
from farm.paint.losses.targets import StyleTargets
from farm.paint.losses.ties import TemporalTie
from farm.paint.losses.tiles import (
    PerceptualWeights,
    StyleParts,
    cut_tiles,
    network_reach,
    tiled_features,
    tiled_losses,
)
from farm.paint.losses.windows import Window, WindowedLosses, content_in_windows
from farm.paint.tensors import image_to_tensor

LOSSES = ("content", "style", "temporal", "tv", "range")
"""Names of the terms of the loss, as in `farm.paint.losses.functional`."""


@dataclass(frozen=True)
class OptimizeSettings:
    """What is minimised, and how. The weights are those of `farm.paint.losses.functional`."""

    content_weight: float = losses.CONTENT_WEIGHT
    style_weight: float = losses.STYLE_WEIGHT
    temporal_weight: float = losses.TEMPORAL_WEIGHT
    tv_weight: float = losses.TV_WEIGHT
    range_weight: float = losses.RANGE_WEIGHT
    content_layers: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(losses.CONTENT_LAYERS, 1.0))
    """Layers of the content loss with their weights in its sum; `style_layers` likewise."""
    style_layers: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(losses.STYLE_LAYERS, 1.0))
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    history: int = 20
    """Pairs that L-BFGS keeps; each takes 24 bytes a pixel."""
    learning_rate: float = 2.0
    """Learning rate of Adam, in grey levels."""
    precondition: bool = True
    """Whether L-BFGS uses `SmoothingPreconditioner`; False is the plain algorithm of the literature."""
    lowest_frequency: float = 1 / 32
    """Cycles per pixel up to which that treats all frequencies alike."""
    first_step: float = 1.0
    """Root mean square of the first step of L-BFGS, in grey levels. It is small, because no curvature is known yet."""
    convergence: float = 1e-4
    """An optimisation stops when the loss has fallen by less than this share of itself over `window` steps."""
    window: int = 50
    """Steps, from Ruder et al. 2016, section 7."""

    def __post_init__(self) -> None:
        """Raises UsageError for weights, an optimiser, a history or a window without a meaning."""
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
class Anchor:
    """All ties of a frame as one: `sum w_j (x - t_j)^2 = W (x - m)^2 + rest`.

    So an evaluation takes the same time for any number of ties.
    """

    weight: Tensor
    """W (1, 1, H, W) float32: the sum of the ties' weights."""
    mean: Tensor
    """m (1, 3, H, W) float32: the weighted mean of the ties' images."""
    rest: float
    """The part of the loss that no image changes, as a mean over the picture."""

    @classmethod
    def of(cls, ties: Sequence[TemporalTie], device: torch.device) -> Anchor:
        """The anchor of one tie or more, of one size."""
        images = [image_to_tensor(tie.image, device) for tie in ties]
        weights = [torch.from_numpy(np.array(tie.weight, dtype=np.float32)).to(device) for tie in ties]
        # A warp may leave NaN where it has nothing to show, and NaN times a weight of 0 is NaN.
        images = [torch.where(weight > 0, image, 0) for image, weight in zip(images, weights, strict=True)]
        weight = torch.stack(weights).sum(0)
        mean = sum(w * image for w, image in zip(weights, images, strict=True)) / weight.clamp(min=1e-12)
        rest = sum(float((w * (image - mean).square()).mean()) for w, image in zip(weights, images, strict=True))
        return cls(weight[None, None], mean, rest)


class Objective:
    """The loss of one frame as a function of its image."""

    features: VGGFeatures
    """The network that the perceptual losses look through."""
    anchor: Anchor | None
    """The ties of the next evaluation. May be replaced between evaluations."""

    def __init__(
        self,
        features: VGGFeatures,
        targets: StyleTargets,
        settings: OptimizeSettings,
        content: NDArray[np.uint8],
        anchor: Anchor | None,
        guide: Guide | None = None,
        tile: int | None = None,
        windows: Sequence[Window] | None = None,
    ) -> None:
        """Compute the features of `content` (H, W, 3) uint8.

        `targets` and `guide` are those for the size of the content; without a guide, the whole picture has the style of
        `targets`. `tile` is the side in pixels of the tiles that losses are computed in, None for the picture whole.
        With `windows` the content is only looked at there: `narrow` must be called before pictures are evaluated.
        Raises UsageError and InputError as VGGFeatures does.
        """
        self.features = features
        self._inside: Tensor | None = None
        self._windowed: WindowedLosses | None = None
        self._grams = targets.grams
        self._settings = settings
        self.anchor = anchor
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
        if windows is not None:
            self._content = content_in_windows(features, picture, content_layers, windows)
            return
        maps = features(picture, content_layers)
        self._content = {name: maps[name].float() for name in maps}
        self._losses = self._layer_losses()

    def narrow(self, picture: Tensor, windows: Sequence[Window], inside: Tensor) -> None:
        """From now on, pictures are `picture` (1, 3, H, W) float32 outside `windows`, and gradients are 0 there.

        They are also 0 where `inside` (H, W) is False. It goes without tiles.
        """
        parts, weights = self._parts_and_weights(picture)
        self._windowed = WindowedLosses(self.features, picture, self._content, parts, weights, windows)
        self._inside = inside

    def weigh(self, style: float, temporal: float) -> None:
        """Use these weights of the style and the temporal loss from the next evaluation on.

        It takes no time. The settings that the objective was made with must have a style weight above 0.
        """
        self._settings = replace(self._settings, style_weight=style, temporal_weight=temporal)
        if not self._tiles:
            self._losses = self._layer_losses()

    def evaluate(self, image: Tensor, with_gradient: bool = True) -> tuple[dict[str, float], Tensor | None]:
        """The weighted losses of `image` (1, 3, H, W) float32, and the gradient of their sum, of the same shape.

        The keys are "total" and LOSSES, and WHOLE_STYLE after `narrow`. Without a gradient the second value is None.
        """
        if self._windowed is not None:
            values, gradient = self._windowed.evaluate(image, with_gradient)
            values = {**{name: torch.zeros((), device=image.device) for name in LOSSES}, **values}
        else:
            perceptual = self._perceptual_in_tiles if self._tiles else self._perceptual
            values, gradient = perceptual(image, with_gradient)
        # These are in closed form as well, which takes less time than autograd and no second graph.
        if self.anchor is not None:
            difference = image - self.anchor.mean
            self._add(values, gradient, "temporal", difference, difference * self.anchor.weight, self.anchor.rest)
        if self._guide is not None and self._guide.keep is not None and self._photograph is not None:
            difference = image - self._photograph
            self._add(values, gradient, "content", difference, difference * self._guide.keep)
        outside = image - image.clamp(0, 255)
        self._add(values, gradient, "range", outside, outside)
        if self._settings.tv_weight:
            self._add_total_variation(values, gradient, image)
        if gradient is not None and self._inside is not None:
            gradient.mul_(self._inside)
        numbers = torch.stack(list(values.values())).tolist()  # one synchronisation with the device
        losses = dict(zip(values, numbers, strict=True))
        return {"total": sum(losses[name] for name in LOSSES), **losses}, gradient

    def _perceptual(self, image: Tensor, with_gradient: bool) -> tuple[dict[str, Tensor], Tensor | None]:
        terms, gradient = self.features.evaluate(image, self._losses, with_gradient)
        return {**{name: torch.zeros((), device=image.device) for name in LOSSES}, **terms}, gradient

    def _layer_losses(self) -> dict[str, list[LayerLoss]]:
        losses: dict[str, list[LayerLoss]] = {}
        for name, target in self._content.items():
            weight = self._settings.content_weight * self._settings.content_layers[name]
            losses.setdefault(name, []).append(ContentLoss(target, weight))
        weights = {name: self._settings.style_weight * share for name, share in self._style_layers.items()}
        style: Mapping[str, LayerLoss]
        if self._guide is None:
            style = {name: StyleLoss(self._grams[name], weight) for name, weight in weights.items()}
        else:
            style = self._guide.style_losses(weights)
        for name, loss in style.items():
            losses.setdefault(name, []).append(loss)
        return losses

    def _perceptual_in_tiles(self, image: Tensor, with_gradient: bool) -> tuple[dict[str, Tensor], Tensor | None]:
        values = {name: torch.zeros((), device=image.device) for name in LOSSES}
        parts, weights = self._parts_and_weights(image)
        tiled = tiled_losses(self.features, image, self._content, parts, weights, self._tiles, with_gradient)
        return {**values, "content": tiled.content, "style": tiled.style}, tiled.gradient

    def _parts_and_weights(self, image: Tensor) -> tuple[dict[str, StyleParts], PerceptualWeights]:
        """What the style losses of a picture (1, 3, H, W) aim at, and the weights of all its layers."""
        settings = self._settings
        parts = self._guide.parts(image.shape[2:]) if self._guide else self._whole_parts()
        weights = PerceptualWeights(
            {name: settings.content_weight * settings.content_layers[name] for name in self._content},
            {name: settings.style_weight * self._style_layers[name] for name in parts},
        )
        return parts, weights

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
        """Add `weight * (mean(difference * pull) + rest)` and its gradient; `pull` is `difference` times constants."""
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
