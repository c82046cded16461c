"""Muon in float32 beside PyTorch's own, which rounds to bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from farm.paint.training.muon import Muon, orthogonal

SHAPES = [(8, 72), (48, 27), (16, 16)]


@pytest.mark.parametrize("shape", SHAPES)
def test_all_directions_come_to_about_one(shape, generator):
    matrix = torch.randn(*shape, generator=generator) * torch.logspace(-2, 2, shape[1])
    found = orthogonal(matrix)
    assert found.shape == shape
    lengths = torch.linalg.svdvals(found)
    # a direction that is next to nothing is not pulled up in five iterations (Jordan et al. 2024)
    strong = int((torch.linalg.svdvals(matrix) > 0.01 * matrix.norm()).sum())
    assert lengths.max() < 1.3
    assert lengths[:strong].min() > 0.5
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert ((left.T @ found @ right.T).diagonal()[:strong] > 0.5).all(), "the directions stay where they were"


def test_nothing_stays_nothing():
    assert orthogonal(torch.zeros(4, 9)).count_nonzero() == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_a_few_steps_are_those_of_pytorch(shape, generator):
    begun = torch.randn(*shape, generator=generator)
    own, theirs = nn.Parameter(begun.clone()), nn.Parameter(begun.clone())
    ours = Muon([own], 0.02, momentum=0.9)
    reference = torch.optim.Muon([theirs], 0.02, momentum=0.9, weight_decay=0.0, nesterov=True)
    for _ in range(4):
        own.grad = torch.randn(*shape, generator=generator)
        theirs.grad = own.grad.clone()
        ours.step()
        reference.step()
    moved = (theirs - begun).norm()
    assert (own - theirs).norm() < 0.05 * moved
