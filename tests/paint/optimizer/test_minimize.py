"""The minimisers on functions with known minima."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from farm.paint.optimizer.minimize import BACKTRACKS, BOLDER, LBFGS, LONGEST_STEP, Adam, SmoothingPreconditioner


def minimize(minimizer, function, evaluations):
    history = []
    for _ in range(evaluations):
        point = minimizer.point.clone().requires_grad_()
        loss = function(point)
        (gradient,) = torch.autograd.grad(loss, point)
        history.append(loss.item())
        minimizer.tell(loss.item(), gradient)
        if minimizer.stalled:
            break
    return history


def ill_conditioned(size):
    return torch.logspace(0, 2, size)  # condition number 100


def test_lbfgs_solves_an_ill_conditioned_quadratic():
    curvature, minimum = ill_conditioned(50), torch.linspace(-3, 3, 50)
    minimizer = LBFGS(torch.full((50,), 10.0), history=20)
    minimize(minimizer, lambda x: (curvature * (x - minimum) ** 2).sum(), 80)
    assert torch.allclose(minimizer.best, minimum, atol=1e-3)


def test_lbfgs_solves_rosenbrock_from_the_classic_start():
    def rosenbrock(x):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    minimizer = LBFGS(torch.tensor([-1.2, 1.0]), history=10, first_step=0.1)
    minimize(minimizer, rosenbrock, 100)
    assert minimizer.best_loss < 1e-6


def test_history_longer_than_kept_and_shorter_than_used_agree_at_first():
    """The ring buffer of pairs, once full, must still give descent: compare with one that never fills."""
    curvature = ill_conditioned(30)
    short, long = LBFGS(torch.ones(30), history=5), LBFGS(torch.ones(30), history=100)
    history_short = minimize(short, lambda x: (curvature * x**2).sum(), 60)
    history_long = minimize(long, lambda x: (curvature * x**2).sum(), 60)
    assert history_short[:6] == pytest.approx(history_long[:6], rel=1e-4)
    assert short.best_loss < 1e-3 * history_short[0]


@pytest.mark.parametrize("preconditioned", [False, True])
def test_direction_is_that_of_the_textbook_recursion(generator, preconditioned):
    """Against the two-loop recursion written out in float64 on the vectors themselves."""
    guess = torch.linspace(1, 0.2, 12) if preconditioned else torch.ones(12)
    minimizer = LBFGS(torch.randn(12, generator=generator), history=4, precondition=lambda vector: guess * vector)
    curvature = torch.linspace(1, 30, 12)
    points, gradients = [], []
    for _ in range(7):
        gradient = curvature * minimizer.point
        points.append(minimizer.point.double())
        gradients.append(gradient.double())
        minimizer.tell(float((curvature * minimizer.point**2).sum() / 2), gradient)
    accepted = [0]
    losses = [float((curvature * p**2).sum() / 2) for p in points]
    for index in range(1, 7):
        if losses[index] < losses[accepted[-1]]:
            accepted.append(index)
    pairs = [(points[b] - points[a], gradients[b] - gradients[a]) for a, b in pairwise(accepted)][-4:]
    q, alphas = gradients[accepted[-1]].clone(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    s, y = pairs[-1]
    q *= guess * (s @ y) / (y @ (guess * y))
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - y @ q / (s @ y)) * s
    if accepted[-1] == 6:
        assert torch.allclose((minimizer.point - points[6].float()).double(), -q, rtol=1e-3, atol=1e-5)
    else:
        pytest.fail("the last step of this quadratic should have been accepted")


def test_a_step_that_raises_the_loss_is_shortened_not_taken():
    minimizer = LBFGS(torch.tensor([1.0]), first_step=50.0)
    history = minimize(minimizer, lambda x: (x**2).sum(), 30)
    assert history[1] > history[0]
    assert minimizer.best_loss < 1e-6


@pytest.mark.parametrize("minimizer", [LBFGS, Adam])
def test_best_is_the_lowest_point_evaluated(minimizer):
    found = minimizer(torch.tensor([3.0, -2.0]))
    history = minimize(found, lambda x: (x**4 - 3 * x**2 + x).sum(), 25)
    assert found.best_loss == min(history)
    assert (found.best**4 - 3 * found.best**2 + found.best).sum().item() == pytest.approx(found.best_loss)


def test_lbfgs_says_so_when_the_gradient_is_wrong():
    minimizer = LBFGS(torch.ones(4))
    evaluations = 0
    while not minimizer.stalled:
        minimizer.tell(float((minimizer.point**2).sum()), -2 * minimizer.point)
        evaluations += 1
    assert evaluations == 1 + BACKTRACKS + 1
    assert torch.equal(minimizer.best, torch.ones(4))


def test_lbfgs_grows_bolder_where_there_is_no_positive_curvature():
    """On a slope without curvature no pair is ever kept, and steps of one length would never arrive."""
    minimizer = LBFGS(torch.zeros(1), first_step=0.1)
    history = minimize(minimizer, lambda x: -x.sum(), 12)
    steps = [before - after for before, after in pairwise(history)]
    assert steps[:4] == pytest.approx([0.1, 0.1 * BOLDER, 0.1 * BOLDER**2, 0.1 * BOLDER**3], rel=1e-4)
    assert steps[-1] == pytest.approx(LONGEST_STEP)


def test_lbfgs_steps_back_from_infinity():
    minimizer = LBFGS(torch.tensor([2.0]), first_step=10.0)
    minimizer.tell(4.0, torch.tensor([4.0]))
    minimizer.tell(math.inf, torch.tensor([0.0]))
    assert minimizer.point.item() == pytest.approx(1.0)  # a tenth of the step of 10


def test_smoothing_preconditioner_is_symmetric_positive_and_smooths(generator):
    smooth = SmoothingPreconditioner(21, 34)
    a, b = torch.randn(2, 1, 3, 21, 34, generator=generator)
    assert float((smooth(a) * b).sum()) == pytest.approx(float((a * smooth(b)).sum()), rel=1e-3)
    assert float((smooth(a) * a).sum()) > 0
    checkerboard = torch.ones(1, 1, 20, 20)
    checkerboard[..., ::2, 1::2] = checkerboard[..., 1::2, ::2] = -1
    flat, fine = (SmoothingPreconditioner(20, 20)(x).abs().mean() for x in (checkerboard.abs(), checkerboard))
    assert float(flat / fine) == pytest.approx(0.5**0.5 * 32, rel=1e-4)


def test_the_preconditioner_changes_the_way_not_the_minimum():
    minimum = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
    minimizer = LBFGS(torch.zeros(1, 1, 8, 8), precondition=SmoothingPreconditioner(8, 8))
    minimize(minimizer, lambda x: ((x - minimum) ** 2).sum(), 60)
    assert torch.allclose(minimizer.best, minimum, atol=1e-3)
