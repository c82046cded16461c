"""Winograd's convolution against PyTorch's in float64: values, edges, and the gradient by the input."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from farm.paint.features.winograd import FINITE, RECIPROCAL, WinogradKernel, pays, transforms

SIZES = [(4, 4), (8, 12), (3, 5), (17, 22), (1, 1), (33, 2)]


def data(generator, size, channels=(5, 7)):
    inputs, outputs = channels
    x = torch.randn(1, inputs, *size, generator=generator).contiguous(memory_format=torch.channels_last)
    return x, torch.randn(outputs, inputs, 3, 3, generator=generator), torch.randn(outputs, generator=generator)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_convolution(size, generator):
    x, weight, bias = data(generator, size)
    wanted = functional.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    kernel = WinogradKernel(weight)
    assert torch.allclose(kernel.convolve(x, bias).double(), wanted, atol=1e-4)
    assert torch.allclose(kernel.convolve(x, bias, rectify=True).double(), wanted.relu(), atol=1e-4)


@pytest.mark.parametrize("size", [size for size in SIZES if min(size) > 1])
def test_it_reflects_at_the_edge(size, generator):
    x, weight, bias = data(generator, size)
    padded = functional.pad(x.double(), (1, 1, 1, 1), mode="reflect")
    wanted = functional.conv2d(padded, weight.double(), bias.double())
    assert torch.allclose(WinogradKernel(weight).convolve(x, bias, reflect=True).double(), wanted, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_its_gradient_is_that_by_the_input(size, generator):
    x, weight, _ = data(generator, size)
    x = x.double().requires_grad_(True)
    out = functional.conv2d(x, weight.double(), padding=1)
    at_output = torch.randn(out.shape, generator=generator)
    out.backward(at_output.double())
    assert x.grad is not None
    found = WinogradKernel(weight).gradient(at_output)
    assert found.shape == x.shape
    assert torch.allclose(found.double(), x.grad, atol=1e-4)


def test_it_is_exact_to_a_millionth(generator):
    """With as many channels as VGG's widest layers have; a sum of 4608 products in float32 is no nearer by much."""
    x, weight, _ = data(generator, (12, 16), (512, 32))
    wanted = functional.conv2d(x.double(), weight.double(), padding=1)
    found = WinogradKernel(weight).convolve(x, torch.zeros(32)).double()
    assert (found - wanted).square().mean().sqrt() < 2e-6 * wanted.square().mean().sqrt()


def test_maps_wider_and_lower_than_a_strip_of_tiles(generator):
    """A kernel of two outputs takes two tiles at once: 30 columns of them are strips of one row."""
    x, weight, bias = data(generator, (9, 120), (3, 2))
    wanted = functional.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    assert torch.allclose(WinogradKernel(weight).convolve(x, bias).double(), wanted, atol=1e-4)


def test_reversing_a_kernel_is_taking_its_values_at_the_reciprocals():
    of_kernel = transforms()[1]
    assert torch.allclose(of_kernel.flip(1), of_kernel[RECIPROCAL])
    for place, point in enumerate(FINITE[1:], 1):
        assert FINITE[RECIPROCAL[place]] == pytest.approx(1 / point)


@pytest.mark.parametrize(
    ("outputs", "inputs", "size", "wanted"),
    [
        (128, 64, (64, 64), True),
        (64, 64, (64, 64), False),
        (512, 512, (16, 20), True),
        (512, 512, (16, 16), False),
        (512, 512, None, True),
    ],
)
def test_where_it_pays(outputs, inputs, size, wanted):
    assert pays(outputs, inputs, size) is wanted
