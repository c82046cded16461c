"""2x2 pooling that remembers what its gradient needs."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from farm.errors import UsageError
from farm.spec.choices import Pooling

_TWO, _NONE, _ONE = [2, 2], [0, 0], [1, 1]


class Pool(Protocol):
    """`pooled` (1, C, H // 2, W // 2). `gradient` by the input, from that by `pooled`, which it may overwrite."""

    masked: bool
    """Whether the gradient is already 0 where an input that came from a ReLU is 0."""
    pooled: Tensor

    def gradient(self, at_pooled: Tensor) -> Tensor: ...


class MaxPool:
    masked = True

    def __init__(self, x: Tensor) -> None:
        self.pooled, self._indices = functional.max_pool2d(x, 2, return_indices=True)
        self._x = x

    def gradient(self, at_pooled: Tensor) -> Tensor:
        # On the map that is a quarter as large. Where the largest of four is 0, all are.
        torch.ops.aten.threshold_backward.grad_input(at_pooled, self.pooled, 0, grad_input=at_pooled)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            at_pooled, self._x, _TWO, _TWO, _NONE, _ONE, False, self._indices
        )


class MeanPool:
    masked = False

    def __init__(self, x: Tensor) -> None:
        self.pooled = functional.avg_pool2d(x, 2)
        self._x = x

    def gradient(self, at_pooled: Tensor) -> Tensor:
        return torch.ops.aten.avg_pool2d_backward(at_pooled, self._x, _TWO, _TWO, _NONE, False, True, None)


def pool_kind(name: Pooling) -> type[MaxPool] | type[MeanPool]:
    """Raises UsageError for a name that is neither `max` nor `avg`."""
    kinds: dict[str, type[MaxPool] | type[MeanPool]] = {"max": MaxPool, "avg": MeanPool}
    if name not in kinds:
        raise UsageError(f"pooling {name!r} is not known", "use max or avg")
    return kinds[name]
