"""Content and style loss of one layer, with their gradients in closed form, as `VGGFeatures.evaluate` asks for them.

The values are those of `farm.paint.losses.functional`; tests compare them. The gradient of a Gram loss is
`4 w / (C^2 C H W) F (G - A)`: one matrix product, in the precision of the features, which is added to the gradient that
comes from the deeper layers.
"""

from __future__ import annotations

from torch import Tensor

from farm.paint.losses.functional import flatten_positions, gram_matrix


class ContentLoss:
    """The content loss `weight * mean((features - target)^2)`: a LayerLoss."""

    term = "content"
    """See LayerLoss."""

    def __init__(self, target: Tensor, weight: float) -> None:
        """`target` (1, C, H, W) float32: the features of the photograph."""
        self._target = target
        self._weight = weight

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss, and the difference (1, C, H, W) float32 to the target."""
        difference = features.float() - self._target
        return self._weight * difference.square().mean(), difference

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        """Add the gradient in place; see LayerLoss."""
        gradient.add_(remembered.to(gradient.dtype), alpha=2 * self._weight / features.numel())


class StyleLoss:
    """The style loss `weight * mean((G - target)^2)`, with G the Gram matrix of the features: a LayerLoss."""

    term = "style"
    """See LayerLoss."""

    def __init__(self, target: Tensor, weight: float) -> None:
        """`target` (C, C) float32, symmetric: the Gram matrix of the painting."""
        self._target = target
        self._weight = weight

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss, and the difference (C, C) float32 of the Gram matrix to the target."""
        difference = gram_matrix(features) - self._target
        return self._weight * difference.square().mean(), difference

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        """Add the gradient in place; see LayerLoss."""
        pull = remembered * (4 * self._weight / (remembered.numel() * features.numel()))
        positions_of(gradient).addmm_(flatten_positions(features), pull.to(gradient.dtype))


def positions_of(gradient: Tensor) -> Tensor:
    """(1, C, H, W), channels-last in memory -> (H W, C), one row for each position.

    The result is always a view, so that it can be written to.
    """
    return gradient.permute(0, 2, 3, 1).view(-1, gradient.shape[1])
