"""2x2 pooling, of maximum or mean, that keeps what its gradient needs."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from farm.errors import UsageError
from farm.spec.choices import Pooling

_TWO, _NONE, _ONE = [2, 2], [0, 0], [1, 1]


class Pool(Protocol):
    """One pooling of one map (1, C, H, W)."""

    masked: bool
    """Whether the gradient is already 0 where an input that came from a ReLU is 0."""
    pooled: Tensor
    """The result (1, C, H // 2, W // 2)."""

    def gradient(self, at_pooled: Tensor) -> Tensor:
        """The gradient by the input (1, C, H, W), from that by `pooled`, which may be overwritten."""


class MaxPool:
    """The maximum of each 2x2 window; see Pool."""

    masked = True

    def __init__(self, x: Tensor) -> None:
        """Pool `x` (1, C, H, W), which must come from a ReLU."""
        self.pooled, self._indices = functional.max_pool2d(x, 2, return_indices=True)
        self._x = x

    def gradient(self, at_pooled: Tensor) -> Tensor:
        """See Pool. `at_pooled` is overwritten."""
        # The ReLU's gradient is taken on the pooled map, a quarter as large: where the largest of four is 0, all are.
        torch.ops.aten.threshold_backward.grad_input(at_pooled, self.pooled, 0, grad_input=at_pooled)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            at_pooled, self._x, _TWO, _TWO, _NONE, _ONE, False, self._indices
        )


class MeanPool:
    """The mean of each 2x2 window; see Pool."""

    masked = False

    def __init__(self, x: Tensor) -> None:
        """Pool `x` (1, C, H, W)."""
        self.pooled = functional.avg_pool2d(x, 2)
        self._x = x

    def gradient(self, at_pooled: Tensor) -> Tensor:
        """See Pool."""
        return torch.ops.aten.avg_pool2d_backward(at_pooled, self._x, _TWO, _TWO, _NONE, False, True, None)


def pool_kind(name: Pooling) -> type[MaxPool] | type[MeanPool]:
    """The class of the pooling of that name. Raises UsageError for a name that is neither `max` nor `avg`."""
    kinds: dict[str, type[MaxPool] | type[MeanPool]] = {"max": MaxPool, "avg": MeanPool}
    if name not in kinds:
        raise UsageError(f"pooling {name!r} is not known", "use max or avg")
    return kinds[name]
