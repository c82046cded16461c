"""Content and style loss of one layer, with their gradients in closed form, as `VGGFeatures.evaluate` asks for them.

Same values as `farm.paint.losses.functional`, which the tests hold them to. The gradient of a Gram loss is
`4 w / (C^2 C H W) F (G - A)`: one matrix product, in the precision of the features, which adds to the gradient from
the deeper layers without a pass of its own.
"""

from __future__ import annotations

from torch import Tensor

from farm.paint.losses.functional import flatten_positions, gram_matrix


class ContentLoss:
    """`weight * mean((features - target)^2)`; `target` (1, C, H, W) float32."""

    term = "content"

    def __init__(self, target: Tensor, weight: float) -> None:
        self._target = target
        self._weight = weight

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        difference = features.float() - self._target
        return self._weight * difference.square().mean(), difference

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        gradient.add_(remembered.to(gradient.dtype), alpha=2 * self._weight / features.numel())


class StyleLoss:
    """`weight * mean((G - target)^2)`, G the Gram matrix of the features; `target` (C, C) float32, symmetric."""

    term = "style"

    def __init__(self, target: Tensor, weight: float) -> None:
        self._target = target
        self._weight = weight

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        difference = gram_matrix(features) - self._target
        return self._weight * difference.square().mean(), difference

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        pull = remembered * (4 * self._weight / (remembered.numel() * features.numel()))
        positions_of(gradient).addmm_(flatten_positions(features), pull.to(gradient.dtype))


def positions_of(gradient: Tensor) -> Tensor:
    """(1, C, H, W) as (H W, C), one row per position: always a view, so that it can be written to."""
    return gradient.permute(0, 2, 3, 1).view(-1, gradient.shape[1])
