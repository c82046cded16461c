"""Muon (Jordan et al. 2024): a step of equal length along all singular directions of a matrix of weights.

    muon = Muon(matrices, learning_rate)     # a torch optimiser
    muon.step()                              # from matrix.grad

As `torch.optim.Muon`, but in float32, not in bfloat16: most CPUs emulate that, at 20 times the time, and its rounding
makes two workers' steps part from one's. The iteration's powers are those of the small Gram matrix: two products with
the wide matrix in place of ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial x, x^3, x^5 that pulls singular values towards 1: five times, to between 0.5 and 1.5."""
ITERATIONS = 5
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, without weight decay. The step's length along each direction is `lr` (about)."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for matrix in group["params"]:
                average = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                average.lerp_(matrix.grad, 1 - group["momentum"])
                ahead = matrix.grad.lerp(average, group["momentum"])
                rows, columns = matrix.shape
                matrix.add_(orthogonal(ahead), alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V' of the singular value decomposition U S V', by Newton and Schulz's iteration, in float32."""
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    x = matrix.float() / matrix.norm().clamp(min=TINY)  # no singular value above 1
    first, third, fifth = COEFFICIENTS
    gram, whole = x @ x.T, torch.eye(len(x), device=x.device)
    identity = whole
    for _ in range(ITERATIONS):
        # x <- step x; all of these are polynomials of the first gram, so they commute
        step = first * identity + third * gram + fifth * (gram @ gram)
        gram, whole = step @ gram @ step, step @ whole
    return whole @ x
