"""Two minimisers that are asked for a point and told its loss and gradient, one evaluation per step.

    minimizer = LBFGS(start, history=20, precondition=SmoothingPreconditioner(height, width))
    while not minimizer.stalled:
        minimizer.tell(*loss_and_gradient(minimizer.point))
    minimizer.best, minimizer.best_loss

They hold no reference to what they minimise, so a caller decides when to stop and what to count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

FIRST_STEP = 1.0
"""Root mean square of the first step, in grey levels: nothing is known yet of the curvature."""
LONGEST_STEP = 30.0
"""Likewise, of any step: where the curvature is all but zero, the quadratic model points past the horizon."""
BOLDER = 3.0
"""As long as steps succeed and show no positive curvature, each is longer than the one before by this."""
SUFFICIENT_DECREASE = 1e-4
"""Armijo's constant."""
BACKTRACKS = 12
"""Shortened steps in a row before the minimiser gives up: by then a step is 1e-5 of what was proposed."""
CURVATURE_FLOOR = 1e-8
"""A pair (s, y) is kept if s'y > this * |s| |y|; less would make the inverse Hessian explode."""


class Minimizer(Protocol):
    """`point` is where to evaluate next; `stalled` says that it will not get any lower."""

    point: Tensor
    best: Tensor
    best_loss: float
    stalled: bool

    def tell(self, loss: float, gradient: Tensor) -> None: ...


class LBFGS:
    """Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, ch. 7) with backtracking.

    The unit step is tried first and nearly always taken, so a step costs one evaluation. A step that raises the
    loss is shortened from the last accepted point, which a plain L-BFGS without line search does not do.

    The two-loop recursion runs on inner products: two passes over the stored pairs, and one
    synchronisation with the device, in place of a reduction for every pair (Chen, Wang and Zhou 2014).

    `precondition` applies a symmetric positive linear map M, a guess at the inverse Hessian up to a constant, once a
    step: the recursion begins with it instead of the identity. It changes the way, not the minimum.
    """

    def __init__(
        self,
        start: Tensor,
        history: int = 20,
        first_step: float = FIRST_STEP,
        precondition: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.point = start.clone()
        self.best = self.point
        self.best_loss = math.inf
        self.stalled = False
        self._history = history
        self._first_step = first_step
        self._blind_step = first_step  # what the next step is while no pair is known
        self._precondition = precondition or (lambda vector: vector)
        self._accepted = self.point
        self._loss = math.inf
        self._gradient = torch.empty(0)
        self._smooth = torch.empty(0)  # M times the gradient
        self._direction = torch.empty(0)
        self._length = 0.0  # of the direction, root mean square
        self._slope = 0.0
        self._step = 1.0
        self._backtracks = 0
        self._pairs = _Pairs(history, start.numel(), start.device)

    def tell(self, loss: float, gradient: Tensor) -> None:
        """Loss and gradient (a tensor as `point`, not kept by the caller) at `point`. Moves `point`."""
        if loss < self.best_loss:
            self.best, self.best_loss = self.point, loss
        if math.isinf(self._loss):
            self._accept(loss, gradient, self._precondition(gradient))
        elif loss <= self._loss + SUFFICIENT_DECREASE * self._step * self._slope:
            smooth = self._precondition(gradient)
            self._pairs.add(self._direction * self._step, gradient - self._gradient, smooth - self._smooth)
            self._blind_step = BOLDER * self._step * self._length
            self._accept(loss, gradient, smooth)
        else:
            self._shorten(loss)

    def _accept(self, loss: float, gradient: Tensor, smooth: Tensor) -> None:
        self._accepted, self._loss, self._gradient, self._smooth = self.point, loss, gradient, smooth
        self._backtracks = 0
        self._turn()

    def _shorten(self, loss: float) -> None:
        self._backtracks += 1
        if self._backtracks > BACKTRACKS:
            if not len(self._pairs):
                self.stalled = True
                return
            self._forget()
            self._backtracks = 0
            self._turn()
            return
        # The minimum of the parabola through the accepted loss, its slope and the new loss.
        rise = loss - self._loss - self._step * self._slope
        parabola = -0.5 * self._slope * self._step / rise if math.isfinite(rise) and rise > 0 else 0.0
        self._step *= min(max(parabola, 0.1), 0.5)
        self._move()

    def _turn(self) -> None:
        """A new direction from the accepted point, and the first step along it."""
        direction, slope = self._pairs.direction(self._gradient, self._smooth)
        if not slope < 0 and len(self._pairs):
            self._forget()
            direction, slope = self._pairs.direction(self._gradient, self._smooth)
        if not slope < 0:
            self.stalled = True
            return
        self._direction, self._slope = direction, slope
        self._length = float(direction.norm()) / math.sqrt(direction.numel())
        self._step = min(1.0, LONGEST_STEP / self._length)
        if not len(self._pairs):
            self._step = min(self._blind_step, LONGEST_STEP) / self._length
        self._move()

    def _forget(self) -> None:
        self._pairs.clear()
        self._blind_step = self._first_step

    def _move(self) -> None:
        self.point = torch.add(self._accepted, self._direction, alpha=self._step)


class SmoothingPreconditioner:
    """Multiplies the amplitude of spatial frequency f by `1 / f`: L-BFGS's first guess at the inverse Hessian.

    A network sees fine and coarse structure, but the gradient is mostly fine: in plain pixels the large shapes
    of a painting arrive last. Measured on photographs of 128 to 160 pixels, a given loss took 15 to 25 % fewer
    steps, both from the content and from a warped predecessor, once 12 steps were done.
    """

    LOWEST_FREQUENCY = 1 / 32
    """Cycles per pixel; below it all are treated alike, so that the mean colour does not run ahead."""

    def __init__(self, height: int, width: int, device: torch.device | str = "cpu") -> None:
        vertical = torch.fft.fftfreq(height, device=device)[:, None]
        horizontal = torch.fft.rfftfreq(width, device=device)[None, :]
        frequency = torch.hypot(vertical, horizontal).clamp(min=self.LOWEST_FREQUENCY)
        self._size = (height, width)
        self._amplitude = (2 * frequency).reciprocal()

    def __call__(self, image: Tensor) -> Tensor:
        """(..., H, W) float32, the same shape out. Symmetric and positive definite."""
        return torch.fft.irfft2(torch.fft.rfft2(image) * self._amplitude, s=self._size)


class Adam:
    """torch.optim.Adam behind the same interface: slower to a low loss, and hard to upset."""

    def __init__(self, start: Tensor, learning_rate: float = 1.0) -> None:
        self.point = start.clone()
        self.best = self.point
        self.best_loss = math.inf
        self.stalled = False
        self._parameter = start.clone().requires_grad_()
        self._optimizer = torch.optim.Adam([self._parameter], lr=learning_rate)

    def tell(self, loss: float, gradient: Tensor) -> None:
        if loss < self.best_loss:
            self.best, self.best_loss = self.point, loss
        self.stalled = not bool(gradient.any())
        self._parameter.grad = gradient
        self._optimizer.step()
        self.point = self._parameter.detach().clone()


class _Pairs:
    """The last `history` steps s and smoothed gradient changes u = M y, as rows of one matrix.

    Of the changes y themselves only their inner products with the rows are kept. The recursion asks for `s_i y_j` only
    where j is not older than i, and for `y_i M y_j`, which is `u_i y_j` either way round: all known when y_j comes.
    """

    def __init__(self, history: int, size: int, device: torch.device) -> None:
        self._history = history
        self._rows = torch.zeros((2 * history, size), device=device)  # s in the first half, u in the second
        self._with_change = torch.zeros((2 * history, history), dtype=torch.float64)  # row times y of a slot
        self._slots: list[int] = []  # oldest first

    def __len__(self) -> int:
        return len(self._slots)

    def clear(self) -> None:
        self._slots = []

    def add(self, step: Tensor, change: Tensor, smooth: Tensor) -> None:
        step, change, smooth = step.flatten(), change.flatten(), smooth.flatten()
        curvature = float(step @ change)
        if not curvature > CURVATURE_FLOOR * float(step.norm() * change.norm()):
            return
        slot = self._slots.pop(0) if len(self._slots) == self._history else len(self._slots)
        self._slots.append(slot)
        self._rows[slot] = step
        self._rows[slot + self._history] = smooth
        products = (self._rows @ change).double().cpu()
        self._with_change[:, slot] = products
        self._with_change[slot + self._history, :] = products[self._history :]

    def direction(self, gradient: Tensor, smooth: Tensor) -> tuple[Tensor, float]:
        """`-H g` by the two-loop recursion, and its inner product with g. `smooth` is M g."""
        flat = gradient.flatten()
        if not self._slots:
            return -smooth, -float(flat @ smooth.flatten())
        # Every vector of the recursion is a combination of the s, the u and M g: only its coefficients are kept.
        with_gradient = (self._rows @ flat).double().cpu().tolist()
        products, first_u = self._with_change.tolist(), self._history
        alphas = [0.0] * self._history  # q is g less these times the y
        for i in reversed(self._slots):
            alphas[i] = (with_gradient[i] - sum(alphas[j] * products[i][j] for j in self._slots)) / products[i][i]
        newest = self._slots[-1]
        gamma = products[newest][newest] / products[first_u + newest][newest]
        betas = [0.0] * self._history  # r is gamma M q and these times the s
        for i in self._slots:
            smoothed = with_gradient[first_u + i] - sum(alphas[j] * products[first_u + i][j] for j in self._slots)
            stepped = sum(betas[j] * products[j][i] for j in self._slots)
            betas[i] = alphas[i] - (gamma * smoothed + stepped) / products[i][i]
        weights = torch.tensor([betas, [-gamma * alpha for alpha in alphas]]).to(flat).flatten()
        direction = -(weights @ self._rows) - gamma * smooth.flatten()
        return direction.reshape(gradient.shape), float(flat @ direction)
