"""Steps of the descent: what Muon moves and what Adam, how far, and what a broken gradient does."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from farm.paint.network.network import Architecture, StyleNetwork
from farm.paint.training.descent import KERNEL_RATE, Descent, as_matrix

TINY = Architecture(down=(4,), trunk=8, blocks=1, up=(4, 4), stem=3, head=3, coarse=8)
RATE = 1e-3


def make_network():
    torch.manual_seed(0)
    return StyleNetwork(TINY).to(memory_format=torch.channels_last)


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def fill(network, value=None):
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        found = (
            torch.randn(parameter.shape, generator=generator) if value is None else torch.full_like(parameter, value)
        )
        parameter.grad = found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found


def same(before, after):
    return all(torch.equal(before[name], after[name]) for name in before)


def test_a_kernel_moves_as_far_along_every_direction_and_the_last_layer_by_adam():
    network = make_network()
    before = copied(network)
    fill(network)
    Descent(network, RATE).step(1.0)
    after = network.state_dict()
    kernel = "trunk.0.blocks.0.first.convolution.weight"
    lengths = torch.linalg.svdvals(as_matrix(before[kernel] - after[kernel])) / (KERNEL_RATE * RATE)
    assert lengths.min() > 0.5  # the iteration of Muon leaves them between 0.5 and 1.5 (Jordan et al. 2024)
    assert lengths.max() < 1.5
    for name in ("head.convolution.weight", "up.0.norm.weight", "down.0.convolution.bias"):
        # Adam's first step is the learning rate, whatever the gradient
        moved = (before[name] - after[name]).abs()
        assert moved == pytest.approx(torch.full_like(moved, RATE), rel=0.02)


def test_a_share_of_the_rate_is_a_share_of_the_step():
    moved = []
    for share in (1.0, 0.25):
        network = make_network()
        before = copied(network)
        fill(network)
        Descent(network, RATE).step(share)
        moved.append(torch.cat([(before[name] - value).flatten() for name, value in network.state_dict().items()]))
    assert torch.allclose(moved[1], 0.25 * moved[0], atol=1e-6)


def test_a_kernel_as_a_matrix_is_the_same_memory():
    kernel = torch.rand(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    matrix = as_matrix(kernel)
    matrix.zero_()
    assert kernel.count_nonzero() == 0


def test_a_wild_gradient_is_cut_and_a_broken_one_left_out():
    network = make_network()
    descent = Descent(network, RATE)
    fill(network)
    descent.step(1.0)
    before, usual = copied(network), descent.state()["usual"]
    fill(network, float("nan"))
    descent.step(1.0)
    assert same(before, network.state_dict())
    fill(network, usual)
    descent.step(1.0)
    assert usual < descent.state()["usual"] < 1.2 * usual
    assert not same(before, network.state_dict())


def test_it_goes_on_where_it_was():
    straight, stopped = make_network(), make_network()
    first = Descent(straight, RATE)
    fill(straight)
    first.step(1.0)
    state = deepcopy(first.state())
    stopped.load_state_dict(straight.state_dict())
    second = Descent(stopped, RATE)
    second.restore(state)
    for network, descent in ((straight, first), (stopped, second)):
        fill(network, 0.5)
        descent.step(1.0)
    assert same(copied(straight), stopped.state_dict())
