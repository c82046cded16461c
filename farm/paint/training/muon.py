"""Muon (Jordan et al. 2024): a step of equal length along all singular directions of a matrix of weights.

    muon = Muon(matrices, learning_rate)     # a torch optimiser
    muon.step()                              # uses matrix.grad

It differs from `torch.optim.Muon` in two ways. It computes in float32, not in bfloat16, because most CPUs emulate
bfloat16 at 20 times the time, and its rounding makes the step of two workers differ from that of one. And the powers in
its iteration are those of the small Gram matrix, which takes two products with the wide matrix instead of ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5 in the polynomial that pulls singular values towards 1."""
ITERATIONS = 5
"""Times that the polynomial is applied. Singular values are then between 0.5 and 1.5."""
TINY = 1e-7
"""Least norm of a matrix that is divided by."""


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov's momentum, without weight decay. Its step along each singular direction is about `lr`
    long.
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        """`matrices` are parameters of two dimensions."""
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Make one step from the gradients. `closure` must be None."""
        assert closure is None
        for group in self.param_groups:
            for matrix in group["params"]:
                average = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                average.lerp_(matrix.grad, 1 - group["momentum"])
                ahead = matrix.grad.lerp(average, group["momentum"])
                rows, columns = matrix.shape
                matrix.add_(orthogonal(ahead), alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V' of the singular value decomposition U S V' of `matrix` (M, N): the same shape, float32.

    It is computed by Newton and Schulz's iteration, with singular values between 0.5 and 1.5 in place of 1.
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    x = matrix.float() / matrix.norm().clamp(min=TINY)  # no singular value above 1
    first, third, fifth = COEFFICIENTS
    gram, product = x @ x.T, torch.eye(len(x), device=x.device)
    identity = product
    for _ in range(ITERATIONS):
        # x becomes step x. All of these matrices are polynomials of the first gram, so they commute.
        step = first * identity + third * gram + fifth * (gram @ gram)
        gram, product = step @ gram @ step, step @ product
    return product @ x
